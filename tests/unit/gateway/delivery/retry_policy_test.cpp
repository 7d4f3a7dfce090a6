#include "gateway/delivery/retry_policy.hpp"

#include "gateway/delivery/reply_kind.hpp"
#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

TEST(ReplyKind, IsFoundByStatusAndByTheWordsOfKnownStores) {
    EXPECT_EQ(reply_kind(reply("452 4.2.2 Mailbox full")), ReplyKind::mailbox_full);
    EXPECT_EQ(reply_kind(reply("452 Insufficient storage")), ReplyKind::mailbox_full);
    EXPECT_EQ(reply_kind(reply("452 4.3.1 Mail system full")), ReplyKind::store);
    EXPECT_EQ(reply_kind(reply("451 4.3.0 Too many concurrent deliveries for user")), ReplyKind::busy);
    EXPECT_EQ(reply_kind(reply("450 4.2.0 Mailbox is locked")), ReplyKind::busy);
    EXPECT_EQ(reply_kind(reply("451 4.3.0 Temporary internal error")), ReplyKind::store);
    EXPECT_EQ(reply_kind(reply("451 4.4.1 Timed out")), ReplyKind::store);
    EXPECT_EQ(reply_kind(reply("450 4.7.1 Greylisted")), ReplyKind::policy);
    EXPECT_EQ(reply_kind(reply("450 4.1.1 Unverified")), ReplyKind::other);
    EXPECT_EQ(reply_kind(reply("450 later")), ReplyKind::other);
    EXPECT_EQ(reply_kind(mail::Reply(0, "(no answer)")), ReplyKind::connection);
}

queue::Duration middle(const RetryPolicy& policy, std::uint32_t attempts, ReplyKind kind) {
    return retry_delay(policy, attempts, kind, 0.5);
}

