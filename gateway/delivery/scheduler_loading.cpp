// From the store into memory: a window of due recipients for each backend, routes, and what has expired meanwhile.
#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "gateway/delivery/scheduler.hpp"

namespace postern::delivery {

using queue::RecipientState;

namespace {

constexpr std::size_t window_min = 100;
constexpr std::size_t shares = 8;  ///< of a window: so many large messages fit in
constexpr std::size_t old_page = 500;
constexpr std::chrono::minutes survey_interval{1};
constexpr std::chrono::minutes count_interval{10};

}  // namespace

queue::Duration old_interval(queue::Duration expire) {
    return std::clamp<queue::Duration>(expire / 10, std::chrono::seconds(1), std::chrono::minutes(1));
}

std::size_t Scheduler::window() const {
    const std::size_t fair = options_.window_total / std::max<std::size_t>(1, backends_.size());
    return std::clamp(fair, std::min(window_min, options_.window), options_.window);
}

std::size_t Scheduler::share(const BackendWork& backend) const {
    return std::max<std::size_t>(backend.options.recipients_per_transaction, window() / shares);
}

void Scheduler::follow_route(Batch batch, Source source) {
    std::map<std::string, Batch> by_backend;
    for (queue::Recipient& recipient : batch.recipients) {
        const auto name = route_of(recipient);
        if (!name) {
            // It stays in the store, and the survey takes it out of the line where it stands there.
            known_.erase(Key{batch.message.value(), recipient.ordinal});
            survey_wanted_ = true;
            continue;
        }
        survey_wanted_ = survey_wanted_ || *name != recipient.backend;
        Batch& part = by_backend[*name];
        part.message = batch.message;
        part.received_at = batch.received_at;
        part.size = batch.size;
        part.fresh = batch.fresh;
        part.recipients.push_back(std::move(recipient));
    }
    for (auto& [name, part] : by_backend) {
        add(name, std::move(part), source);
    }
}

void Scheduler::add(const std::string& name, Batch batch, Source source) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        for (const queue::Recipient& recipient : batch.recipients) {
            known_.erase(Key{batch.message.value(), recipient.ordinal});
        }
        survey_wanted_ = true;
        return;
    }
    std::size_t room = batch.recipients.size();
    if (source != Source::back) {
        // A small fresh message finds room when the window is full of large ones.
        const bool is_small = batch.recipients.size() <= backend->options.recipients_per_transaction;
        const std::size_t most = source == Source::fresh && is_small ? window() * 2 : window();
        const std::size_t of_window = most - std::min(most, backend->queued());
        const std::size_t of_message = share(*backend) - std::min(share(*backend), backend->queued_of(batch.message));
        room = std::min({room, of_window, of_message});
        if (room < batch.recipients.size()) {
            const auto key_of = [&batch](const queue::Recipient& recipient) {
                return queue::DueKey{recipient.next_attempt_at, batch.message, recipient.ordinal};
            };
            if (of_message <= of_window) {
                backend->leave_out({batch.message, key_of(batch.recipients[room]), key_of(batch.recipients.back())});
            } else {
                backend->missing(key_of(batch.recipients[room]));
            }
        }
    }
    batch.recipients.erase(batch.recipients.begin() + static_cast<std::ptrdiff_t>(room), batch.recipients.end());
    for (queue::Recipient& recipient : batch.recipients) {
        Known& known = known_[Key{batch.message.value(), recipient.ordinal}];
        known.place = known.place == Place::withdrawn ? Place::withdrawn : Place::queued;
        known.blocked = false;
        recipient.backend = name;
    }
    backend->enqueue(std::move(batch));
}

void Scheduler::loaded(const std::string& name, queue::DuePage page, const Now&) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        return;
    }
    backend->loading = false;
    const auto put_off = std::exchange(backend->put_off, {});
    const auto refilled = std::exchange(backend->refilling, std::nullopt);
    if (!recording_) {
        return;  // it does not know of the results that the store refused: once it takes them, all is looked at anew
    }
    if (!refilled) {
        backend->more = backend->more || page.next.has_value();
        backend->cursor = page.next;
    }
    if (const auto rewind = std::exchange(backend->rewind, std::nullopt); rewind && *rewind < backend->cursor) {
        backend->cursor = rewind;  // with nullopt it begins anew anyway
    }
    if (page.earliest_later && (!backend->due_at || *page.earliest_later < *backend->due_at)) {
        backend->due_at = *page.earliest_later;
    }
    Batch batch;
    const auto hand_over = [&] {
        if (!batch.recipients.empty()) {
            follow_route(std::exchange(batch, Batch()), Source::store);
        }
    };
    for (queue::DueRecipient& due : page.recipients) {
        const Key key{due.message.value(), due.recipient.ordinal};
        if (put_off.contains({key.message, key.ordinal}) || known_.count(key) != 0) {
            continue;
        }
        if (batch.message != due.message) {
            hand_over();
        }
        batch.message = due.message;
        batch.received_at = due.received_at;
        batch.size = due.size;
        batch.recipients.push_back(std::move(due.recipient));
    }
    hand_over();
    if (!page.next) {
        return;
    }
    if (refilled) {
        if (*page.next < refilled->last) {
            backend->leave_out({refilled->message, just_behind(*page.next), refilled->last});
            if (backend->queued_of(refilled->message) <= share(*backend) / 2) {
                backend->has_room_again(refilled->message);
            }
        }
    } else if (backend->cursor == page.next && backend->queued_of(page.next->message) >= share(*backend)) {
        // The rest of a message that has its share in memory is stepped over: who comes behind it need not wait.
        backend->cursor->ordinal = std::numeric_limits<queue::Ordinal>::max();
        backend->leave_out({page.next->message, just_behind(*page.next), *backend->cursor});
    }
}

