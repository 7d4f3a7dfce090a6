#include "gateway/bounce/pace.hpp"

#include <gtest/gtest.h>

namespace postern::bounce {
namespace {

using namespace std::chrono_literals;

constexpr queue::SteadyInstant noon(1000h);

TEST(Pace, ASecondsWorthGoesAtOnceAndTheRestInTurn) {
    Pace pace;
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(pace.wait("example.org", 10, noon), 0ms) << i;
    }
    EXPECT_EQ(pace.wait("example.org", 10, noon), 100ms);
    EXPECT_EQ(pace.wait("example.org", 10, noon), 200ms);
    EXPECT_EQ(pace.wait("example.net", 10, noon), 0ms) << "each domain has its own";
    EXPECT_EQ(pace.wait("example.org", 10, noon + 1h), 0ms) << "what is over is over";
}

TEST(Pace, AMillionReportsAreSpreadAndNotLost) {
    Pace pace;
    queue::Duration last{};
    for (int i = 0; i < 1'000'000; ++i) {
        last = pace.wait("example.org", 100, noon);
    }
    EXPECT_EQ(last, 9'999s);
}

TEST(Pace, ManyDomainsDoNotCostMemoryForEver) {
    Pace pace;
    for (int i = 0; i < 100'000; ++i) {
        EXPECT_EQ(pace.wait(std::to_string(i) + ".example.org", 1, noon + i * 1ms), 0ms);
    }
}

}  // namespace
}  // namespace postern::bounce
