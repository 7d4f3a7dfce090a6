// Power fails at the n-th write, truncation or flush, for n = 1, 2, ..., while the log goes into the file all the time:
// what was acknowledged before is there afterwards, whole, and what was refused is not.
#include <map>
#include <set>

#include "tests/simulation/disk.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

class StorePowerTest : public StoreFixture {
protected:
    StorePowerTest() {
        options_.by_hand = true;
        options_.history = Duration(0);
        options_.checkpoint_pages = 4;
    }
    ~StorePowerTest() override { store_.reset(); }

    /// What a client was told before the power went; absent: nothing.
    using Told = std::map<MessageId, StoreStatus>;

    void send_by_hand(simulation::Disk& disk, const std::string& last, const std::vector<std::string>& parts) {
        auto message = store_->begin();
        const MessageId id = message->id();
        contents_[id] = last;
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
            contents_[id].insert(0, *part);
        }
        for (const std::string& part : parts) {
            message->append(part, [](StoreStatus) {});
            (void)store_->work(false);
        }
        message->commit(Envelope(), {recipient("a@example.com"), recipient("b@example.com", 1)}, last,
                        [&, id](StoreStatus status) {
                            if (!disk.is_down()) {
                                told_[id] = status;
                            }
                        });
        (void)store_->work(true);
    }
    void deliver_by_hand(simulation::Disk& disk, MessageId id, Ordinal ordinal) {
        store_->record({update(id, ordinal, RecipientState::delivered)}, {}, [&, id, ordinal](StoreStatus status) {
            if (!disk.is_down() && status == StoreStatus::stored) {
                delivered_[id].insert(ordinal);
            } else {
                perhaps_[id].insert(ordinal);
            }
        });
        (void)store_->work(true);
    }
    void work(simulation::Disk& disk) {
        const std::string large(6'000, 'l');
        for (int i = 0; i < 3 && !disk.is_down(); ++i) {
            send_by_hand(disk, "small", {});
            send_by_hand(disk, large, {large});
            for (const auto& [id, status] : Told(told_)) {
                if (status == StoreStatus::stored && !disk.is_down()) {
                    deliver_by_hand(disk, id, static_cast<Ordinal>(i % 2));
                }
            }
        }
        checkpoints_ = store_->counters().checkpoints;
    }
    void check(const std::string& when) {
        const auto read = reader();
        ASSERT_TRUE(read) << when;
        for (const auto& [id, content_sent] : contents_) {
            const auto message = read->find(id);
            const auto answer = told_.find(id);
            std::set<Ordinal> done = delivered_[id];
            std::set<Ordinal> maybe = done;
            maybe.insert(perhaps_[id].begin(), perhaps_[id].end());
            if (message.has_error()) {
                ASSERT_EQ(message.error(), ReadError::not_found) << when;
                ASSERT_TRUE(answer == told_.end() || answer->second != StoreStatus::stored || maybe.size() == 2)
                    << when << ": an acknowledged message is lost";
                continue;
            }
            ASSERT_TRUE(answer == told_.end() || answer->second == StoreStatus::stored)
                << when << ": a refused message appeared";
            ASSERT_LT(done.size(), 2U) << when << ": a recorded delivery was undone";
            ASSERT_TRUE(read->verify(id).has_value()) << when << ": " << read->last_error();
            ASSERT_EQ(content(*read, id), content_sent) << when;
            for (const Recipient& one : message->recipients) {
                const bool is_delivered = one.state == RecipientState::delivered;
                ASSERT_TRUE(is_delivered ? maybe.count(one.ordinal) > 0 : done.count(one.ordinal) == 0) << when;
            }
        }
        expect_right_counts(when);
        detail::Connection file(options_.path, detail::OpenMode::read_only);
        ASSERT_EQ(file.query_text("PRAGMA integrity_check"), "ok") << when;
    }
    /// False: all was done before the power would have failed.
    bool run(std::uint64_t step, std::uint64_t seed, bool power_cut) {
        const std::string when = "step " + std::to_string(step) + ", seed " + std::to_string(seed) +
                                 (power_cut ? ", power cut" : ", killed");
        simulation::Disk disk(seed);
        contents_.clear();
        told_.clear();
        delivered_.clear();
        perhaps_.clear();
        open();
        if (HasFatalFailure()) {
            return false;
        }
        disk.fail_power_in(step);
        work(disk);
        const bool failed = disk.is_down();
        disk.go_down();
        store_.reset();
        disk.restart(power_cut);
        open();
        if (!HasFatalFailure()) {
            check(when);
        }
        store_.reset();
        return failed && !HasFailure();
    }

    std::map<MessageId, std::string> contents_;
    Told told_;
    std::map<MessageId, std::set<Ordinal>> delivered_;
    std::map<MessageId, std::set<Ordinal>> perhaps_;
    std::uint64_t checkpoints_ = 0;
};

TEST_F(StorePowerTest, NothingAcknowledgedIsLostWhereverThePowerFails) {
    std::uint64_t step = 1;
    while (run(step, step, true)) {
        ++step;
    }
    EXPECT_GT(checkpoints_, 5U);
    EXPECT_GT(step, 50U);
}

TEST_F(StorePowerTest, NorWhereverItIsKilled) {
    std::uint64_t step = 1;
    while (run(step, step, false)) {
        step += 3;
    }
    EXPECT_GT(step, 50U);
}

}  // namespace
}  // namespace postern::queue
