// What a recipient waits for, in each of the ways in which one can wait.
#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class ExplainTest : public SchedulerTest {
protected:
    Explanation why(queue::MessageId id, queue::Ordinal ordinal = 0) {
        const Explanation told = scheduler->explain(id, row(id, ordinal), now);
        EXPECT_FALSE(told.text.empty());
        return told;
    }
};

TEST_F(ExplainTest, InFlight) {
    begin();
    const auto id = send({"a@example.com"});
    const Explanation told = why(id);
    EXPECT_EQ(told.reason, WaitsFor::result);
    EXPECT_EQ(told.endpoint, "store1:24");
    EXPECT_EQ(told.since, now.wall);
}

TEST_F(ExplainTest, ItsNextAttempt) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 come later"});
    const Explanation told = why(id);
    EXPECT_EQ(told.reason, WaitsFor::next_attempt);
    EXPECT_EQ(told.until, row(id).next_attempt_at);
    EXPECT_EQ(told.reply, "450 4.2.1 come later");
}

TEST_F(ExplainTest, ItsTurnOrRoomInMemory) {
    options.backends["stores"].connections = 1;
    options.window = 2;
    begin();
    send({"a@example.com"});
    const auto second = send({"b@example.com"});
    for (int i = 0; i < 5; ++i) {
        send({"c" + std::to_string(i) + "@example.com"});
    }
    const auto last = send({"d@example.com"});
    EXPECT_EQ(why(second).reason, WaitsFor::turn);
    EXPECT_EQ(why(last).reason, WaitsFor::memory);
}

TEST_F(ExplainTest, AnOutage) {
    begin();
    const auto id = send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect, "connection refused");
    const Explanation told = why(id);
    EXPECT_EQ(told.reason, WaitsFor::endpoint);
    EXPECT_EQ(told.endpoint, "store1:24");
    EXPECT_EQ(told.reply, "connection refused");
    EXPECT_EQ(told.since, now.wall);
    EXPECT_EQ(told.until, now.wall + 1s);
}

TEST_F(ExplainTest, APause) {
    begin();
    ASSERT_EQ(scheduler->order(BackendOrder::pause, "stores", "root", "", now), Scheduler::Ordered::done);
    const auto id = send({"a@example.com"});
    const Explanation told = why(id);
    EXPECT_EQ(told.reason, WaitsFor::resume);
    EXPECT_EQ(told.actor, "root");
    EXPECT_THAT(told.remedy, testing::HasSubstr("backend resume stores"));
}

TEST_F(ExplainTest, APauseAlsoOfWhatIsNotDueYet) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 come later"});
    ASSERT_EQ(scheduler->order(BackendOrder::pause, "stores", "root: backend pause stores", "new disk", now),
              Scheduler::Ordered::done);
    const queue::Instant paused_at = now.wall;
    pass(10s);
    ASSERT_GT(row(id).next_attempt_at, now.wall);
    const Explanation told = why(id);
    EXPECT_EQ(told.reason, WaitsFor::resume);
    EXPECT_EQ(told.since, paused_at);
    EXPECT_EQ(told.actor, "root: backend pause stores");
    EXPECT_THAT(told.text, testing::HasSubstr("paused by an operator: new disk"));
    EXPECT_EQ(told.remedy, "postern backend resume stores");
    EXPECT_EQ(told.until, std::nullopt) << "its time alone changes nothing";
    EXPECT_EQ(told.reply, "450 4.2.1 come later");
    ASSERT_EQ(scheduler->order(BackendOrder::resume, "stores", "root", "", now), Scheduler::Ordered::done);
    EXPECT_EQ(why(id).reason, WaitsFor::next_attempt);
}

TEST_F(ExplainTest, TheBrake) {
    options.backends["stores"].brake = {true, 10min, 3, 3, 0.8};
    begin();
    queue::MessageId id;
    for (const char* user : {"a", "b", "c"}) {
        id = send({std::string(user) + "@example.com"});
        reply_to_next({"550 5.1.1 unknown"});
    }
    EXPECT_EQ(why(id).reason, WaitsFor::brake);
}

TEST_F(ExplainTest, ARoute) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    routes.erase("example.com");
    scheduler->reconfigure(options, route(), now);
    run();
    EXPECT_EQ(why(id).reason, WaitsFor::route);
}

TEST_F(ExplainTest, AnOperator) {
    begin();
    const auto held = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    ASSERT_TRUE(scheduler->order(Order::hold, held, row(held), "root", now));
    EXPECT_EQ(why(held).reason, WaitsFor::release);
    const auto parked = send({"b@example.com"});
    reply_to_next({"550 5.1.1 unknown"});
    EXPECT_EQ(why(parked).reason, WaitsFor::report);
    const auto done = send({"c@example.com"});
    reply_to_next({"250 ok"});
    EXPECT_EQ(why(done).reason, WaitsFor::nothing);
}

TEST_F(ExplainTest, ADiskThatCannotRecord) {
    begin();
    scheduler->set_recording(false);
    const auto id = send({"a@example.com"});
    EXPECT_EQ(why(id).reason, WaitsFor::recording);
}

TEST_F(ExplainTest, AMailboxThatIsBusy) {
    begin();
    std::vector<queue::MessageId> ids;
    for (int i = 0; i < 8; ++i) {
        ids.push_back(send({"one@example.com"}));
    }
    ASSERT_EQ(plans.size(), 4U);
    reply_to_next({"451 4.3.0 Too many concurrent deliveries"});
    EXPECT_EQ(why(ids.back()).reason, WaitsFor::mailbox);
}

TEST_F(ExplainTest, StatesShowWhatTheOperatorAsks) {
    begin();
    send({"a@example.com"});
    send({"b@example.com"});
    BackendState before = state();
    EXPECT_EQ(before.in_flight, 2U);
    EXPECT_EQ(before.backlog, 2U);
    EXPECT_EQ(before.endpoints[0].connections, 20U);
    EXPECT_GT(before.endpoints[0].allowed, 0U);
    break_next(Fate::not_tried, Trouble::connect, "refused");
    const BackendState after = state();
    EXPECT_EQ(after.endpoints[0].circuit, Circuit::State::open);
    EXPECT_EQ(after.endpoints[0].allowed, 0U);
    EXPECT_EQ(after.endpoints[0].last_error, "refused");
    EXPECT_EQ(after.endpoints[0].last_error_at, now.wall);
    EXPECT_EQ(after.down_since, now.wall);
    ASSERT_TRUE(after.endpoints[0].next_probe_at);
}

}  // namespace
}  // namespace postern::delivery::tests
