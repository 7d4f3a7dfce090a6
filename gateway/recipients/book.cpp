#include "gateway/recipients/book.hpp"

#include <algorithm>
#include <utility>

#include "gateway/recipients/meaning.hpp"

namespace postern::recipients {

using queue::Duration;
using queue::Instant;
using queue::Knowledge;
using queue::KnownRecipient;

namespace {

/// What anybody can make entries of, by asking: it gives way to what is known of mailboxes that exist.
bool is_cheap(Knowledge knowledge) { return knowledge == Knowledge::unknown || knowledge == Knowledge::selective; }

constexpr std::chrono::minutes write_again{10};  // what was merely said once more
constexpr std::chrono::minutes refresh_again{1};
constexpr std::size_t changes_max = 20'000;  // beyond, they are not kept: they will be heard again
constexpr std::size_t text_octets_max = 200;
constexpr Instant never{};

/// A clock that was set back makes nothing young: what seems to come from the future is as old as can be.
bool is_young(Instant at, Duration age_max, Instant now) {
    constexpr std::chrono::minutes tolerance{1};
    return at <= now + tolerance && now - at < age_max;
}

mail::Reply shortened(const mail::Reply& reply) {
    if (reply.text().size() <= text_octets_max) {
        return reply;
    }
    std::string text = reply.text().substr(0, text_octets_max);
    return reply.status() ? mail::Reply(reply.code(), *reply.status(), std::move(text))
                          : mail::Reply(reply.code(), std::move(text));
}

/// "<user@example.com>: " and what the store said, which often begins with the address itself.
std::string with_address(const mail::Mailbox& address, const std::string& said) {
    const std::string path = '<' + address.to_string() + '>';
    return said.starts_with(path) ? said : path + ": " + said;
}

mail::Reply refusal_of(const mail::Mailbox& address, const mail::Reply& said, Knowledge knowledge) {
    if (knowledge == Knowledge::full) {
        const std::string text = with_address(address, said.text().empty() ? "the mailbox is full" : said.text());
        return said.is_permanent() ? mail::Reply(552, mail::EnhancedStatus(5, 2, 2), text)
                                   : mail::Reply(452, mail::EnhancedStatus(4, 2, 2), text);
    }
    const bool has_status = said.status() && said.status()->class_ == 5;
    return {550, has_status ? *said.status() : mail::EnhancedStatus(5, 1, 1),
            with_address(address, said.text().empty() ? "no such mailbox here" : said.text())};
}

}  // namespace

Book::Book(BookOptions options, OnDoubt on_doubt)
    : positive_(options.positive.count()),
      refresh_(options.refresh.count()),
      negative_(options.negative.count()),
      entries_(options.entries),
      on_doubt_(std::move(on_doubt)) {}

void Book::set_options(BookOptions options) {
    positive_ = options.positive.count();
    refresh_ = options.refresh.count();
    negative_ = options.negative.count();
    entries_ = options.entries;
}

std::string Book::spelling(const mail::Mailbox& address) { return address.local_part() + '@' + address.domain_key(); }

Book::Key Book::key_of(const std::string& backend, std::string_view spelling) {
    Key key;
    key.reserve(backend.size() + 1 + spelling.size());
    key.append(backend).append(1, '\0').append(spelling);
    return key;
}

Book::Shard& Book::shard_of(const Key& key) { return shards_[std::hash<Key>()(key) % shards_.size()]; }

// ---- What is known ----

Book::Found Book::look(const std::string& backend, const mail::Mailbox& address, Instant now) {
    const Key key = key_of(backend, spelling(address));
    Found found;
    {
        Shard& shard = shard_of(key);
        const std::lock_guard lock(shard.mutex);
        const auto at = shard.entries.find(key);
        if (at != shard.entries.end()) {
            Entry& entry = at->second;
            const Duration believed = entry.knowledge == Knowledge::taken     ? Duration(positive_)
                                      : entry.knowledge == Knowledge::unknown ? Duration(negative_)
                                                                              : Duration(full_time);
            if (is_young(entry.at, believed, now)) {
                found.verdict = verdict_of(backend, address, entry, now);
                found.refresh = entry.knowledge == Knowledge::taken && !is_young(entry.at, Duration(refresh_), now) &&
                                !is_young(entry.refreshed_at, refresh_again, now);
                if (found.refresh) {
                    entry.refreshed_at = now;
                }
                return found;
            }
        }
    }
    if (of_domain(backend, address.domain_key(), domain_time, now) == Knowledge::catch_all) {
        found.verdict = Verdict();
        found.refresh = wants_sample(backend, address.domain_key(), now);
    }
    return found;
}

bool Book::knows(const std::string& backend, const mail::Mailbox& address, Instant now) {
    return look(backend, address, now).verdict.has_value();
}

std::optional<Knowledge> Book::of_domain(const std::string& backend, const std::string& domain, Duration believed,
                                         Instant now) {
    const Key key = key_of(backend, '@' + domain);
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto at = shard.entries.find(key);
    if (at == shard.entries.end() || !is_young(at->second.at, believed, now)) {
        return std::nullopt;
    }
    return at->second.knowledge;
}

Verdict Book::verdict_of(const std::string& backend, const mail::Mailbox& address, const Entry& entry, Instant now) {
    Verdict verdict;
    if (entry.knowledge == Knowledge::full) {
        verdict.refusal = refusal_of(address, entry.reply, Knowledge::full);
    } else if (entry.knowledge == Knowledge::unknown) {
        const bool was_taken = entry.contradicted_at != never;
        if (was_taken && is_young(entry.contradicted_at, contradiction_time, now)) {
            verdict.refusal = mail::Reply(450, mail::EnhancedStatus(4, 1, 1),
                                          with_address(address,
                                                       "this mailbox is unknown now and took mail before; "
                                                       "try again later"));
        } else if (is_doubted(backend, now)) {
            verdict.refusal = mail::Reply(450, mail::EnhancedStatus(4, 1, 1),
                                          with_address(address, "the list of mailboxes is in doubt; try again later"));
        } else {
            verdict.refusal = refusal_of(address, entry.reply, Knowledge::unknown);
            verdict.is_unknown = true;
        }
    }
    return verdict;
}

Verdict Book::without_answer(const std::string& backend, const mail::Mailbox& address) {
    const Key key = key_of(backend, spelling(address));
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto at = shard.entries.find(key);
    Verdict verdict;
    if (at != shard.entries.end() && at->second.knowledge == Knowledge::unknown) {
        verdict.refusal = mail::Reply(450, mail::EnhancedStatus(4, 4, 1),
                                      with_address(address,
                                                   "unknown when last asked about, and its store cannot be "
                                                   "asked now; try again later"));
    }
    return verdict;
}

// ---- What is heard ----

std::optional<Verdict> Book::heard(const std::string& backend, const mail::Mailbox& address, const mail::Reply& reply,
                                   Source source, Instant now) {
    const Meaning meaning = meaning_of(reply);
    if (meaning == Meaning::nothing) {
        return std::nullopt;
    }
    const std::string domain = address.domain_key();
    const Key key = key_of(backend, spelling(address));
    Shard& shard = shard_of(key);
    std::unique_lock lock(shard.mutex);
    const auto before = shard.entries.find(key);
    Entry entry;
    if (before != shard.entries.end()) {
        if (meaning == Meaning::taken && before->second.knowledge == Knowledge::taken) {
            // The usual case, of every delivery: nothing new.
            Entry& known = before->second;
            known.at = known.taken_at = now;
            shard.good.splice(shard.good.end(), shard.good, known.place);
            if (!is_young(known.written_at, write_again, now)) {
                known.written_at = now;
                note_change(key, known, false);
            }
            return Verdict();
        }
        entry = before->second;
    } else if (meaning == Meaning::taken) {
        lock.unlock();
        if (of_domain(backend, domain, domain_time, now) == Knowledge::catch_all) {
            return Verdict();
        }
        lock.lock();
    }
    entry.reply = shortened(reply);
    entry.at = now;
    switch (meaning) {
        case Meaning::taken:
            entry.knowledge = Knowledge::taken;
            entry.taken_at = now;
            if (std::exchange(entry.contradicted_at, never) != never) {
                confirmed(backend, key);
            }
            break;
        case Meaning::full:
            entry.knowledge = Knowledge::full;
            if (source == Source::delivery && reply.is_permanent()) {
                // That message did not fit. A smaller one may, so the next is not refused for good.
                entry.reply = mail::Reply(452, mail::EnhancedStatus(4, 2, 2), entry.reply.text());
            }
            break;
        case Meaning::unknown:
            if (entry.contradicted_at == never && entry.taken_at != never &&
                is_young(entry.taken_at, Duration(positive_), now)) {
                entry.contradicted_at = now;
            }
            entry.knowledge = Knowledge::unknown;
            if (is_young(entry.contradicted_at, doubt_time, now)) {
                contradicted(backend, key, entry.contradicted_at);
            }
            break;
        case Meaning::nothing:
            break;
    }
    Verdict verdict = verdict_of(backend, address, entry, now);
    put(shard, key, std::move(entry), now);
    lock.unlock();
    if (meaning == Meaning::unknown && source == Source::delivery) {
        // So the domain does not take everything, or not any more: to be looked at again.
        const Key domain_key = key_of(backend, '@' + domain);
        Shard& other = shard_of(domain_key);
        const std::lock_guard domain_lock(other.mutex);
        const auto at = other.entries.find(domain_key);
        if (at != other.entries.end() && at->second.knowledge == Knowledge::catch_all) {
            drop(other, domain_key);
        }
    }
    return verdict;
}

bool Book::wants_sample(const std::string& backend, const std::string& domain, Instant now) {
    const auto known = of_domain(backend, domain, domain_time, now);
    return !known || (*known == Knowledge::catch_all && !of_domain(backend, domain, Duration(refresh_), now));
}

void Book::heard_of_sample(const std::string& backend, const std::string& domain, const mail::Reply& reply,
                           Instant now) {
    const Meaning meaning = meaning_of(reply);
    if (meaning != Meaning::taken && meaning != Meaning::unknown) {
        return;
    }
    Entry entry;
    entry.knowledge = meaning == Meaning::taken ? Knowledge::catch_all : Knowledge::selective;
    entry.reply = shortened(reply);
    entry.at = now;
    const Key key = key_of(backend, '@' + domain);
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    put(shard, key, std::move(entry), now);
}

// ---- Doubt ----

void Book::contradicted(const std::string& backend, const Key& key, Instant since) {
    const std::lock_guard lock(doubt_mutex_);
    doubts_[backend].mailboxes.emplace(key, since);
    any_doubt_ = true;
    look_at_doubt(backend, std::nullopt);
}

void Book::confirmed(const std::string& backend, const Key& key) {
    const std::lock_guard lock(doubt_mutex_);
    const auto found = doubts_.find(backend);
    if (found != doubts_.end()) {
        found->second.mailboxes.erase(key);
        look_at_doubt(backend, std::nullopt);
    }
}

bool Book::is_doubted(const std::string& backend, Instant now) {
    if (!any_doubt_) {
        return false;
    }
    const std::lock_guard lock(doubt_mutex_);
    look_at_doubt(backend, now);
    const auto found = doubts_.find(backend);
    return (found != doubts_.end() && found->second.is_on) || distrusted_.contains(backend);
}

void Book::distrust(const std::string& backend, bool on) {
    const std::lock_guard lock(doubt_mutex_);
    if (on) {
        distrusted_.insert(backend);
    } else {
        distrusted_.erase(backend);
    }
    any_doubt_ = !doubts_.empty() || !distrusted_.empty();
}

void Book::look_at_doubt(const std::string& backend, std::optional<Instant> now) {
    const auto found = doubts_.find(backend);
    if (found == doubts_.end()) {
        return;
    }
    Doubt& doubt = found->second;
    if (now) {
        std::erase_if(doubt.mailboxes, [&](const auto& one) { return !is_young(one.second, doubt_time, *now); });
    }
    const bool is_on = doubt.mailboxes.size() >= doubt_count;
    if (is_on != doubt.is_on) {
        doubt.is_on = is_on;
        if (on_doubt_) {
            on_doubt_(backend, is_on, doubt.mailboxes.size());
        }
    }
    if (doubt.mailboxes.empty()) {
        doubts_.erase(found);
        any_doubt_ = !doubts_.empty() || !distrusted_.empty();
    }
}

// ---- Keeping ----

void Book::put(Shard& shard, const Key& key, Entry entry, Instant now) {
    const bool is_bad = is_cheap(entry.knowledge);
    auto [at, is_new] = shard.entries.try_emplace(key);
    if (!is_new) {
        auto& from = is_cheap(at->second.knowledge) ? shard.bad : shard.good;
        auto& to = is_bad ? shard.bad : shard.good;
        to.splice(to.end(), from, at->second.place);
        entry.place = at->second.place;
    } else {
        auto& to = is_bad ? shard.bad : shard.good;
        entry.place = to.insert(to.end(), key);
    }
    entry.written_at = now;
    note_change(key, entry, false);
    at->second = std::move(entry);
    if (is_new || is_bad) {
        make_room(shard);
    }
}

void Book::drop(Shard& shard, const Key& key) {
    const auto at = shard.entries.find(key);
    if (at == shard.entries.end()) {
        return;
    }
    note_change(key, at->second, true);
    auto& order = is_cheap(at->second.knowledge) ? shard.bad : shard.good;
    order.erase(at->second.place);
    shard.entries.erase(at);
}

void Book::make_room(Shard& shard) {
    const std::size_t room = std::max<std::size_t>(entries_ / shards_.size(), 4);
    while (shard.bad.size() > room / 4) {
        const Key oldest = shard.bad.front();
        drop(shard, oldest);
    }
    while (shard.entries.size() > room) {
        const Key oldest = shard.good.empty() ? shard.bad.front() : shard.good.front();
        drop(shard, oldest);
    }
}

void Book::note_change(const Key& key, const Entry& entry, bool forgotten) {
    KnownRecipient change;
    const std::size_t end = key.find('\0');
    change.backend = key.substr(0, end);
    change.address = key.substr(end + 1);
    change.knowledge = entry.knowledge;
    change.reply = entry.reply;
    change.at = entry.at;
    change.taken_at = entry.taken_at;
    change.contradicted_at = entry.contradicted_at;
    change.forgotten = forgotten;
    const std::lock_guard lock(changes_mutex_);
    if (changes_.size() < changes_max) {
        changes_.push_back(std::move(change));
    }
}

std::vector<KnownRecipient> Book::take_changes() {
    const std::lock_guard lock(changes_mutex_);
    return std::exchange(changes_, {});
}

void Book::restore(const std::vector<KnownRecipient>& known, Instant now) {
    for (const KnownRecipient& one : known) {
        if (!is_young(one.at, Duration(positive_), now)) {
            continue;
        }
        Entry entry;
        entry.knowledge = one.knowledge;
        entry.reply = one.reply;
        entry.at = one.at;
        entry.taken_at = one.taken_at;
        entry.contradicted_at = one.contradicted_at;
        const Key key = key_of(one.backend, one.address);
        if (entry.knowledge == Knowledge::unknown && is_young(entry.contradicted_at, doubt_time, now)) {
            contradicted(one.backend, key, entry.contradicted_at);
        }
        Shard& shard = shard_of(key);
        const std::lock_guard lock(shard.mutex);
        put(shard, key, std::move(entry), now);
    }
    static_cast<void>(take_changes());  // they are in the file
}

std::size_t Book::size() const {
    std::size_t all = 0;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        all += shard.entries.size();
    }
    return all;
}

}  // namespace postern::recipients
