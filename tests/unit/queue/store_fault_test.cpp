// The store on a disk that fails: the n-th write, flush, truncation or opening, for n = 1, 2, ... until a run has no
// fault, once and for good. Whatever fails: what was answered `stored` is there, what was not is not, and when the
// disk is well again so is the store.
#include <map>
#include <set>

#include "tests/unit/queue/fault_vfs.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

using namespace testing_faults;

class StoreFaultTest : public StoreFixture {
protected:
    /// What a caller knows of a message.
    struct Known {
        std::string content;
        bool stored = false;
        std::map<Ordinal, std::set<RecipientState>> states;  ///< what each recipient may be in
    };

    StoreFaultTest() {
        options_.vfs = name();
        options_.history = Duration(0);
    }
    ~StoreFaultTest() override { plan.disarm(); }

    void send_and_note(const std::vector<std::string>& addresses, const std::string& last,
                       const std::vector<std::string>& parts = {}) {
        const Sent sent = send(addresses, last, parts);
        Known known;
        for (const std::string& part : parts) {
            known.content += part;
        }
        known.content += last;
        known.stored = sent.status == StoreStatus::stored;
        for (Ordinal ordinal = 0; ordinal < addresses.size(); ++ordinal) {
            known.states[ordinal] = {RecipientState::ready};
        }
        known_[sent.id] = std::move(known);
    }
    void record_and_note(std::size_t index, Ordinal ordinal, RecipientState state) {
        const auto message = std::next(known_.begin(), static_cast<std::ptrdiff_t>(index));
        if (!message->second.stored) {
            return;
        }
        auto& states = message->second.states[ordinal];
        // What is refused may be there all the same: it is recorded again, and then it is.
        if (try_record({update(message->first, ordinal, state)}) == StoreStatus::stored) {
            states = {state};
        } else {
            states.insert(state);
        }
    }

    void work() {
        const std::string large(large_octets_, 'l');
        send_and_note({"a@example.com"}, "first");
        send_and_note({"a@example.com", "b@example.com"}, "second", {large, large});
        {
            auto aborted = store_->begin();
            static_cast<void>(append(*aborted, large));
        }
        record_and_note(0, 0, RecipientState::delivered);
        send_and_note({"c@example.com"}, "third");
        record_and_note(1, 0, RecipientState::delivered);
        record_and_note(2, 0, RecipientState::waiting);
        send_and_note({"d@example.com"}, large);
        record_and_note(3, 0, RecipientState::parked);
    }

    void check(const std::string& when) {
        const auto read = reader();
        ASSERT_TRUE(read) << when;
        std::int64_t there = 0;
        for (const auto& [id, known] : known_) {
            const auto message = read->find(id);
            const bool may_be_gone = std::all_of(known.states.begin(), known.states.end(), [](const auto& recipient) {
                return recipient.second.count(RecipientState::delivered) != 0;
            });
            const bool must_be_gone = std::all_of(known.states.begin(), known.states.end(), [](const auto& recipient) {
                return recipient.second == std::set{RecipientState::delivered};
            });
            if (message.has_error()) {
                ASSERT_EQ(message.error(), ReadError::not_found) << when;
                ASSERT_TRUE(!known.stored || may_be_gone) << when << ": a stored message is lost";
                continue;
            }
            ++there;
            ASSERT_TRUE(known.stored) << when << ": a refused message appeared";
            ASSERT_FALSE(must_be_gone) << when << ": a recorded delivery was undone";
            ASSERT_TRUE(read->verify(id).has_value()) << when << ": " << read->last_error();
            ASSERT_EQ(content(*read, id), known.content) << when;
            for (const Recipient& one : message->recipients) {
                ASSERT_EQ(known.states.at(one.ordinal).count(one.state), 1U)
                    << when << ": recipient " << one.ordinal << " is " << to_string(one.state);
            }
        }
        expect_right_counts(when);
        detail::Connection file(options_.path, detail::OpenMode::read_only);
        ASSERT_EQ(file.query_integer("SELECT count(*) FROM message"), there) << when;
        ASSERT_EQ(file.query_text("PRAGMA foreign_key_check"), "") << when;
        ASSERT_EQ(file.query_text("PRAGMA integrity_check"), "ok") << when;
    }