TEST(RetryDelay, GrowsByTheFactorToTheMaximum) {
    RetryPolicy policy;
    EXPECT_EQ(middle(policy, 1, ReplyKind::other), 1min);
    EXPECT_EQ(middle(policy, 2, ReplyKind::other), 2min);
    EXPECT_EQ(middle(policy, 6, ReplyKind::other), 32min);
    EXPECT_EQ(middle(policy, 7, ReplyKind::other), 1h);
    EXPECT_EQ(middle(policy, 4'000'000'000U, ReplyKind::other), 1h);
    EXPECT_EQ(middle(policy, 0, ReplyKind::other), 1min);
}

TEST(RetryDelay, IsSpreadByAQuarter) {
    RetryPolicy policy;
    EXPECT_EQ(retry_delay(policy, 1, ReplyKind::other, 0), 45s);
    EXPECT_EQ(retry_delay(policy, 1, ReplyKind::other, 1), 75s);
}

TEST(RetryDelay, EachKindHasItsOwnCurve) {
    RetryPolicy policy;
    EXPECT_EQ(middle(policy, 1, ReplyKind::mailbox_full), 5min);
    EXPECT_EQ(middle(policy, 1, ReplyKind::busy), 2s);
    EXPECT_EQ(middle(policy, 20, ReplyKind::busy), 1min);
    EXPECT_EQ(middle(policy, 1, ReplyKind::store), 30s);
    EXPECT_EQ(middle(policy, 20, ReplyKind::store), 10min);
    EXPECT_EQ(middle(policy, 1, ReplyKind::policy), 1min);
    EXPECT_EQ(middle(policy, 1, ReplyKind::connection), 5s);
    EXPECT_EQ(middle(policy, 20, ReplyKind::connection), 5min);
}

TEST(RetryDelay, WhatIsNotGivenFollowsRetryItself) {
    RetryPolicy policy;
    policy.first = 1s;
    policy.maximum = 2s;
    EXPECT_EQ(middle(policy, 1, ReplyKind::mailbox_full), 2s);
    EXPECT_EQ(middle(policy, 9, ReplyKind::store), 2s);
    policy.classes.at(static_cast<std::size_t>(ReplyKind::mailbox_full)).first = 10min;
    EXPECT_EQ(middle(policy, 1, ReplyKind::mailbox_full), 10min);
    policy.classes.at(static_cast<std::size_t>(ReplyKind::busy)).maximum = 500ms;
    EXPECT_EQ(middle(policy, 1, ReplyKind::busy), 500ms);
    policy.classes.at(static_cast<std::size_t>(ReplyKind::policy)).factor = 1;
    EXPECT_EQ(middle(policy, 9, ReplyKind::policy), 1s);
}

TEST(RetryAt, BringsTogetherWhatWasDeferredTogetherAndNeverEarly) {
    const queue::Instant now(1'800'000'000'003ms);
    EXPECT_EQ(retry_at(now, 64s), queue::Instant(1'800'000'065'000ms));
    EXPECT_EQ(retry_at(now + 20ms, 64s), retry_at(now, 64s));
    EXPECT_EQ(retry_at(now, 1ms), now + 1ms);
    EXPECT_EQ(retry_at(now, 0ms), now);
    for (queue::Duration delay(1); delay < 100h; delay = delay * 3 / 2 + 1ms) {
        EXPECT_GE(retry_at(now, delay), now + delay);
        EXPECT_LE(retry_at(now, delay), now + delay + delay / 64);
    }
}

TEST(IsExpired, CountsFromAcceptanceAndDistrustsAClockSetBack) {
    RetryPolicy policy;
    const queue::Instant accepted(1'800'000'000s);
    EXPECT_FALSE(is_expired(policy, accepted, accepted + policy.expire - 1ms));
    EXPECT_TRUE(is_expired(policy, accepted, accepted + policy.expire));
    EXPECT_FALSE(is_expired(policy, accepted, accepted - 1000h));
}

class RetryTest : public SchedulerTest {};

TEST_F(RetryTest, EachRecipientWaitsByItsOwnReply) {
    begin();
    const auto id = send({"a@example.com", "b@example.com", "c@example.com", "d@example.com"});
    reply_to_next({"250 2.0.0 ok", "452 4.2.2 full", "451 4.3.0 too many concurrent deliveries", "550 5.1.1 unknown"});
    EXPECT_EQ(row(id, 0).state, RecipientState::delivered);
    EXPECT_EQ(row(id, 1).state, RecipientState::waiting);
    EXPECT_GE(until_next_attempt(id, 1), 225s);
    EXPECT_LE(until_next_attempt(id, 1), 375s);
    EXPECT_EQ(row(id, 2).state, RecipientState::waiting);
    EXPECT_LE(until_next_attempt(id, 2), 3s);
    EXPECT_EQ(row(id, 3).state, RecipientState::parked);
    EXPECT_TRUE(row(id, 3).failed);
}

TEST_F(RetryTest, NobodyIsTriedBeforeItsTimeAndEverybodyAtIt) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    const queue::Duration wait = until_next_attempt(id);
    pass(wait - 1ms);
    EXPECT_TRUE(plans.empty());
    const auto wake = scheduler->next_wake(now);
    ASSERT_TRUE(wake);
    EXPECT_LE(*wake - now.steady, 1ms);
    pass(1ms);
    EXPECT_EQ(plans.size(), 1U);
}

TEST_F(RetryTest, TooManyRecipientsIsNoVerdict) {
    begin();
    const auto id = send({"a@example.com", "b@example.com"});
    reply_to_next({"250 ok", "552 5.5.3 too many recipients"});
    EXPECT_EQ(row(id, 1).state, RecipientState::waiting);
}

TEST_F(RetryTest, ExpiresByWhatTheStoreSays) {
    begin();
    const auto id = put({"a@example.com"}, options.retry.expire + 1h);
    scheduler->look("stores");
    run();
    reply_to_next({"450 4.2.1 later"});
    EXPECT_EQ(row(id).state, RecipientState::parked);
    EXPECT_FALSE(row(id).failed);
    EXPECT_EQ(events.count("expired a@example.com"), 1U);
}

}  // namespace
}  // namespace postern::delivery::tests
