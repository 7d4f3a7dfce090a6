// The reader: filters against a plain oracle, totals, shape, and damage of every kind.
#include <algorithm>
#include <fstream>
#include <map>
#include <random>

#include "queue/glob.hpp"
#include "queue/network.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

class ReaderTest : public StoreFixture {
protected:
    /// 300 messages of all kinds; with more than one page of every walk.
    void fill() {
        open();
        std::mt19937 random(7);
        const auto pick = [&random](std::initializer_list<const char*> choices) {
            return std::string(choices.begin()[random() % choices.size()]);
        };
        for (int i = 0; i < 300; ++i) {
            auto message = store_->begin();
            Envelope envelope;
            envelope.received_at = now_ - std::chrono::minutes(random() % 600);
            if (random() % 4 != 0) {
                envelope.sender = mail::ReversePath(*mail::Mailbox::parse(
                    pick({"a@sender.example", "B@sender.example", "c@other.example"}), mail::Utf8::refused));
            }
            envelope.client.address = pick({"192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::5", ""});
            std::vector<Recipient> recipients;
            const std::size_t count = 1 + random() % 3;
            for (std::size_t r = 0; r < count; ++r) {
                recipients.push_back(recipient(pick({"one@example.com", "Two@EXAMPLE.com", "three@mail.example.net"}),
                                               static_cast<Ordinal>(r)));
                recipients.back().backend = pick({"north", "south"});
            }
            std::vector<RecipientUpdate> updates;
            for (const Recipient& one : recipients) {
                RecipientUpdate change = update(message->id(), one.ordinal, static_cast<RecipientState>(random() % 5),
                                                now_ + std::chrono::minutes(random() % 60));
                if (one.ordinal > 0 && random() % 3 == 0) {
                    change.state = random() % 2 == 0 ? RecipientState::delivered : RecipientState::removed;
                }
                change.backend = one.backend;
                change.last_reply = pick({"", "452 4.2.2 Mailbox FULL", "451 4.3.0 later"});
                updates.push_back(std::move(change));
            }
            std::promise<StoreStatus> committed;
            message->commit(envelope, recipients, "content", [&](StoreStatus status) { committed.set_value(status); });
            ASSERT_EQ(committed.get_future().get(), StoreStatus::stored);
            ASSERT_EQ(try_record(updates), StoreStatus::stored);
        }
        reader_ = reader();
        Filter everything;
        ASSERT_TRUE(reader_
                        ->list(everything, now_,
                               [this](const QueuedMessage& message) {
                                   all_.push_back(message);
                                   return true;
                               })
                        .has_value());
        ASSERT_EQ(all_.size(), 300U);
    }

    static bool any_glob(const std::vector<std::string>& globs, const std::string& text) {
        return globs.empty() || std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
                   return glob_match(glob == "<>" ? "" : glob, text);
               });
    }
    bool holds(const Filter& filter, const QueuedMessage& message, const Recipient& one) const {
        const auto has = [](const auto& set, const auto& value) {
            return set.empty() || std::find(set.begin(), set.end(), value) != set.end();
        };
        const Envelope& envelope = message.envelope;
        return !is_done(one.state) && has(filter.ids, envelope.id) && has(filter.states, one.state) &&
               has(filter.backends, one.backend) && any_glob(filter.domains, one.address.domain_key()) &&
               any_glob(filter.recipients, one.address.to_string()) &&
               any_glob(filter.senders, envelope.sender.to_string()) &&
               (filter.clients.empty() || ClientNetworkSet(filter.clients).contains(envelope.client.address)) &&
               (!filter.older_than || envelope.received_at < now_ - *filter.older_than) &&
               (!filter.younger_than || envelope.received_at > now_ - *filter.younger_than) &&
               (!filter.reply || contains_folded(one.last_reply, *filter.reply));
    }

    void check(const Filter& filter) {
        std::vector<MessageId> expected;
        std::vector<std::pair<MessageId, Ordinal>> expected_matches;
        for (const QueuedMessage& message : all_) {
            bool any = false;
            const bool in_limit = !filter.limit || expected.size() < *filter.limit;
            for (const Recipient& one : message.recipients) {
                if (in_limit && holds(filter, message, one)) {
                    any = true;
                    expected_matches.emplace_back(message.envelope.id, one.ordinal);
                }
            }
            if (any) {
                expected.push_back(message.envelope.id);
            }
        }
        std::vector<MessageId> listed;
        ASSERT_TRUE(reader_
                        ->list(filter, now_,
                               [&](const QueuedMessage& message) {
                                   listed.push_back(message.envelope.id);
                                   return true;
                               })
                        .has_value());
        EXPECT_EQ(listed, expected);
        std::vector<std::pair<MessageId, Ordinal>> matches;
        ASSERT_TRUE(reader_
                        ->match(filter, now_,
                                [&](const QueuedMessage& message, const Recipient& one) {
                                    matches.emplace_back(message.envelope.id, one.ordinal);
                                    return true;
                                })
                        .has_value());
        EXPECT_EQ(matches, expected_matches);
    }

    const Instant now_ = clock_.wall();
    std::unique_ptr<Reader> reader_;
    std::vector<QueuedMessage> all_;
};

