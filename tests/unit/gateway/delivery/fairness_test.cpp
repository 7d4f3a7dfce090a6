// Isolation and fairness between stores and between messages, and the bounds of memory.
#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class FairnessTest : public SchedulerTest {
protected:
    std::vector<std::string> many(int count, const std::string& prefix = "r") {
        std::vector<std::string> list;
        for (int i = 0; i < count; ++i) {
            list.push_back(prefix + std::to_string(i) + "@example.com");
        }
        return list;
    }
};

TEST_F(FairnessTest, AHungStoreCostsAnotherNothing) {
    add_backend("hung", {"hung:24"});
    routes["example.org"] = "hung";
    begin();
    for (int i = 0; i < 200; ++i) {
        send({"x" + std::to_string(i) + "@example.org"});
    }
    plans.clear();  // they never say anything
    for (int i = 0; i < 200; ++i) {
        const auto id = send({"u" + std::to_string(i) + "@example.com"});
        ASSERT_EQ(plans.size(), 1U) << "not started at once";
        reply_to_next({"250 ok"});
        EXPECT_EQ(row(id).state, RecipientState::delivered);
    }
}

TEST_F(FairnessTest, ALargeMessageCostsASmallOneOneTransactionsWait) {
    options.backends["stores"].connections = 1;
    begin();
    const auto large = send(many(10'000));
    const auto small = send({"small@example.com"});
    EXPECT_EQ(reply_to_next({"250 ok"})->message, large);
    EXPECT_EQ(reply_to_next({"250 ok"})->message, small);
    std::size_t transactions = 1;
    while (!plans.empty()) {
        EXPECT_LE(reply_to_next({"250 ok"})->recipients.size(), 100U);
        ++transactions;
    }
    EXPECT_EQ(transactions, 100U);
    for (queue::Ordinal i = 0; i < 10'000; ++i) {
        ASSERT_EQ(row(large, i).state, RecipientState::delivered) << i;
    }
}

TEST_F(FairnessTest, ALargeMessageFromTheStoreDoesNotFillTheWindow) {
    options.backends["stores"].connections = 1;
    options.window = 800;
    put(many(3000));
    const auto small = put({"small@example.com"});
    rows.at({small.value(), 0}).recipient.next_attempt_at = now.wall + 1ms;  // behind all of them
    now.wall += 1s;
    now.steady += 1s;
    begin();
    int before = 0;
    for (; row(small).state != RecipientState::delivered; ++before) {
        ASSERT_LT(before, 30);
        reply_to_next({"250 ok"});
    }
    EXPECT_LE(before, 2);
    while (!plans.empty()) {
        reply_to_next({"250 ok"});
    }
    for (const auto& [key, each] : rows) {
        ASSERT_EQ(each.recipient.state, RecipientState::delivered) << key.second;
    }
}

TEST_F(FairnessTest, ASmallFreshMessageFindsRoomAmongLargeOnes) {
    options.backends["stores"].connections = 1;
    options.window = 800;
    begin();
    for (int i = 0; i < 12; ++i) {
        send(many(500, "m" + std::to_string(i) + "-"));
    }
    const auto small = send({"small@example.com"});
    int before = 0;
    while (row(small).state != RecipientState::delivered) {
        ASSERT_LT(++before, 20) << "once round the line is enough";
        reply_to_next({"250 ok"});
    }
}

TEST_F(FairnessTest, MemoryIsBoundedByTheWindowAndEverythingIsFoundAgain) {
    options.window = 200;
    options.backends["stores"].recipients_per_transaction = 10;
    options.backends["stores"].connections = 4;
    for (int i = 0; i < 3000; ++i) {
        put({"u" + std::to_string(i) + "@example.com"});
    }
    put(many(1500));
    begin();
    std::size_t most = 0;
    for (int i = 0; !plans.empty(); ++i) {
        ASSERT_LT(i, 10'000);
        most = std::max(most, scheduler->in_memory());
        if (i % 10 == 0) {
            send({"fresh" + std::to_string(i) + "@example.com"});
        }
        reply_to_next({"250 ok"});
    }
    EXPECT_LE(most, 500U);
    for (const auto& [key, each] : rows) {
        ASSERT_EQ(each.recipient.state, RecipientState::delivered) << each.recipient.address.to_string();
    }
    EXPECT_LT(rows_loaded, 15'000U) << "what is known is read over and over";
}

TEST_F(FairnessTest, WhatIsMissedWhileAPageIsReadIsFound) {
    options.window = 100;
    for (int i = 0; i < 1000; ++i) {
        put({"u" + std::to_string(i) + "@example.com"});
    }
    begin();
    hold_loads = true;
    for (int i = 0; i < 90; ++i) {
        reply_to_next({"250 ok"});
    }
    ASSERT_FALSE(loads.empty());
    put({"old@example.com"}, 1h);  // its place lies before what is being read
    scheduler->look("stores");
    hold_loads = false;
    run();
    while (!plans.empty()) {
        reply_to_next({"250 ok"});
    }
    for (const auto& [key, each] : rows) {
        ASSERT_EQ(each.recipient.state, RecipientState::delivered) << each.recipient.address.to_string();
    }
}

TEST_F(FairnessTest, WhatComesDueWhileItsTransactionStillRunsIsTriedAfterIt) {
    begin();
    const auto id = send({"a@example.com", "b@example.com"});
    const auto plan = next_plan();
    scheduler->outcome(plan->number, 0, {Fate::replied, reply("450 4.2.1 later")}, now);
    pass(2h);  // the store takes its time for the second
    scheduler->outcome(plan->number, 1, {Fate::replied, reply("250 ok")}, now);
    end(*plan);
    ASSERT_EQ(plans.size(), 1U);
    EXPECT_EQ(reply_to_next({"250 ok"})->recipients.size(), 1U);
    EXPECT_EQ(row(id, 0).state, RecipientState::delivered);
}

TEST_F(FairnessTest, AClockThatIsSetForwardIsNoticedWithinAMinute) {
    options.retry.first = 1h;
    begin();
    send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    now.wall += 2h;
    const auto before = now.steady;
    while (plans.empty()) {
        pass_to_wake();
        ASSERT_LE(now.steady - before, 61s);
    }
}

TEST_F(FairnessTest, AClockThatIsSetForwardByDaysGivesNothingUp) {
    begin();
    const auto began = now.steady;
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    now.wall += 240h;
    while (plans.empty()) {
        pass_to_wake();
    }
    reply_to_next({"450 4.2.1 later"});
    EXPECT_EQ(row(id, 0).state, RecipientState::waiting);
    while (row(id, 0).state == RecipientState::waiting) {
        pass_to_wake();
        if (!plans.empty()) {
            reply_to_next({"450 4.2.1 later"});
        }
    }
    EXPECT_GE(now.steady - began, options.retry.expire);  // and is given up by the time that it lived
}

TEST_F(FairnessTest, AShareThatEndsWhereAPageEndsIsFollowedByTheRest) {
    options.backends["stores"].connections = 1;
    options.backends["stores"].recipients_per_transaction = 10;
    options.window = 80;  // a share is 10, and so is what the last page has room for
    for (int i = 0; i < 70; ++i) {
        put({"u" + std::to_string(i) + "@example.com"});
    }
    put(many(300));
    begin();
    while (!plans.empty()) {
        reply_to_next({"250 ok"});
    }
    for (const auto& [key, each] : rows) {
        ASSERT_EQ(each.recipient.state, RecipientState::delivered) << each.recipient.address.to_string();
    }
}

TEST_F(FairnessTest, ALargeMessageIsNotStarvedBySmallOnes) {
    options.backends["stores"].connections = 1;
    begin();
    const auto large = send(many(300));
    int turns = 0;
    while (row(large, 299).state != RecipientState::delivered) {
        ASSERT_LT(++turns, 40);
        send({"small" + std::to_string(turns) + "@example.com"});
        send({"other" + std::to_string(turns) + "@example.com"});
        reply_to_next({"250 ok"});
    }
}

TEST_F(FairnessTest, ATransactionThatHangsDoesNotStopTheOthersOfItsStore) {
    begin();
    send({"hangs@example.com"});
    pass(1min);
    send({"goes@example.com"});
    EXPECT_EQ(plans.size(), 2U);
}

TEST_F(FairnessTest, ManyBackendsShareTheMemory) {
    options.window = 4000;
    options.window_total = 4000;
    options.backends.clear();
    for (int b = 0; b < 40; ++b) {
        const std::string name = "b" + std::to_string(b);
        add_backend(name, {name + ":24"});
        options.backends[name].connections = 1;
        routes[name + ".example"] = name;
        for (int i = 0; i < 300; ++i) {
            put({"u" + std::to_string(i) + "@" + name + ".example"});
        }
    }
    begin();
    EXPECT_LE(scheduler->in_memory(), 4000U + 40U);
    while (!plans.empty()) {
        reply_to_next({"250 ok"});
    }
    for (const auto& [key, each] : rows) {
        ASSERT_EQ(each.recipient.state, RecipientState::delivered);
    }
}

TEST_F(FairnessTest, NothingIsAskedOverAndOverWhileAStoreIsDown) {
    options.window = 100;
    for (int i = 0; i < 1000; ++i) {
        put({"u" + std::to_string(i) + "@example.com"});
    }
    begin();
    while (!plans.empty()) {
        break_next(Fate::not_tried, Trouble::connect);
    }
    const std::size_t before = loads_answered;
    for (int i = 0; i < 100; ++i) {
        pass_to_wake(10s);
        if (!probes.empty()) {
            answer_probe(false);
        }
    }
    EXPECT_LE(loads_answered - before, 2U);
}

TEST_F(FairnessTest, DeliveredNeighboursAreNotTriedAgain) {
    begin();
    const auto id = send({"a@example.com", "b@example.com"});
    reply_to_next({"250 ok", "450 4.2.1 later"});
    restart();
    pass(10min);
    ASSERT_EQ(plans.size(), 1U);
    EXPECT_THAT(addresses(*plans.front()), testing::ElementsAre("b@example.com"));
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(id, 1).state, RecipientState::delivered);
}

TEST_F(FairnessTest, WhenTheStoreCannotRecordNothingIsStarted) {
    begin();
    send({"a@example.com"});
    scheduler->set_recording(false);
    for (int i = 0; i < 5; ++i) {
        send({"b" + std::to_string(i) + "@example.com"});
    }
    pass(10min);
    EXPECT_EQ(plans.size(), 1U) << "only what had begun before";
    scheduler->set_recording(true);
    run();
    EXPECT_GT(plans.size(), 1U);
}

TEST_F(FairnessTest, NoLoadIsBelievedThatKnowsNothingOfResultsWhichTheStoreRefuses) {
    begin();
    const auto id = send({"a@example.com"});
    const queue::Recipient as_it_was = row(id);
    hold_loads = true;
    scheduler->look("stores");
    run();
    reply_to_next({"450 4.7.1 later"});
    const queue::Recipient result = row(id);
    ASSERT_GT(result.next_attempt_at, now.wall);
    rows.at({id.value(), 0}).recipient = as_it_was;  // the disk is full
    scheduler->set_recording(false);
    hold_loads = false;
    run();
    while (answer_loads()) {}
    rows.at({id.value(), 0}).recipient = result;  // it has room again
    scheduler->set_recording(true);
    run();
    EXPECT_TRUE(plans.empty()) << "before its time";
    pass(result.next_attempt_at - now.wall);
    EXPECT_EQ(plans.size(), 1U);
}

TEST_F(FairnessTest, WhoTakesSoManyAtOnceIsNobodysFault) {
    begin();
    std::vector<std::string> everybody;
    for (int i = 0; i < 40; ++i) {
        everybody.push_back("u" + std::to_string(i) + "@example.com");
    }
    const auto id = send(everybody);
    while (!plans.empty()) {
        const auto plan = next_plan();
        for (std::size_t slot = 0; slot < plan->recipients.size(); ++slot) {
            scheduler->outcome(plan->number, slot,
                               slot < 2 ? Outcome{Fate::replied, reply("250 ok")} : Outcome{Fate::not_tried, {}}, now);
        }
        end(*plan);
    }
    for (queue::Ordinal i = 0; i < 40; ++i) {
        EXPECT_EQ(row(id, i).state, RecipientState::delivered);
        EXPECT_EQ(row(id, i).attempts, 1U);
    }
}

TEST_F(FairnessTest, AMessageThatCannotBeReadNowLeavesALoadAtWorkAlone) {
    begin();
    send({"a@example.com"});
    hold_loads = true;
    scheduler->look("stores");
    run();
    ASSERT_EQ(loads.size(), 1U);
    const auto plan = next_plan();
    scheduler->unreadable(plan->number, Scheduler::Unreadable::later, "too many open files", now);
    scheduler->release(plan->number);
    pass(2s);
    EXPECT_EQ(loads.size(), 1U) << "a second one beside the first";
    hold_loads = false;
    pass(2s);
    EXPECT_EQ(plans.size(), 1U);
}

TEST_F(FairnessTest, NothingIsStartedBeforeTheMarksAreKnown) {
    make();
    put({"a@example.com"});
    run();
    EXPECT_TRUE(plans.empty());
    EXPECT_EQ(scheduler->next_wake(now), std::nullopt);
}

}  // namespace
}  // namespace postern::delivery::tests
