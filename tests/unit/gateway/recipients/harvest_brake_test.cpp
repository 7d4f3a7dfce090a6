// Who is taken for someone who tries out names.
#include "gateway/recipients/harvest_brake.hpp"

#include <gtest/gtest.h>

namespace postern::recipients {
namespace {

using std::chrono::minutes;

class HarvestBrakeTest : public ::testing::Test {
protected:
    HarvestBrakeTest() { brake.set_limit(10); }
    void answered(const char* client, int times, bool is_unknown) {
        for (int i = 0; i < times; ++i) {
            brake.answered(client, is_unknown, now);
        }
    }
    HarvestBrake brake;
    queue::SteadyInstant now{std::chrono::hours(100)};
};

TEST_F(HarvestBrakeTest, RefusesWhoHasAskedForTooMany) {
    answered("192.0.2.1", 9, true);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
    answered("192.0.2.1", 1, true);
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
    EXPECT_FALSE(brake.refuses("192.0.2.2", now));
}

TEST_F(HarvestBrakeTest, ForgivesWithTime) {
    answered("192.0.2.1", 30, true);
    now += minutes(60);
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
    now += minutes(67);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
}

TEST_F(HarvestBrakeTest, SparesWhoKnowsMoreThanHalf) {
    answered("192.0.2.1", 1, true);
    answered("192.0.2.1", 100, false);
    answered("192.0.2.1", 50, true);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
    answered("192.0.2.1", 60, true);
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
}

TEST_F(HarvestBrakeTest, TakesAnIPv6NetworkForOneClient) {
    for (int i = 0; i < 10; ++i) {
        answered(("2001:db8:0:1::" + std::to_string(i)).c_str(), 1, true);
    }
    EXPECT_TRUE(brake.refuses("2001:db8:0:1:ffff::1", now));
    EXPECT_FALSE(brake.refuses("2001:db8:0:2::1", now));
    answered("198.51.100.7", 10, true);
    EXPECT_TRUE(brake.refuses("::ffff:198.51.100.7", now));
    EXPECT_FALSE(brake.refuses("198.51.100.8", now));
}

TEST_F(HarvestBrakeTest, CountsNobodyWithoutALimitOrAnAddress) {
    answered("", 100, true);
    EXPECT_FALSE(brake.refuses("", now));
    brake.set_limit(0);
    answered("192.0.2.1", 100, true);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
}

TEST_F(HarvestBrakeTest, ForgetsWhoWasHeardOfLongestAgoWhenThereAreTooMany) {
    answered("192.0.2.1", 10, true);
    for (std::size_t i = 0; i < HarvestBrake::clients_max - 1; ++i) {
        const std::string client =
            "10." + std::to_string(i >> 16) + '.' + std::to_string(i >> 8 & 255) + '.' + std::to_string(i & 255);
        answered(client.c_str(), 1, true);
    }
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
    answered("192.0.2.2", 1, true);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
}

}  // namespace
}  // namespace postern::recipients
