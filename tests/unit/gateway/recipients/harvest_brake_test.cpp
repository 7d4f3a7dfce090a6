// Who is taken for someone who tries out names.
#include "gateway/recipients/harvest_brake.hpp"

#include <gtest/gtest.h>

namespace postern::recipients {
namespace {

using std::chrono::minutes;

class HarvestBrakeTest : public ::testing::Test {
protected:
    HarvestBrakeTest() { brake.set_limit(10); }
    void asked_for_nobody(const char* client, int times) {
        for (int i = 0; i < times; ++i) {
            brake.asked_for_nobody(client, now);
        }
    }
    HarvestBrake brake;
    queue::SteadyInstant now{std::chrono::hours(100)};
};

TEST_F(HarvestBrakeTest, RefusesWhoHasAskedForTooMany) {
    asked_for_nobody("192.0.2.1", 9);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
    asked_for_nobody("192.0.2.1", 1);
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
    EXPECT_FALSE(brake.refuses("192.0.2.2", now));
}

TEST_F(HarvestBrakeTest, ForgivesWithTime) {
    asked_for_nobody("192.0.2.1", 30);
    now += minutes(60);
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
    now += minutes(67);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
}

TEST_F(HarvestBrakeTest, SparesWhoGivesMailForMoreThanThose) {
    asked_for_nobody("192.0.2.1", 1);
    brake.gave("192.0.2.1", 100, now);
    asked_for_nobody("192.0.2.1", 50);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
    asked_for_nobody("192.0.2.1", 60);
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
}

TEST_F(HarvestBrakeTest, TakesAnIPv6NetworkForOneClient) {
    for (int i = 0; i < 10; ++i) {
        asked_for_nobody(("2001:db8:0:1::" + std::to_string(i)).c_str(), 1);
    }
    EXPECT_TRUE(brake.refuses("2001:db8:0:1:ffff::1", now));
    EXPECT_FALSE(brake.refuses("2001:db8:0:2::1", now));
    asked_for_nobody("198.51.100.7", 10);
    EXPECT_TRUE(brake.refuses("::ffff:198.51.100.7", now));
    EXPECT_FALSE(brake.refuses("198.51.100.8", now));
}

TEST_F(HarvestBrakeTest, CountsNobodyWithoutALimitOrAnAddress) {
    asked_for_nobody("", 100);
    EXPECT_FALSE(brake.refuses("", now));
    brake.set_limit(0);
    asked_for_nobody("192.0.2.1", 100);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
}

TEST_F(HarvestBrakeTest, ForgetsWhoWasHeardOfLongestAgoWhenThereAreTooMany) {
    asked_for_nobody("192.0.2.1", 10);
    for (std::size_t i = 0; i < HarvestBrake::clients_max - 1; ++i) {
        const std::string client =
            "10." + std::to_string(i >> 16) + '.' + std::to_string(i >> 8 & 255) + '.' + std::to_string(i & 255);
        asked_for_nobody(client.c_str(), 1);
    }
    EXPECT_TRUE(brake.refuses("192.0.2.1", now));
    asked_for_nobody("192.0.2.2", 1);
    EXPECT_FALSE(brake.refuses("192.0.2.1", now));
}

}  // namespace
}  // namespace postern::recipients
