#include "gateway/bounce/pace.hpp"

#include <gtest/gtest.h>

namespace postern::bounce {
namespace {

using namespace std::chrono_literals;

constexpr queue::Instant noon(queue::Duration(1'800'000'000'000));

TEST(Pace, ASecondsWorthGoesAtOnceAndTheRestInTurn) {
    Pace pace;
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(pace.next("example.org", 10, noon), noon) << i;
    }
    EXPECT_EQ(pace.next("example.org", 10, noon), noon + 100ms);
    EXPECT_EQ(pace.next("example.org", 10, noon), noon + 200ms);
    EXPECT_EQ(pace.next("example.net", 10, noon), noon) << "each domain has its own";
    EXPECT_EQ(pace.next("example.org", 10, noon + 1h), noon + 1h) << "what is over is over";
}

TEST(Pace, AMillionReportsAreSpreadAndNotLost) {
    Pace pace;
    queue::Instant last;
    for (int i = 0; i < 1'000'000; ++i) {
        last = pace.next("example.org", 100, noon);
    }
    EXPECT_EQ(last - noon, 9'999s);
}

TEST(Pace, ManyDomainsDoNotCostMemoryForEver) {
    Pace pace;
    for (int i = 0; i < 100'000; ++i) {
        EXPECT_EQ(pace.next(std::to_string(i) + ".example.org", 1, noon + i * 1ms), noon + i * 1ms);
    }
}

}  // namespace
}  // namespace postern::bounce
