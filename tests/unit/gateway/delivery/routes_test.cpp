// Routes are resolved at the attempt: a corrected configuration corrects what is queued.
#include "queue/unreadable.hpp"
#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class RoutesTest : public SchedulerTest {
protected:
    RoutesTest() {
        add_backend("others", {"other:24"});
        routes["example.org"] = "others";
    }
    void reload() {
        scheduler->reconfigure(options, route(), now);
        run();
    }
};

TEST_F(RoutesTest, AReloadMovesWhatIsInMemoryAndWhatIsNot) {
    options.window = 10;
    begin();
    send({"first@example.com"});
    while (!plans.empty()) {
        break_next(Fate::not_tried, Trouble::connect);
    }
    for (int i = 0; i < 100; ++i) {
        put({"u" + std::to_string(i) + "@example.com"});
    }
    scheduler->look("stores");
    run();
    routes["example.com"] = "others";
    reload();
    EXPECT_EQ(events.count("rerouted othersexample.com"), 1U);
    while (!plans.empty()) {
        EXPECT_EQ(reply_to_next({"250 ok"})->backend, "others");
    }
    for (const auto& [key, each] : rows) {
        EXPECT_EQ(each.recipient.state, RecipientState::delivered);
    }
}

TEST_F(RoutesTest, WhatWasComingInDuringAReloadGoesWhereItsDomainBelongsNow) {
    begin();
    routes["example.com"] = "others";
    reload();
    const auto id = put({"u@example.com"});
    auto message = std::make_shared<queue::CommittedMessage>();
    message->envelope.id = id;
    message->envelope.received_at = now.wall;
    message->recipients.push_back(row(id));
    message->recipients.front().backend = "stores";  // chosen before
    scheduler->committed(message, now);
    run();
    EXPECT_EQ(reply_to_next({"250 ok"})->backend, "others");
}

TEST_F(RoutesTest, ManyDomainsMoveInOneWalk) {
    routes["example.net"] = "stores";
    begin();
    const auto first = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    const auto second = send({"a@example.net"});
    reply_to_next({"450 4.2.1 later"});
    routes["example.com"] = "others";
    routes["example.net"] = "others";
    reload();
    EXPECT_EQ(reassignments, 1U);
    EXPECT_EQ(row(first).backend, "others");
    EXPECT_EQ(row(second).backend, "others");
}

TEST_F(RoutesTest, WhatCouldNotBeReassignedIsLookedForAgain) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    routes["example.com"] = "others";
    reassign_fails = true;
    reload();
    EXPECT_EQ(reassignments, 1U);
    EXPECT_EQ(row(id).backend, "stores");
    reassign_fails = false;
    pass(2s);
    EXPECT_EQ(reassignments, 2U);
    EXPECT_EQ(row(id).backend, "others");
    pass(2s);
    EXPECT_EQ(reassignments, 2U) << "once it is done, that is all";
}

// It takes a while where many wait, and a second reload may come before it has ended.
TEST_F(RoutesTest, AReassignmentThatAReloadOvertookIsLookedAtAgain) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    routes["example.com"] = "others";
    hold_loads = true;
    reload();
    scheduler->surveyed(cells(), now);  // begins it
    routes.erase("example.com");
    scheduler->reconfigure(options, route(), now);
    scheduler->surveyed(cells(), now);
    hold_loads = false;
    pass(2min);
    EXPECT_EQ(row(id).backend, "") << "it has no route any more";
}

TEST_F(RoutesTest, WhatIsLeftWithoutARouteWaitsWithAnEventAndComesBack) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    routes.erase("example.com");
    reload();
    EXPECT_EQ(events.count("no_route storesexample.com"), 1U);
    const std::size_t before = loads_answered;
    for (int i = 0; i < 50; ++i) {
        pass_to_wake(1h);
    }
    EXPECT_TRUE(plans.empty());
    EXPECT_EQ(row(id).state, RecipientState::waiting) << "it waits, it does not fail";
    EXPECT_LE(loads_answered - before, 60U) << "no busy loop over it";
    EXPECT_EQ(events.count("no_route storesexample.com"), 1U) << "said once";
    routes["example.com"] = "others";
    reload();
    EXPECT_EQ(reply_to_next({"250 ok"})->backend, "others");
    EXPECT_EQ(row(id).state, RecipientState::delivered);
}

TEST_F(RoutesTest, ABackendThatIsRenamedKeepsItsMail) {
    begin();
    const auto waiting = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    options.backends.erase("stores");
    add_backend("renamed", {"store1:24"});
    routes["example.com"] = "renamed";
    reload();
    pass(10min);
    EXPECT_EQ(reply_to_next({"250 ok"})->backend, "renamed");
    EXPECT_EQ(row(waiting).state, RecipientState::delivered);
}

TEST_F(RoutesTest, WhatTheStoreHeldAtTheStartIsRoutedAnew) {
    const auto id = put({"a@example.com"});
    rows.at({id.value(), 0}).recipient.backend = "of_last_year";
    begin();
    EXPECT_EQ(reply_to_next({"250 ok"})->backend, "stores");
    EXPECT_EQ(row(id).state, RecipientState::delivered);
}

TEST_F(RoutesTest, WhatIsInFlightEndsWhereItIs) {
    begin();
    const auto id = send({"a@example.com"});
    routes["example.com"] = "others";
    reload();
    ASSERT_EQ(plans.size(), 1U) << "not a second time beside the first";
    reply_to_next({"450 4.2.1 later"});
    pass(10min);
    EXPECT_EQ(reply_to_next({"250 ok"})->backend, "others");
    EXPECT_EQ(row(id).state, RecipientState::delivered);
}

TEST_F(RoutesTest, AMessageForTwoBackendsGoesToBoth) {
    begin();
    const auto id = send({"a@example.com", "b@example.org"});
    ASSERT_EQ(plans.size(), 2U);
    reply_to_next({"250 ok"});
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(id, 0).state, RecipientState::delivered);
    EXPECT_EQ(row(id, 1).state, RecipientState::delivered);
}

TEST_F(RoutesTest, WhatWasHeldGoesWhereItsDomainBelongsWhenItIsReleased) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    ASSERT_TRUE(scheduler->order(Order::hold, id, row(id), "root", now));
    routes["example.com"] = "others";
    reload();
    ASSERT_TRUE(scheduler->order(Order::release, id, row(id), "root", now));
    run();
    EXPECT_EQ(reply_to_next({"250 ok"})->backend, "others");
}

// Its address cannot be routed, and yet somebody has to find that its message is damaged.
TEST_F(RoutesTest, ARecipientWhoseRowIsDamagedGoesOnToWhereThatIsFound) {
    begin();
    const auto id = put({"a@example.com", "b@example.com"});
    rows.at({id.value(), 1}).recipient.address = mailbox(std::string(queue::unreadable_address));
    for (queue::Ordinal ordinal = 0; ordinal < 2; ++ordinal) {
        const queue::Recipient before = row(id, ordinal);
        ASSERT_TRUE(scheduler->order(Order::retry, id, before, "root", now));
    }
    run();
    const auto plan = next_plan();
    EXPECT_EQ(plan->recipients.size(), 2U);
    scheduler->unreadable(plan->number, Scheduler::Unreadable::damaged, "checksum", now);
    end(*plan);
    EXPECT_EQ(row(id, 0).state, RecipientState::held);
    EXPECT_EQ(row(id, 1).state, RecipientState::held);
}

}  // namespace
}  // namespace postern::delivery::tests