/// It is not to be tried any more, and a load that is at work may bring it as it was.
void Scheduler::keep_out_of_loads(queue::MessageId message, queue::Ordinal ordinal) {
    for (auto& [name, backend] : backends_) {
        if (backend.loading) {
            backend.put_off.emplace(message.value(), ordinal);
        }
    }
}

void Scheduler::load_failed(const std::string& name, const Now& now) {
    if (BackendWork* const backend = find_backend(name)) {
        backend->loading = false;
        backend->rewind.reset();
        backend->refilling.reset();
        backend->missing_somewhere();
        backend->load_again = now.steady + load_pause;
    }
}

void Scheduler::load_if_room(const std::string& name, BackendWork& backend, const Now& now) {
    if (now.wall < backend.loaded_until) {
        backend.cursor.reset();  // the clock was set back: what is due now may lie before it
        backend.loaded_until = now.wall;
    }
    if (backend.due_at && *backend.due_at <= now.wall) {
        backend.due_at.reset();
        backend.more = true;
    }
    if (backend.loading || now.steady < backend.load_again) {
        return;
    }
    while (!backend.refills.empty()) {
        const LeftOut refill = backend.refills.front();
        backend.refills.pop_front();
        const std::size_t there = backend.queued_of(refill.message);
        if (there < share(backend)) {
            backend.loading = true;
            backend.refilling = refill;
            host_.load(name, now.wall, just_before(refill.first), share(backend) - there);
            return;
        }
        backend.leave_out(refill);
    }
    const std::size_t queued = backend.queued();
    if (backend.more && queued < window() / 2 + 1) {
        backend.more = false;
        backend.loading = true;
        backend.loaded_until = now.wall;
        host_.load(name, now.wall, backend.cursor, window() - queued);
    }
}

// ---- What has expired while no store could be reached ----

void Scheduler::load_old_if_due(const std::string& name, BackendWork& backend, const Now& now) {
    // While a store can be reached, what is old is tried, and expires by what the store says.
    if (!backend.is_down() || backend.loading_old || backend.brakes() || now.steady < tell_not_before_ ||
        now.steady - backend.old_looked_at < old_interval(options_.retry.expire)) {
        return;
    }
    backend.old_looked_at = now.steady;
    backend.loading_old = true;
    host_.load_old(name, queue::MessageId::first_at(now.wall - options_.retry.expire - clock_jumps_.total()), old_page);
}

void Scheduler::loaded_old(const std::string& name, queue::DuePage page, const Now& now) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        return;
    }
    backend->loading_old = false;
    if (page.recipients.size() >= old_page) {
        backend->old_looked_at = {};  // there are more
    }
    if (!backend->is_down()) {
        return;
    }
    for (queue::DueRecipient& due : page.recipients) {
        if (!has_expired(due.received_at, now)) {
            continue;
        }
        const auto known = known_.find(Key{due.message.value(), due.recipient.ordinal});
        if (known != known_.end() && known->second.place != Place::queued) {
            continue;
        }
        if (known != known_.end()) {
            known->second.place = Place::withdrawn;
        }
        keep_out_of_loads(due.message, due.recipient.ordinal);
        Plan plan;
        plan.backend = name;
        plan.endpoint = backend->endpoints.front().endpoint;
        plan.message = due.message;
        plan.received_at = due.received_at;
        plan.began = now.steady;
        due.recipient.backend = name;
        due.recipient.state = RecipientState::parked;
        due.recipient.last_reply =
            "(expired: the store could not be reached: " + backend->endpoints.front().last_error + ')';
        queue::Telling telling = tell(plan, queue::Notice::failed, now);
        telling.expired = true;
        settle(plan, due.recipient, "expired", now, std::move(telling));
    }
}

// ---- Who must hear that a message waits, while no store can be reached ----

bool Scheduler::is_late(queue::Instant received_at, const queue::Recipient& recipient, const Now& now) const {
    const queue::Duration after = options_.retry.delay_notice;
    return after.count() > 0 && !recipient.delay_told && now.wall - received_at >= after;
}

