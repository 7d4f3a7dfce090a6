// Per-mailbox concurrency, learned from the store's refusals.
#include "gateway/delivery/mailbox_limits.hpp"

#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

TEST(MailboxLimits, HalveOnceARoundGrowWithSuccessesAndAreForgotten) {
    MailboxLimits limits;
    const queue::SteadyInstant start(1000h);
    EXPECT_TRUE(limits.has_room("a"));
    EXPECT_EQ(limits.limit("a"), 0U);
    limits.refused("a", 8, start - 1s, start);
    EXPECT_EQ(limits.limit("a"), 4U);
    limits.refused("a", 0, start - 1s, start + 1s);
    EXPECT_EQ(limits.limit("a"), 4U) << "of the same round";
    EXPECT_FALSE(limits.has_room("a"));
    for (int i = 0; i < 8; ++i) {
        limits.ended("a");
    }
    EXPECT_TRUE(limits.has_room("a"));
    for (int i = 0; i < 4; ++i) {
        limits.worked("a");
    }
    EXPECT_EQ(limits.limit("a"), 5U);
    limits.tidy(start + 9min);
    EXPECT_TRUE(limits.knows("a"));
    limits.tidy(start + 10min);
    EXPECT_FALSE(limits.knows("a"));
}

class MailboxTest : public SchedulerTest {
protected:
    /// One of `ids` is in flight, the others are blocked.
    std::vector<queue::MessageId> block_all_but_one(int count) {
        begin();
        send({"one@example.com"});
        send({"one@example.com"});
        for (int i = 0; i < 2; ++i) {
            reply_to_next({busy});
        }
        rows.clear();
        std::vector<queue::MessageId> ids;
        for (int i = 0; i < count; ++i) {
            ids.push_back(send({"one@example.com"}));
        }
        EXPECT_EQ(at_work_for("one@example.com"), 1U);
        return ids;
    }
    std::size_t at_work_for(const std::string& address) {
        std::size_t count = 0;
        for (const auto& plan : plans) {
            count += addresses(*plan) == std::vector<std::string>{address} ? 1U : 0U;
        }
        return count;
    }
    static constexpr const char* busy = "451 4.3.0 Too many concurrent deliveries for user";
};

TEST_F(MailboxTest, WhoIsTakenOutOfTheLineLetsInTheNext) {
    const auto ids = block_all_but_one(6);
    for (const std::size_t i : {1U, 2U, 3U}) {
        ASSERT_TRUE(scheduler->order(Order::remove, ids[i], row(ids[i]), "root", now));
    }
    reply_to_next({"250 ok"});
    for (const std::size_t i : {4U, 5U}) {
        ASSERT_FALSE(plans.empty()) << "nobody let in the next one";
        reply_to_next({"250 ok"});
        EXPECT_EQ(row(ids[i]).state, RecipientState::delivered);
    }
}

TEST_F(MailboxTest, WhoIsTakenOutAfterBeingLetInLetsInTheNext) {
    options.backends["stores"].connections = 2;
    const auto ids = block_all_but_one(4);
    const auto first = next_plan();
    send({"x@example.com"});
    const auto other = next_plan();
    send({"y@example.com"});
    answer(*first, {"250 ok"});
    end(*first);
    ASSERT_THAT(addresses(*plans.front()), testing::ElementsAre("y@example.com"));
    for (const std::size_t i : {1U, 2U}) {
        ASSERT_TRUE(scheduler->order(Order::hold, ids[i], row(ids[i]), "root", now));
    }
    answer(*other, {"250 ok"});
    end(*other);
    ASSERT_EQ(plans.size(), 2U) << "nobody let in the next one";
    EXPECT_EQ(plans.back()->message, ids[3]);
}

TEST_F(MailboxTest, ASuccessDoesNotCallAtOnceWhatWasRefusedForWhateverReason) {
    for (const char* const refusal : {"451 4.7.1 later", "451 4.3.0 the store is unwell", "450 no code"}) {
        begin();
        for (int i = 0; i < 40; ++i) {
            send({"one@example.com"});
            reply_to_next({refusal});
        }
        std::size_t tried = 0;
        for (int i = 0; i < 60; ++i) {
            send({"one@example.com"});
            for (bool fresh = true; !plans.empty(); fresh = false) {
                tried += fresh ? 0 : 1;
                reply_to_next({fresh ? "250 ok" : refusal});
            }
            pass(1s);
        }
        EXPECT_LT(tried, 200U) << refusal << ": in a minute, of forty";
        rows.clear();
        plans.clear();
        loads.clear();
        scheduler.reset();
    }
}

