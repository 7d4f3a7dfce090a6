#include "gateway/control/verb.hpp"

#include <gtest/gtest.h>

#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::control::test {
namespace {

using queue::RecipientState;

TEST(Verb, NamesAreReadBack) {
    for (const Verb verb : {Verb::retry, Verb::hold, Verb::release, Verb::remove, Verb::bounce}) {
        EXPECT_EQ(parse_verb(to_string(verb)), verb);
    }
    EXPECT_EQ(parse_verb("bouncy"), std::nullopt);
    EXPECT_EQ(parse_verb(""), std::nullopt);
}

TEST(Verb, NeverTouchesWhatIsDone) {
    for (const Verb verb : {Verb::retry, Verb::hold, Verb::release, Verb::remove, Verb::bounce}) {
        EXPECT_FALSE(applies(verb, RecipientState::delivered));
        EXPECT_FALSE(applies(verb, RecipientState::removed));
        EXPECT_FALSE(applies(verb, RecipientState::returned));
    }
}

TEST(Verb, RetryMakesDueNowAndKeepsWhatHappened) {
    queue::Recipient waiting = recipient("bob@example.org", RecipientState::waiting, "452 4.2.2 Mailbox full");
    waiting.attempts = 3;
    waiting.unknowns = 1;
    const auto update = update_for(Verb::retry, queue::MessageId(5), waiting, noon_ish);
    EXPECT_EQ(update.state, RecipientState::waiting);
    EXPECT_EQ(update.next_attempt_at, noon_ish);
    EXPECT_EQ(update.attempts, 3U);
    EXPECT_EQ(update.unknowns, 1U);
    EXPECT_EQ(update.last_reply, "452 4.2.2 Mailbox full");
    EXPECT_EQ(update.backend, "stores");
}

TEST(Verb, ReleaseFreesHeldAndParkedOnly) {
    EXPECT_TRUE(applies(Verb::release, RecipientState::held));
    EXPECT_TRUE(applies(Verb::release, RecipientState::parked));
    EXPECT_FALSE(applies(Verb::release, RecipientState::waiting));
    queue::Recipient parked = recipient("bob@example.org", RecipientState::parked, "550 5.1.1 No");
    parked.failed = true;
    parked.unknowns = 4;
    const auto update = update_for(Verb::release, queue::MessageId(5), parked, noon_ish);
    EXPECT_EQ(update.state, RecipientState::ready);
    EXPECT_FALSE(update.failed);
    EXPECT_EQ(update.unknowns, 0U);
}

TEST(Verb, BounceTellsTheSenderWhyUnlessTheStoreHasSaidIt) {
    const queue::Recipient waiting = recipient("bob@example.org", RecipientState::waiting, "452 4.2.2 Mailbox full");
    auto update = update_for(Verb::bounce, queue::MessageId(5), waiting, noon_ish, "moved away");
    EXPECT_EQ(update.state, RecipientState::parked) << "unless the sender can be told";
    ASSERT_TRUE(update.telling);
    EXPECT_TRUE(update.telling->by_hand);
    EXPECT_FALSE(update.telling->expired);
    EXPECT_EQ(update.last_reply, "(returned by the operator: moved away)");
    update = update_for(Verb::bounce, queue::MessageId(5), waiting, noon_ish);
    EXPECT_EQ(update.last_reply, "(returned by the operator)");

    queue::Recipient parked = recipient("bob@example.org", RecipientState::parked, "550 5.1.1 No");
    parked.failed = true;
    update = update_for(Verb::bounce, queue::MessageId(5), parked, noon_ish, "moved away");
    EXPECT_EQ(update.last_reply, "550 5.1.1 No");
    EXPECT_TRUE(update.failed);
    parked.failed = false;
    EXPECT_TRUE(update_for(Verb::bounce, queue::MessageId(5), parked, noon_ish).telling->expired);
}

TEST(Verb, RetryLeavesHeldAlone) { EXPECT_FALSE(applies(Verb::retry, RecipientState::held)); }

}  // namespace
}  // namespace postern::control::test