    /// One run with one fault. False: the run came to its end before the fault.
    bool run(unsigned operations, int nth, bool persistent, bool no_space) {
        const std::string when = "operation " + std::to_string(operations) + " number " + std::to_string(nth) +
                                 (persistent ? ", for good" : ", once") + (no_space ? ", no space" : "");
        known_.clear();
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            std::filesystem::remove(entry.path());
        }
        plan.disarm();
        open();
        if (HasFatalFailure()) {
            return false;
        }
        plan.arm(operations, nth, persistent, no_space);
        work();
        const bool fired = plan.fired > 0;
        if (persistent && fired) {
            // A disk that stays broken takes nothing more.
            send_and_note({"e@example.com"}, "more");
            EXPECT_TRUE(!known_.rbegin()->second.stored || operations == read_operation) << when;
        }
        plan.disarm();
        EXPECT_TRUE(ears_.await_health()) << when;
        // A disk that was full is looked at again after a while.
        EXPECT_TRUE(ears_.await([&] { return store_->admit(0) == StoreStatus::stored; })) << when;
        send_and_note({"f@example.com"}, "after it");
        EXPECT_TRUE(known_.rbegin()->second.stored) << when;
        drain();
        checkpoints_ = store_->counters().checkpoints;
        check(when + ", running");
        if (HasFailure()) {
            return false;
        }
        reopen();
        check(when + ", reopened");
        EXPECT_EQ(query("SELECT count(*) FROM chunk WHERE message NOT IN (SELECT id FROM message)"), 0) << when;
        return fired && !HasFailure();
    }

    void run_all(unsigned operations, bool persistent, bool no_space) {
        int nth = 1;
        while (run(operations, nth, persistent, no_space)) {
            ++nth;
        }
        EXPECT_GT(nth, 2) << "nothing was tried";
    }

    std::map<MessageId, Known> known_;
    std::size_t large_octets_ = 60'000;
    std::uint64_t checkpoints_ = 0;  ///< of the last run
};

TEST_F(StoreFaultTest, AWriteFailsOnce) { run_all(write_operation, false, false); }
TEST_F(StoreFaultTest, AWriteFailsAndAllBehindIt) { run_all(write_operation, true, false); }
TEST_F(StoreFaultTest, AWriteFindsNoSpaceOnce) { run_all(write_operation, false, true); }
TEST_F(StoreFaultTest, AWriteFindsNoSpaceAndAllBehindIt) { run_all(write_operation, true, true); }
TEST_F(StoreFaultTest, AFlushFailsOnce) { run_all(sync_operation, false, false); }
TEST_F(StoreFaultTest, AFlushFailsAndAllBehindIt) { run_all(sync_operation, true, false); }

// The log goes into the file all the time: what fails is often an operation of a checkpoint, in the midst of it.
class CheckpointFaultTest : public StoreFaultTest {
protected:
    CheckpointFaultTest() {
        options_.checkpoint_pages = 4;
        large_octets_ = 5'000;
    }
    void sweep(unsigned operations, bool persistent, bool no_space) {
        run_all(operations, persistent, no_space);
        EXPECT_GT(checkpoints_, 5U) << "the last run, without a fault, was to have more of them";
    }
};

TEST_F(CheckpointFaultTest, AWriteFailsOnce) { sweep(write_operation, false, false); }
TEST_F(CheckpointFaultTest, AWriteFailsAndAllBehindIt) { sweep(write_operation, true, false); }
TEST_F(CheckpointFaultTest, AWriteFindsNoSpaceAndAllBehindIt) { sweep(write_operation, true, true); }
TEST_F(CheckpointFaultTest, AFlushFailsOnce) { sweep(sync_operation, false, false); }
TEST_F(CheckpointFaultTest, AFlushFailsAndAllBehindIt) { sweep(sync_operation, true, false); }
TEST_F(CheckpointFaultTest, AReadFailsOnce) { sweep(read_operation, false, false); }
TEST_F(CheckpointFaultTest, AReadFailsAndAllBehindIt) { sweep(read_operation, true, false); }