TEST_F(MailboxTest, ABusyMailboxGetsFewerTransactionsAtOnceAndTheOthersGoOn) {
    begin();
    for (int i = 0; i < 40; ++i) {
        send({"one@example.com"});
        reply_to_next({"250 ok"});
    }
    for (int i = 0; i < 60; ++i) {
        send({"one@example.com"});
    }
    ASSERT_EQ(at_work_for("one@example.com"), 20U);
    // The store takes ten at once for one user.
    std::vector<std::shared_ptr<const Plan>> first(plans.begin(), plans.end());
    plans.clear();
    for (std::size_t i = 10; i < 20; ++i) {
        answer(*first[i], {busy});
        end(*first[i]);
    }
    EXPECT_EQ(at_work_for("one@example.com"), 0U) << "ten are still at work, and that is enough";
    const auto other = send({"two@example.com"});
    ASSERT_EQ(at_work_for("two@example.com"), 1U);
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(other).state, RecipientState::delivered);
    for (std::size_t i = 0; i < 10; ++i) {
        answer(*first[i], {"250 ok"});
        end(*first[i]);
    }
    EXPECT_GE(at_work_for("one@example.com"), 5U);
    EXPECT_LE(at_work_for("one@example.com"), 12U);
    // In the end all of it is there, and the limit has grown again.
    for (int i = 0; i < 500 && !plans.empty(); ++i) {
        reply_to_next({"250 ok"});
        if (plans.empty()) {
            pass_to_wake(1min);
        }
    }
    for (const auto& [key, each] : rows) {
        EXPECT_EQ(each.recipient.state, RecipientState::delivered);
    }
}

TEST_F(MailboxTest, AFloodForOneBusyMailboxDoesNotFillTheWindow) {
    options.window = 100;
    begin();
    for (int i = 0; i < 6; ++i) {
        send({"one@example.com"});
    }
    const std::size_t at_once = plans.size();
    for (std::size_t i = 0; i < at_once; ++i) {
        reply_to_next({busy});
    }
    for (int i = 0; i < 400; ++i) {
        put({"one@example.com"});
    }
    scheduler->look("stores");
    run();
    const auto other = send({"two@example.com"});
    for (int i = 0; i < 200 && row(other).state != RecipientState::delivered; ++i) {
        const auto plan = next_plan();
        answer(*plan, {addresses(*plan)[0] == "two@example.com" ? "250 ok" : busy});
        end(*plan);
        if (plans.empty()) {
            break;
        }
    }
    EXPECT_EQ(row(other).state, RecipientState::delivered);
    EXPECT_LE(state().queued, 60U);
}

TEST_F(MailboxTest, ASuccessCallsItsWaitingMailEarly) {
    begin();
    std::vector<queue::MessageId> waiting;
    for (int i = 0; i < 3; ++i) {
        waiting.push_back(send({"full@example.com"}));
        reply_to_next({"452 4.2.2 full"});
    }
    const auto other = send({"other@example.com"});
    reply_to_next({"452 4.2.2 full"});
    EXPECT_TRUE(plans.empty());
    send({"full@example.com"});
    reply_to_next({"250 ok"});
    ASSERT_EQ(calls, std::vector<std::string>{"full@example.com"});
    EXPECT_EQ(plans.size(), 3U) << "called, and not their neighbour's";
    while (!plans.empty()) {
        reply_to_next({"250 ok"});
    }
    for (const auto id : waiting) {
        EXPECT_EQ(row(id).state, RecipientState::delivered);
    }
    EXPECT_EQ(row(other).state, RecipientState::waiting);
}

TEST_F(MailboxTest, TheStoreIsNotAskedWithoutAReason) {
    begin();
    for (int i = 0; i < 10; ++i) {
        send({"a@example.com"});
        reply_to_next({"250 ok"});
    }
    EXPECT_TRUE(calls.empty());
}

TEST_F(MailboxTest, AMailboxThatTakesOnlySmallMessagesIsNotTriedWithAllLargeOnesEachTime) {
    begin();
    const auto large = send({"tight@example.com"});
    reply_to_next({"452 4.2.2 full"});
    std::size_t attempts = 0;
    for (int i = 0; i < 100; ++i) {
        const auto small = send({"tight@example.com"});
        while (!plans.empty()) {
            const auto plan = next_plan();
            attempts += plan->message == large ? 1U : 0U;
            answer(*plan, {plan->message == small ? "250 ok" : "452 4.2.2 full"});
            end(*plan);
        }
        pass(1s);
    }
    EXPECT_GT(attempts, 0U);
    EXPECT_LT(attempts, 12U);
}

}  // namespace
}  // namespace postern::delivery::tests