void Scheduler::load_late_if_due(const std::string& name, BackendWork& backend, const Now& now) {
    // While a store can be reached, the next deferral tells.
    const queue::Duration after = options_.retry.delay_notice;
    if (after.count() <= 0 || !backend.is_down() || backend.loading_late || now.steady < tell_not_before_ ||
        now.steady - backend.late_looked_at < old_interval(after)) {
        return;
    }
    backend.late_looked_at = now.steady;
    backend.loading_late = true;
    host_.load_late(name, backend.late_seen, queue::MessageId::first_at(now.wall - after), old_page);
}

void Scheduler::loaded_late(const std::string& name, queue::DuePage page, const Now& now) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        return;
    }
    backend->loading_late = false;
    if (page.recipients.size() >= old_page) {
        backend->late_looked_at = {};  // there are more
    }
    bool told = false;
    for (const queue::DueRecipient& due : page.recipients) {
        const auto known = known_.find(Key{due.message.value(), due.recipient.ordinal});
        const bool in_flight = known != known_.end() && known->second.place == Place::in_flight;
        if (in_flight || !is_late(due.received_at, due.recipient, now)) {
            continue;
        }
        Plan plan;
        plan.backend = name;
        queue::RecipientUpdate update;
        update.message = due.message;
        update.ordinal = due.recipient.ordinal;
        update.state = due.recipient.state;
        update.telling = tell(plan, queue::Notice::delayed, now);
        update.telling->changes_all = false;
        host_.record(std::move(update), std::nullopt);
        told = true;
    }
    if (!page.recipients.empty()) {
        // The last message may go on behind a full page: there, who is told now is left out.
        const std::int64_t last = page.recipients.back().message.value();
        backend->late_seen = queue::MessageId(told && page.recipients.size() >= old_page ? last - 1 : last);
    }
}

// ---- Routes of what lies in the store ----

void Scheduler::survey_if_wanted(const Now& now) {
    if (!survey_wanted_ || surveying_ || now.steady < survey_not_before_) {
        return;
    }
    survey_wanted_ = false;
    surveying_ = true;
    host_.survey();
}

void Scheduler::survey_failed(const Now& now) {
    surveying_ = false;
    survey_wanted_ = true;
    survey_not_before_ = now.steady + load_pause;
}

void Scheduler::surveyed(const std::vector<queue::BacklogCell>& cells, const Now& now) {
    surveying_ = false;
    survey_not_before_ = now.steady + survey_interval;
    bool counts = false;
    for (auto& [name, backend] : backends_) {
        backend.backlog = 0;
        counts = counts || backend.options.refuse_backlog > 0;
    }
    if (counts && !survey_wanted_) {
        survey_wanted_ = true;
        survey_not_before_ = now.steady + count_interval;
    }
    std::map<std::string, queue::DomainMoves> moves;  // by where they are
    for (const queue::BacklogCell& cell : cells) {
        const std::optional<std::string> to = route_of_domain(cell.domain, cell.backend);
        BackendEvent event;
        event.about = cell.domain;
        event.count = cell.recipients;
        event.actor = "gateway";
        if (!to) {
            if (!cell.backend.empty() && cell.backend != outgoing_backend) {
                moves[cell.backend][cell.domain].clear();
            }
            if (unrouted_.insert(cell.domain).second) {
                event.kind = BackendEvent::Kind::no_route;
                event.backend = cell.backend;
                events_.backend(event);
            }
            continue;
        }
        backends_.at(*to).backlog += cell.recipients;
        if (*to != cell.backend) {
            moves[cell.backend][cell.domain] = *to;
            event.kind = BackendEvent::Kind::rerouted;
            event.backend = *to;
            event.reason = cell.backend.empty() ? "had no route" : "was " + cell.backend;
            events_.backend(event);
        }
    }
    for (const auto& [from, domains] : moves) {
        host_.reassign(from, domains);
    }
}

void Scheduler::reassigned(const queue::DomainMoves& moves, std::optional<std::size_t> count, const Now& now) {
    if (count == std::size_t{0}) {
        return;
    }
    // It takes a while where many wait: a reload may have come meanwhile.
    const bool is_stale = std::any_of(moves.begin(), moves.end(), [this](const auto& move) {
        return route_of_domain(move.first, move.second).value_or(std::string()) != move.second;
    });
    if (!count || is_stale) {
        survey_wanted_ = true;
        survey_not_before_ = now.steady + load_pause;
    }
    std::set<std::string_view> seen;
    for (const auto& [domain, to] : moves) {
        if (seen.insert(to).second) {
            look(to);
        }
    }
}

std::optional<std::string> Scheduler::route_of_domain(const std::string& domain, const std::string& backend) const {
    const auto address = mail::Mailbox::parse("postmaster@" + domain, mail::Utf8::allowed);
    return address.has_value() ? route_of(*address, backend) : std::nullopt;
}

}  // namespace postern::delivery