// Only a log that had become too large is cut off.
TEST_F(CheckpointFaultTest, TheLogCannotBeCutOff) {
    options_.log_octets_max = 64 << 10;
    for (const bool persistent : {false, true}) {
        open();
        const MessageId first = accept({"a@example.com"}, "first");
        auto shell = std::make_unique<detail::Connection>(options_.path, detail::OpenMode::read_only);
        shell->execute("BEGIN");
        EXPECT_GT(shell->query_integer("SELECT count(*) FROM message"), 0);
        std::vector<MessageId> taken{first};
        while (taken.size() < 100 && store_->admit(0) == StoreStatus::stored) {
            const Sent sent = send({"a@example.com"}, std::string(9'000, 'x'));
            if (sent.status == StoreStatus::stored) {
                taken.push_back(sent.id);
            }
        }
        EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
        plan.arm(truncate_operation, 1, persistent, false);
        shell.reset();
        EXPECT_TRUE(ears_.await([] { return plan.fired > 0; }));
        plan.disarm();
        EXPECT_TRUE(ears_.await([&] { return store_->admit(0) == StoreStatus::stored; }));
        (void)accept({"a@example.com"}, "after");
        for (const MessageId id : taken) {
            EXPECT_TRUE(reader()->verify(id).has_value());
        }
        EXPECT_GT(query("SELECT count(*) FROM message"), static_cast<std::int64_t>(taken.size()));
        store_.reset();
    }
}

TEST_F(StoreFaultTest, AfterAFailedFlushNothingIsStoredUntilItWasOpenedAgain) {
    options_.try_again_after = std::chrono::hours(1);
    open();
    const MessageId before = accept({"a@example.com"}, "before");
    plan.arm(sync_operation, 1, false, false);
    const Sent refused = send({"a@example.com"}, "refused");
    EXPECT_EQ(refused.status, StoreStatus::doubtful) << "until it was opened again, nobody knows";
    EXPECT_TRUE(ears_.await([&] { return ears_.is_closed(); }));
    // The next flush would succeed; nobody may rely on that.
    EXPECT_EQ(store_->admit(0), StoreStatus::failed);
    EXPECT_EQ(send({"a@example.com"}, "refused too").status, StoreStatus::failed);
    EXPECT_EQ(try_record({update(before, 0, RecipientState::delivered)}), StoreStatus::failed);
    // Nor may the refused message come back with the next start, which finds it whole in the log.
    reopen();
    EXPECT_EQ(reader()->find(refused.id).error(), ReadError::not_found);
    EXPECT_TRUE(reader()->verify(before).has_value());
}

// The log is written again before it is relied on: a flush that fails while opening keeps the store closed.
TEST_F(StoreFaultTest, OpeningAgainFailsAsLongAsFlushesFail) {
    open();
    (void)accept({"a@example.com"}, "before");
    plan.arm(sync_operation, 1, true, false);
    EXPECT_EQ(send({"a@example.com"}, "doubtful").status, StoreStatus::doubtful);
    for (int i = 0; i < 100'000 && plan.fired < 4; ++i) {
        EXPECT_EQ(send({"a@example.com"}, "refused").status, StoreStatus::failed);
    }
    EXPECT_EQ(plan.fired, 4) << "it was not tried";
    plan.disarm();
    EXPECT_TRUE(ears_.await_health());
    (void)accept({"a@example.com"}, "after");
    EXPECT_EQ(query("SELECT count(*) FROM message"), 2);
}

TEST_F(StoreFaultTest, AMessageUnderWayWhenTheFileClosedIsLostAsAWhole) {
    open();
    auto message = store_->begin();
    EXPECT_EQ(append(*message, std::string(1000, 'x')), StoreStatus::stored);
    (void)accept({"a@example.com"}, "flushes the part");
    plan.arm(sync_operation, 1, false, false);
    EXPECT_EQ(send({"a@example.com"}, "closes it").status, StoreStatus::doubtful);
    plan.disarm();
    EXPECT_TRUE(ears_.await_health());
    // Its first part went when the file was opened again.
    EXPECT_EQ(commit(*message, {"a@example.com"}, "the end"), StoreStatus::failed);
    EXPECT_EQ(reader()->find(message->id()).error(), ReadError::not_found);
}

TEST_F(StoreFaultTest, OpeningFailsWithAnErrorAndWorksAfterwards) {
    for (const unsigned operations : {write_operation, sync_operation, truncate_operation, open_operation}) {
        for (const bool exists : {false, true}) {
            for (int nth = 1;; ++nth) {
                plan.disarm();
                store_.reset();
                std::filesystem::remove_all(folder_);
                std::filesystem::create_directories(folder_);
                std::optional<MessageId> id;
                if (exists) {
                    open();
                    id = accept({"a@example.com"}, "kept");
                    store_.reset();
                }
                plan.arm(operations, nth, false, false);
                auto opened = SqliteStore::open(options_, clock_, ears_);
                const bool fired = plan.fired > 0;
                plan.disarm();
                if (opened.has_error()) {
                    EXPECT_NE(opened.error().text, "");
                } else {
                    opened->reset();
                }
                open();
                if (id) {
                    EXPECT_TRUE(reader()->verify(*id).has_value());
                }
                (void)accept({"a@example.com"}, "after");
                if (!fired || HasFailure()) {
                    break;
                }
            }
        }
    }
}

}  // namespace
}  // namespace postern::queue
