// Outcomes that nobody knows, and stores that answer out of step.
#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class UnknownTest : public SchedulerTest {};

TEST_F(UnknownTest, AreTriedAgainCountedAndInTheEndHeldWithAnAlarm) {
    begin();
    const auto id = send({"a@example.com"});
    std::uint32_t times = 0;
    while (row(id).state != RecipientState::held) {
        ASSERT_LT(++times, 10U);
        while (plans.empty()) {
            pass_to_wake(1h);
            if (!probes.empty()) {
                answer_probe(true);
            }
        }
        break_next(Fate::unknown, Trouble::broken);
        EXPECT_EQ(row(id).unknowns, times);
        EXPECT_EQ(row(id).attempts, 0U) << "no verdict, no attempt";
        if (times < 5) {
            EXPECT_EQ(row(id).state, RecipientState::unknown);
        }
    }
    EXPECT_EQ(times, 5U);
    EXPECT_EQ(events.count("held a@example.com"), 1U);
    EXPECT_EQ(events.count("unknown a@example.com"), 4U);
}

TEST_F(UnknownTest, AnAnswerEndsTheCount) {
    begin();
    const auto id = send({"a@example.com"});
    break_next(Fate::unknown, Trouble::broken);
    pass(2s);
    reply_to_next({"450 4.2.1 later"});
    EXPECT_EQ(row(id).unknowns, 0U);
}

// One recipient that breaks the store's dialogue each time must not take its neighbours with it.
TEST_F(UnknownTest, GoAloneFromTheSecondTime) {
    begin();
    const auto id = send({"good@example.com", "bad@example.com", "fine@example.com"});
    for (int turn = 0; row(id, 1).state != RecipientState::held; ++turn) {
        ASSERT_LT(turn, 100);
        if (plans.empty()) {
            pass_to_wake(1h);
            if (!probes.empty()) {
                answer_probe(true);
            }
        } else if (plans.front()->recipients.size() > 1 || plans.front()->recipients[0].ordinal == 1) {
            break_next(Fate::unknown, Trouble::broken);
        } else {
            reply_to_next({"250 ok"});
        }
    }
    EXPECT_EQ(row(id, 0).state, RecipientState::delivered);
    EXPECT_EQ(row(id, 2).state, RecipientState::delivered);
}

TEST_F(UnknownTest, WaitForTheStoreToBeWell) {
    begin();
    const auto id = send({"a@example.com"});
    break_next(Fate::unknown, Trouble::shutting_down);
    for (int i = 0; i < 20; ++i) {
        pass(1s);
        EXPECT_TRUE(plans.empty());
        if (!probes.empty()) {
            answer_probe(false);
        }
    }
    pass(4s);
    answer_probe(true);
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(id).state, RecipientState::delivered);
}

TEST_F(UnknownTest, AStoreOutOfStepGetsOneRecipientATransactionUntilItBehaves) {
    begin();
    send({"a@example.com", "b@example.com"});
    break_next(Fate::unknown, Trouble::protocol, "one reply too many");
    EXPECT_EQ(events.count("out_of_step stores"), 1U);
    EXPECT_TRUE(state().endpoints[0].one_by_one);
    pass(2s);
    std::vector<std::string> everybody;
    for (int i = 0; i < 40; ++i) {
        everybody.push_back("u" + std::to_string(i) + "@example.com");
    }
    send(everybody);
    std::size_t alone = 0;
    std::size_t largest = 1;
    while (!plans.empty()) {
        const auto plan = reply_to_next({"250 ok"});
        alone += plan->recipients.size() == 1 ? 1U : 0U;
        largest = std::max(largest, plan->recipients.size());
    }
    EXPECT_GE(alone, 20U);
    EXPECT_GT(largest, 1U) << "trusted again in the end";
    EXPECT_EQ(events.count("in_step stores"), 1U);
}

TEST_F(UnknownTest, ARelapseCostsMore) {
    Step step;
    EXPECT_TRUE(step.lost());
    EXPECT_FALSE(step.lost()) << "it was not trusted anyway";
    int good = 0;
    while (step.one_by_one()) {
        static_cast<void>(step.kept());
        ++good;
    }
    EXPECT_EQ(good, 40);
}

TEST_F(UnknownTest, ADamagedMessageIsHeldAndOneThatCannotBeReadNowIsTriedLater) {
    begin();
    const auto damaged = send({"a@example.com"});
    auto plan = next_plan();
    scheduler->unreadable(plan->number, Scheduler::Unreadable::damaged, "checksum", now);
    scheduler->release(plan->number);
    EXPECT_EQ(row(damaged).state, RecipientState::held);
    EXPECT_EQ(events.count("damaged"), 1U);
    const auto later = send({"b@example.com"});
    plan = next_plan();
    scheduler->unreadable(plan->number, Scheduler::Unreadable::later, "disk", now);
    scheduler->release(plan->number);
    run();
    EXPECT_TRUE(plans.empty()) << "not at once, over and over";
    pass(2s);
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(later).state, RecipientState::delivered);
}

}  // namespace
}  // namespace postern::delivery::tests
