#include "gateway/delivery/clock_jumps.hpp"

#include <gtest/gtest.h>

namespace postern::delivery {
namespace {

using namespace std::chrono_literals;
using queue::Instant;

class ClockJumpsTest : public testing::Test {
protected:
    ClockJumpsTest() { look(); }
    void pass(queue::Duration time) {
        wall_ += time;
        steady_ += time;
        look();
    }
    void set_clock(queue::Duration by) {
        wall_ += by;
        look();
    }
    void look() { jumps_.observe(wall_, steady_); }
    queue::Duration age(Instant accepted) const { return jumps_.lived_until(accepted, wall_) - accepted; }

    Instant wall_ = Instant(1'700'000'000'000ms);
    queue::SteadyInstant steady_{};
    ClockJumps jumps_;
};

TEST_F(ClockJumpsTest, TimeThatPassesCounts) {
    const Instant accepted = wall_;
    pass(72h);
    EXPECT_EQ(age(accepted), 72h);
}

TEST_F(ClockJumpsTest, NorForWhatCameBetweenTheLastLookAndTheJump) {
    pass(1h);
    wall_ += 5s;  // nobody looks
    steady_ += 5s;
    const Instant accepted = wall_;
    wall_ += 2s;
    steady_ += 2s;
    set_clock(240h);
    EXPECT_EQ(age(accepted), 2s);
    const Instant later = wall_;
    pass(1h);
    EXPECT_EQ(age(later), 1h);
}

TEST_F(ClockJumpsTest, TimeThatIsJumpedOverDoesNot) {
    const Instant accepted = wall_;
    pass(2h);
    set_clock(240h);
    pass(1h);
    EXPECT_EQ(age(accepted), 3h);
    EXPECT_EQ(jumps_.total(), 240h);
}

TEST_F(ClockJumpsTest, WhatCameAfterTheJumpIsNotYoungerForIt) {
    set_clock(240h);
    const Instant accepted = wall_;
    pass(5h);
    EXPECT_EQ(age(accepted), 5h);
}

TEST_F(ClockJumpsTest, AMistakeThatIsPutRightLeavesNothingBehind) {
    const Instant accepted = wall_;
    set_clock(240h);
    pass(1h);
    set_clock(-240h);
    pass(1h);
    EXPECT_EQ(age(accepted), 2h);
    EXPECT_EQ(jumps_.total(), 0h);
}

TEST_F(ClockJumpsTest, AClockThatIsAdjustedSlowlyDoesNotJump) {
    const Instant accepted = wall_;
    for (int i = 0; i < 100; ++i) {
        pass(1h);
        set_clock(1800ms);
    }
    EXPECT_EQ(age(accepted), 100h + 180s);
}

TEST_F(ClockJumpsTest, ManyJumpsNeverMakeAMessageOlder) {
    const Instant accepted = wall_;
    Instant between{};
    for (int i = 0; i < 1000; ++i) {
        set_clock(24h);
        pass(1min);
        if (i == 500) {
            between = wall_;
        }
    }
    EXPECT_EQ(age(accepted), 1000min);
    EXPECT_LE(age(between), 499min);
    EXPECT_EQ(jumps_.total(), 24000h);
}

}  // namespace
}  // namespace postern::delivery
