// A domain's recipients get another backend in stretches: what is called meanwhile is done between them, and whatever
// happens there, none is forgotten.
#include <gmock/gmock.h>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

using namespace std::chrono_literals;

class ReassignTest : public StoreFixture {
protected:
    static constexpr std::size_t stretch = 10;
    static constexpr int messages = 20;

    ReassignTest() {
        open();
        for (int i = 0; i < messages; ++i) {
            ids_.push_back(accept({"a@example.com", "b@example.com", "c@example.net"}, "x"));
        }
        store_.reset();
        options_.by_hand = true;
        options_.stretch = stretch;
        open();
    }
    std::int64_t named(const std::string& backend, const std::string& domain = "example.com") {
        return query(
            ("SELECT count(*) FROM recipient WHERE backend = '" + backend + "' AND domain = '" + domain + "'").c_str());
    }
    void reassign(DomainMoves moves = {{"example.com", "new"}}) {
        store_->reassign("stores", std::move(moves), [this](Result<std::size_t, StoreStatus> count) {
            answer_ = count.has_value() ? std::optional(*count) : std::nullopt;
            answered_ = true;
        });
    }
    void finish() {
        while (store_->work(true)) {}
    }

    std::vector<MessageId> ids_;
    std::optional<std::size_t> answer_;
    bool answered_ = false;
};

TEST_F(ReassignTest, OthersHaveTheirTurnBetweenStretches) {
    reassign();
    EXPECT_TRUE(store_->work(true));
    EXPECT_GT(named("new"), 0);
    EXPECT_LE(named("new"), static_cast<std::int64_t>(stretch));
    bool accepted = false;
    Envelope envelope;
    envelope.received_at = clock_.wall();
    auto message = store_->begin();
    message->commit(envelope, {recipient("d@example.com")}, "x", [&](StoreStatus) { accepted = true; });
    EXPECT_TRUE(store_->work(true));
    EXPECT_TRUE(accepted);
    EXPECT_FALSE(answered_);
    finish();
    EXPECT_EQ(answer_, std::size_t{2 * messages + 1});
    EXPECT_EQ(named("new"), 2 * messages + 1);
    EXPECT_EQ(named("stores"), 0);
    EXPECT_EQ(named("stores", "example.net"), messages) << "another domain";
}

TEST_F(ReassignTest, WhoIsCalledEarlyMeanwhileIsNotForgotten) {
    std::vector<RecipientUpdate> updates;
    for (const MessageId id : ids_) {
        updates.push_back(update(id, 0, RecipientState::waiting, clock_.wall() + 1h));
    }
    store_->record(std::move(updates), {}, [](StoreStatus) {});
    finish();
    reassign();
    EXPECT_TRUE(store_->work(true));
    std::size_t called = 0;
    store_->call_waiting("stores", "a@example.com", clock_.wall() - 24h, 1000,
                         [&](Result<std::size_t, StoreStatus> count) { called = count.has_value() ? *count : 0; });
    finish();
    EXPECT_EQ(called, std::size_t{messages});
    EXPECT_EQ(answer_, std::size_t{2 * messages});
    EXPECT_EQ(named("stores"), 0);
}

TEST_F(ReassignTest, MovesAllDomainsInOneWalk) {
    reassign({{"example.com", "new"}, {"example.net", ""}, {"example.org", "other"}});
    finish();
    EXPECT_EQ(answer_, std::size_t{3 * messages});
    EXPECT_EQ(named("new"), 2 * messages);
    EXPECT_EQ(named("", "example.net"), messages);
}

TEST_F(ReassignTest, GoesOnWhereACrashLeftIt) {
    reassign();
    EXPECT_TRUE(store_->work(true));
    store_.reset();  // by hand: as a crash would
    open();
    EXPECT_FALSE(answered_);
    EXPECT_GT(named("new"), 0);
    EXPECT_GT(named("stores"), 0);
    reassign();
    finish();
    EXPECT_EQ(named("new"), 2 * messages);
    EXPECT_EQ(named("stores"), 0);
}

TEST_F(ReassignTest, AStoreThatEndsSaysThatItWasNotDone) {
    store_.reset();
    options_.by_hand = false;
    options_.stretch = 1;
    open();
    reassign();
    store_.reset();  // does not wait for all of it
    EXPECT_TRUE(answered_);
    EXPECT_TRUE(!answer_ || *answer_ == std::size_t{2 * messages});
}

}  // namespace
}  // namespace postern::queue