TEST_F(ReaderTest, FiltersFindWhatTheirWordsSay) {
    fill();
    std::mt19937 random(11);
    const auto maybe = [&random](std::vector<std::string>& into, std::initializer_list<const char*> choices) {
        while (random() % 3 == 0) {
            into.emplace_back(choices.begin()[random() % choices.size()]);
        }
    };
    for (int round = 0; round < 400 && !HasFailure(); ++round) {
        Filter filter;
        maybe(filter.backends, {"north", "south", "nowhere"});
        maybe(filter.domains, {"example.com", "EXAMPLE.COM", "*.example.net", "*", "?xample.com", "none"});
        maybe(filter.recipients, {"one@example.com", "*@example.com", "t*", "'; DROP TABLE message; --"});
        maybe(filter.senders, {"<>", "", "*@sender.example", "b@sender.example", "nobody@example.com"});
        maybe(filter.clients, {"192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "0.0.0.0/0", "not an address"});
        while (random() % 4 == 0) {
            filter.states.push_back(static_cast<RecipientState>(random() % 7));
        }
        while (random() % 6 == 0) {
            filter.ids.push_back(random() % 5 == 0 ? MessageId(99) : all_[random() % all_.size()].envelope.id);
        }
        if (random() % 4 == 0) {
            filter.older_than = std::chrono::minutes(random() % 600);
        }
        if (random() % 4 == 0) {
            filter.younger_than = std::chrono::minutes(random() % 600);
        }
        if (random() % 4 == 0) {
            filter.reply = random() % 2 == 0 ? "mailbox full" : "%";
        }
        if (random() % 3 == 0) {
            filter.limit = random() % 20;
        }
        check(filter);
    }
}

TEST_F(ReaderTest, AbsurdAgesAreOldNotWrapped) {
    fill();
    Filter filter;
    filter.older_than = Duration::max();
    check(filter);
    filter.older_than = Duration::min();
    const auto count = [&](const Filter& asked) {
        std::size_t found = 0;
        EXPECT_TRUE(reader_->list(asked, now_, [&](const QueuedMessage&) { return ++found > 0; }).has_value());
        return found;
    };
    EXPECT_EQ(count(filter), all_.size());
    filter.older_than.reset();
    filter.younger_than = Duration::max();
    EXPECT_EQ(count(filter), all_.size());
}

TEST_F(ReaderTest, EndsWhenItIsToldTo) {
    fill();
    std::size_t seen = 0;
    EXPECT_TRUE(reader_->list(Filter(), now_, [&](const QueuedMessage&) { return ++seen < 260; }).has_value());
    EXPECT_EQ(seen, 260U);
}

TEST_F(ReaderTest, CountsByStateAndByAge) {
    fill();
    std::map<RecipientState, std::uint64_t> states;
    std::map<std::string, std::uint64_t> backends;
    for (const QueuedMessage& message : all_) {
        for (const Recipient& one : message.recipients) {
            ++states[one.state];
            backends[one.backend] += is_done(one.state) ? 0U : 1U;
        }
    }
    const auto totals = reader_->totals();
    ASSERT_TRUE(totals.has_value());
    EXPECT_EQ(totals->messages, all_.size());
    EXPECT_EQ(totals->recipients, states);
    EXPECT_EQ(totals->oldest, all_.front().envelope.received_at);
    const auto shape = reader_->shape(Reader::ShapeBy::backend, {std::chrono::minutes(5), std::chrono::hours(1)}, now_);
    ASSERT_TRUE(shape.has_value());
    for (const ShapeCell& cell : *shape) {
        ASSERT_EQ(cell.counts.size(), 3U);
        EXPECT_EQ(cell.counts[0] + cell.counts[1] + cell.counts[2], backends.at(cell.key));
    }
    EXPECT_EQ(shape->size(), 2U);
}

TEST_F(ReaderTest, WritesNothing) {
    fill();
    store_.reset();
    const auto before = std::filesystem::last_write_time(options_.path);
    reader_ = reader();
    EXPECT_TRUE(reader_->totals().has_value());
    EXPECT_TRUE(reader_->verify(all_[0].envelope.id).has_value());
    reader_.reset();
    EXPECT_EQ(std::filesystem::last_write_time(options_.path), before);
}

// Bit rot. `UPDATE` by hand does what a flipped bit does in the middle of a row.
class DamageTest : public StoreFixture {
protected:
    void SetUp() override {
        open();
        damaged_ = accept({"one@example.com", "two@example.com"}, "the end", {"the first part ", "and the second "});
        other_ = accept({"three@example.com"}, "another");
        ASSERT_TRUE(reader()->verify(damaged_).has_value());
    }
    MessageId damaged_;
    MessageId other_;
};

TEST_F(DamageTest, IsFoundInEveryColumnThatNeverChanges) {
    store_.reset();
    std::filesystem::copy_file(options_.path, folder_ / "kept");
    for (const char* sql : {
             "UPDATE message SET received_at = received_at + 1 WHERE id = %",
             "UPDATE message SET size = size + 1 WHERE id = %",
             "UPDATE message SET size = -1 WHERE id = %",
             "UPDATE message SET sender = 'sendes@example.org' WHERE id = %",
             "UPDATE message SET sender = 'no address' WHERE id = %",
             "UPDATE message SET sender = '' WHERE id = %",
             "UPDATE message SET body_type = 1 - body_type WHERE id = %",
             "UPDATE message SET body_type = 77 WHERE id = %",
             "UPDATE message SET has_8bit = 1 - has_8bit WHERE id = %",
             "UPDATE message SET smtputf8 = 1 - smtputf8 WHERE id = %",
             "UPDATE message SET dsn_ret = 1 WHERE id = %",
             "UPDATE message SET dsn_envid = 'x' WHERE id = %",
             "UPDATE message SET client_address = '192.0.2.2' WHERE id = %",
             "UPDATE message SET client_helo = 'cliEnt.example.org' WHERE id = %",
             "UPDATE message SET client_rdns = 'x' WHERE id = %",
             "UPDATE message SET client_protocol = 'x' WHERE id = %",
             "UPDATE message SET parts = 1 WHERE id = %",
             "UPDATE message SET parts = 3 WHERE id = %",
             "UPDATE message SET checksum = zeroblob(16) WHERE id = %",
             "UPDATE message SET content = CAST('the eNd' AS BLOB) WHERE id = %",
             "UPDATE message SET content = x'' WHERE id = %",
             "UPDATE chunk SET bytes = CAST('the First part ' AS BLOB) WHERE number = 0 AND message = %",
             "UPDATE chunk SET number = 7 WHERE number = 1 AND message = %",
             "DELETE FROM chunk WHERE number = 0 AND message = %",
             "UPDATE recipient SET address = 'onE@example.com' WHERE ordinal = 0 AND message = %",
             "UPDATE recipient SET address = 'not an address' WHERE ordinal = 0 AND message = %",
             "UPDATE recipient SET ordinal = 5 WHERE ordinal = 0 AND message = %",
             "UPDATE recipient SET dsn_notify = 4 WHERE ordinal = 1 AND message = %",
             "UPDATE recipient SET dsn_notify = 200 WHERE ordinal = 1 AND message = %",
             "UPDATE recipient SET dsn_orcpt = 'x' WHERE ordinal = 1 AND message = %",
             "DELETE FROM recipient WHERE ordinal = 1 AND message = %",
         }) {
        std::string statement = "PRAGMA ignore_check_constraints=1; ";
        statement += sql;
        statement.replace(statement.find('%'), 1, std::to_string(damaged_.value()));
        for (const char* suffix : {"-wal", "-shm"}) {
            std::filesystem::remove(options_.path.string() + suffix);
        }
        std::filesystem::copy_file(folder_ / "kept", options_.path, std::filesystem::copy_options::overwrite_existing);
        detail::Connection(options_.path, detail::OpenMode::read_write).execute(statement.c_str());
        const auto read = reader();
        ASSERT_TRUE(read);
        // dsn_notify 200 is read as what it was before; then nothing is lost either.
        const bool harmless = statement.find("= 200") != std::string::npos;
        const auto verdict = read->verify(damaged_);
        EXPECT_EQ(verdict.has_error() && verdict.error() == ReadError::damaged, !harmless) << sql;
        EXPECT_TRUE(read->verify(other_).has_value()) << sql;
        // An operator still sees both.
        std::size_t listed = 0;
        EXPECT_TRUE(
            read->list(Filter(), clock_.wall(), [&](const QueuedMessage&) { return ++listed > 0; }).has_value());
        EXPECT_EQ(listed, 2U) << sql;
    }
}

TEST_F(DamageTest, AMissingPartIsNotTheEndOfTheContent) {
    for (std::uint32_t part = 0; part < 3; ++part) {
        EXPECT_TRUE(reader()->content_part(damaged_, part).has_value());
    }
    EXPECT_EQ(*reader()->content_part(damaged_, 3), "");
    store_.reset();
    detail::Connection(options_.path, detail::OpenMode::read_write).execute("DELETE FROM chunk WHERE number = 1");
    const auto missing = reader()->content_part(damaged_, 1);
    ASSERT_TRUE(missing.has_error());
    EXPECT_EQ(missing.error(), ReadError::damaged);
}

TEST_F(DamageTest, DoesNotKeepOthersFromBeingLoaded) {
    store_.reset();
    detail::Connection(options_.path, detail::OpenMode::read_write)
        .execute("UPDATE recipient SET address = 'not an address' WHERE ordinal = 0");
    open();
    std::promise<Result<DuePage, StoreStatus>> loaded;
    store_->load_due("stores", clock_.wall(), std::nullopt, 10,
                     [&](Result<DuePage, StoreStatus> page) { loaded.set_value(std::move(page)); });
    const auto page = loaded.get_future().get();
    ASSERT_TRUE(page.has_value());
    EXPECT_EQ(page->recipients.size(), 3U);
    EXPECT_EQ(reader()->verify(damaged_).error(), ReadError::damaged);
    // What the engine does with it then.
    record(damaged_, 0, RecipientState::held);
    record(damaged_, 1, RecipientState::held);
    EXPECT_EQ(reader()->find(damaged_)->recipients[0].state, RecipientState::held);
}

// One bit anywhere in the file: whatever is then said to be right is what was stored.
TEST_F(DamageTest, OneBitAnywhereNeverGoesThrough) {
    const QueuedMessage first = *reader()->find(damaged_);
    const QueuedMessage second = *reader()->find(other_);
    const std::map<MessageId, std::pair<const QueuedMessage*, std::string>> truth = {
        {damaged_, {&first, "the first part and the second the end"}}, {other_, {&second, "another"}}};
    store_.reset();
    std::string bytes;
    {
        std::ifstream file(options_.path, std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(file), {});
    }
    std::mt19937 random(3);
    options_.path = folder_ / "rotten.db";
    std::size_t found = 0;
    for (int round = 0; round < 1000 && !HasFailure(); ++round) {
        // Where something is written, not in the empty space of the pages.
        std::size_t at = random() % bytes.size();
        while (bytes[at] == 0) {
            at = random() % bytes.size();
        }
        std::string rotten = bytes;
        rotten[at] = static_cast<char>(rotten[at] ^ (1 << random() % 8));
        std::filesystem::remove(options_.path.string() + "-wal");
        std::filesystem::remove(options_.path.string() + "-shm");
        std::ofstream(options_.path, std::ios::binary) << rotten;
        auto opened = open_reader(options_.path);
        if (opened.has_error()) {
            continue;
        }
        Reader& read = **opened;
        for (const auto& [id, is] : truth) {
            if (const auto verdict = read.verify(id); verdict.has_error()) {
                found += verdict.error() == ReadError::damaged ? 1U : 0U;
                continue;
            }
            const auto message = read.find(id);
            ASSERT_TRUE(message.has_value()) << at;
            ASSERT_EQ(message->envelope.sender, is.first->envelope.sender) << at;
            ASSERT_EQ(message->envelope.client.helo, is.first->envelope.client.helo) << at;
            ASSERT_EQ(message->recipients.size(), is.first->recipients.size()) << at;
            for (std::size_t i = 0; i < message->recipients.size(); ++i) {
                ASSERT_EQ(message->recipients[i].address, is.first->recipients[i].address) << at;
                ASSERT_EQ(message->recipients[i].dsn, is.first->recipients[i].dsn) << at;
            }
            // What cannot be read is not delivered; what can must be right.
            if (const auto part = read.content_part(id, 0); part.has_error()) {
                ++found;
                continue;
            }
            ASSERT_EQ(content(read, id), is.second) << at;
        }
    }
    EXPECT_GT(found, 20U);
}

}  // namespace
}  // namespace postern::queue
