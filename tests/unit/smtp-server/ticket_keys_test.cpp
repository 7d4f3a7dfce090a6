// The secrets of session tickets, with a clock of the test's own.
#include "smtp-server/ticket_keys.hpp"

#include <gtest/gtest.h>

namespace postern::smtp_server {
namespace {

using namespace std::chrono_literals;

class TicketKeysTest : public testing::Test {
protected:
    TicketKeys::Instant now_{1h};
    TicketKeys keys_{[this] { return now_; }};
};

TEST_F(TicketKeysTest, OneKeyIsUsedUntilItIsOld) {
    const auto first = keys_.current();
    ASSERT_TRUE(first);
    now_ += TicketKeys::rotation - 1s;
    EXPECT_EQ(keys_.current()->name, first->name);
    now_ += 1s;
    const auto second = keys_.current();
    EXPECT_NE(second->name, first->name);
    EXPECT_NE(second->cipher, first->cipher);
    EXPECT_NE(second->mac, first->mac);
}

TEST_F(TicketKeysTest, AnOldKeyOpensTicketsUntilTheLastOfThemHasEnded) {
    const auto first = keys_.current();
    now_ += TicketKeys::rotation;
    (void)keys_.current();
    const auto found = keys_.find(first->name);
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->is_current);
    EXPECT_EQ(found->key.cipher, first->cipher);
    now_ += TicketKeys::ticket_age_max - 1s;
    EXPECT_TRUE(keys_.find(first->name));
    now_ += 1s;
    EXPECT_FALSE(keys_.find(first->name));
}

TEST_F(TicketKeysTest, AKeyThatIsDueIsNotCurrentEvenBeforeItsSuccessor) {
    const auto first = keys_.current();
    EXPECT_TRUE(keys_.find(first->name)->is_current);
    now_ += TicketKeys::rotation;
    EXPECT_FALSE(keys_.find(first->name)->is_current);
}

TEST_F(TicketKeysTest, AnUnknownNameIsNoKey) {
    EXPECT_FALSE(keys_.find({}));
    (void)keys_.current();
    EXPECT_FALSE(keys_.find({}));
}

}  // namespace
}  // namespace postern::smtp_server
