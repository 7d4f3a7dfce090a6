// What is known of what a backend takes.
#include "gateway/recipients/ability_board.hpp"

#include <gtest/gtest.h>

namespace postern::recipients {
namespace {

class AbilityBoardTest : public ::testing::Test {
protected:
    AbilityBoardTest() { board.reconfigure({{"stores", {one, two}}, {"single", {one}}}); }
    AbilityBoard board;
    lmtp_client::Endpoint one = *lmtp_client::parse_endpoint("127.0.0.1:24");
    lmtp_client::Endpoint two = *lmtp_client::parse_endpoint("127.0.0.2:24");
    queue::SteadyInstant now{std::chrono::hours(100)};
};

TEST_F(AbilityBoardTest, KnowsNothingUntilEveryEndpointHasSpoken) {
    EXPECT_FALSE(board.of("stores", now));
    board.learned("stores", one, {false, true, 1000}, now);
    EXPECT_FALSE(board.of("stores", now));
    board.learned("stores", two, {true, false, 2000}, now);
    EXPECT_EQ(board.of("stores", now), (Abilities{true, true, 2000}));
    EXPECT_FALSE(board.of("elsewhere", now));
}

TEST_F(AbilityBoardTest, AnEndpointWithoutALimitHasTheLargest) {
    board.learned("stores", one, {false, false, 1000}, now);
    board.learned("stores", two, {false, false, 0}, now);
    EXPECT_EQ(board.of("stores", now), (Abilities{false, false, 0}));
}

TEST_F(AbilityBoardTest, BelievesForSomeMinutesOnly) {
    board.learned("single", one, {false, false, 1000}, now);
    EXPECT_TRUE(board.of("single", now + std::chrono::minutes(10)));
    EXPECT_FALSE(board.of("single", now + std::chrono::minutes(11)));
}

TEST_F(AbilityBoardTest, KeepsWhatItKnowsOfEndpointsThatStay) {
    board.learned("single", one, {false, false, 1000}, now);
    board.reconfigure({{"single", {one}}});
    EXPECT_TRUE(board.of("single", now));
    board.reconfigure({{"single", {two}}});
    EXPECT_FALSE(board.of("single", now));
}

}  // namespace
}  // namespace postern::recipients
