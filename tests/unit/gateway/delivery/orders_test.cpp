// What operators want: of recipients and of backends, in flight and over restarts.
#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class OrdersTest : public SchedulerTest {};

TEST_F(OrdersTest, APauseStopsNewTransactionsAndLetsThoseAtWorkEnd) {
    begin();
    const auto first = send({"a@example.com"});
    EXPECT_EQ(scheduler->order(BackendOrder::pause, "stores", "root", "maintenance", now), Scheduler::Ordered::done);
    const auto second = send({"b@example.com"});
    ASSERT_EQ(plans.size(), 1U);
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(first).state, RecipientState::delivered);
    pass(1h);
    EXPECT_TRUE(plans.empty());
    EXPECT_TRUE(probes.empty());
    EXPECT_EQ(scheduler->order(BackendOrder::pause, "stores", "root", "", now), Scheduler::Ordered::nothing_to_do);
    EXPECT_EQ(scheduler->order(BackendOrder::resume, "stores", "root", "", now), Scheduler::Ordered::done);
    run();
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(second).state, RecipientState::delivered);
    EXPECT_EQ(events.count("paused stores"), 1U);
    EXPECT_EQ(events.count("resumed stores"), 1U);
}

TEST_F(OrdersTest, APauseHoldsOverARestartAndAReload) {
    begin();
    ASSERT_EQ(scheduler->order(BackendOrder::pause, "stores", "root", "maintenance", now), Scheduler::Ordered::done);
    send({"a@example.com"});
    restart();
    EXPECT_TRUE(plans.empty());
    ASSERT_TRUE(state().paused);
    EXPECT_EQ(state().paused->actor, "root");
    EXPECT_EQ(state().paused->reason, "maintenance");
    scheduler->reconfigure(options, route(), now);
    run();
    EXPECT_TRUE(plans.empty());
    ASSERT_EQ(scheduler->order(BackendOrder::resume, "stores", "root", "", now), Scheduler::Ordered::done);
    restart();
    EXPECT_EQ(plans.size(), 1U);
}

TEST_F(OrdersTest, APausedBackendDoesNotStopAnother) {
    add_backend("others", {"other:24"});
    routes["example.org"] = "others";
    begin();
    ASSERT_EQ(scheduler->order(BackendOrder::pause, "stores", "root", "", now), Scheduler::Ordered::done);
    send({"a@example.com", "b@example.org"});
    ASSERT_EQ(plans.size(), 1U);
    EXPECT_EQ(plans.front()->backend, "others");
}

TEST_F(OrdersTest, AnUnknownBackendIsSaidToBeUnknown) {
    begin();
    EXPECT_EQ(scheduler->order(BackendOrder::pause, "nobody", "root", "", now), Scheduler::Ordered::unknown_backend);
    EXPECT_FALSE(scheduler->hurry("nobody", now));
}

TEST_F(OrdersTest, HurryProbesNow) {
    begin();
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect);
    EXPECT_TRUE(probes.empty());
    EXPECT_TRUE(scheduler->hurry("stores", now));
    run();
    EXPECT_EQ(probes.size(), 1U);
}

TEST_F(OrdersTest, WhatIsHeldOrRemovedWhileItWaitsIsNotTried) {
    options.backends["stores"].connections = 1;
    begin();
    send({"first@example.com"});
    const auto held = send({"held@example.com"});
    const auto removed = send({"removed@example.com"});
    ASSERT_TRUE(scheduler->order(Order::hold, held, row(held), "root", now));
    ASSERT_TRUE(scheduler->order(Order::remove, removed, row(removed), "root", now));
    reply_to_next({"250 ok"});
    pass(1h);
    EXPECT_TRUE(plans.empty());
    ASSERT_TRUE(scheduler->order(Order::release, held, row(held), "root", now));
    run();
    EXPECT_THAT(addresses(*reply_to_next({"250 ok"})), testing::ElementsAre("held@example.com"));
    EXPECT_EQ(row(removed).state, RecipientState::removed);
}

TEST_F(OrdersTest, AHoldInFlightHoldsUnlessItWasDelivered) {
    begin();
    const auto delivered = send({"a@example.com"});
    const auto deferred = send({"b@example.com"});
    ASSERT_TRUE(scheduler->order(Order::hold, delivered, row(delivered), "root", now));
    ASSERT_TRUE(scheduler->order(Order::hold, deferred, row(deferred), "root", now));
    reply_to_next({"250 ok"});
    reply_to_next({"450 4.2.1 later"});
    EXPECT_EQ(row(delivered).state, RecipientState::delivered);
    EXPECT_EQ(row(deferred).state, RecipientState::held);
    pass(1h);
    EXPECT_TRUE(plans.empty());
}

TEST_F(OrdersTest, RetryTriesAtOnce) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    ASSERT_TRUE(scheduler->order(Order::retry, id, row(id), "root", now));
    EXPECT_EQ(row(id).state, RecipientState::waiting) << "its time changes, not what it is";
    EXPECT_EQ(row(id).next_attempt_at, now.wall);
    run();
    EXPECT_EQ(plans.size(), 1U);
}

TEST_F(OrdersTest, WhatIsDoneIsDone) {
    begin();
    const auto id = send({"a@example.com"});
    const queue::Recipient before = row(id);
    reply_to_next({"250 ok"});
    for (const Order order : {Order::retry, Order::hold, Order::release, Order::remove}) {
        EXPECT_FALSE(scheduler->order(order, id, row(id), "root", now));
    }
    EXPECT_EQ(before.state, RecipientState::ready);
}

TEST_F(OrdersTest, WhatIsRecordedLateIsFound) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"550 5.1.1 no such user"});
    ASSERT_EQ(row(id).state, RecipientState::parked);
    // The store cannot take the order yet: what it shows is still the state before.
    const queue::Recipient parked = row(id);
    ASSERT_TRUE(scheduler->order(Order::release, id, parked, "root", now));
    const queue::Recipient released = std::exchange(rows.at({id.value(), 0}).recipient, parked);
    run();
    scheduler->set_recording(false);
    run();
    rows.at({id.value(), 0}).recipient = released;
    scheduler->set_recording(true);
    run();
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(id).state, RecipientState::delivered);
}

TEST_F(OrdersTest, WhatIsTakenOutIsNotBroughtBackByALoadThatIsOnItsWay) {
    for (const Order order : {Order::hold, Order::remove, Order::bounce}) {
        begin();
        const auto id = put({"a@example.com"});
        const queue::Recipient as_it_was = row(id);
        hold_loads = true;
        scheduler->look("stores");
        run();
        ASSERT_FALSE(loads.empty());
        ASSERT_TRUE(scheduler->order(order, id, as_it_was, "root", now));
        const queue::Recipient as_ordered = row(id);
        rows.at({id.value(), 0}).recipient = as_it_was;  // the load comes before the order there
        hold_loads = false;
        ASSERT_TRUE(answer_loads());
        rows.at({id.value(), 0}).recipient = as_ordered;
        run();
        EXPECT_TRUE(plans.empty());
        rows.clear();
        plans.clear();
        loads.clear();
        scheduler.reset();
    }
}

}  // namespace
}  // namespace postern::delivery::tests
