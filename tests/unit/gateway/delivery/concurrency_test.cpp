#include "gateway/delivery/concurrency.hpp"

#include <gtest/gtest.h>

namespace postern::delivery {
namespace {

using namespace std::chrono_literals;

class ConcurrencyTest : public testing::Test {
protected:
    void work(Concurrency& concurrency, queue::Duration each, int times, double weight = 1) {
        for (int i = 0; i < times; ++i) {
            const auto began = now;
            now += each;
            concurrency.worked(began, now, weight);
        }
    }
    void fail(Concurrency& concurrency) {
        const auto began = now;
        now += 1ms;
        concurrency.failed(began, now);
    }
    queue::SteadyInstant now{1000h};
};

TEST_F(ConcurrencyTest, GrowsToTheLimitAndNoFurther) {
    Concurrency concurrency(20);
    EXPECT_LT(concurrency.allowed(), 20U);
    work(concurrency, 5ms, 20);
    EXPECT_EQ(concurrency.allowed(), 20U);
    work(concurrency, 5ms, 100);
    EXPECT_EQ(concurrency.allowed(), 20U);
}

TEST_F(ConcurrencyTest, HalvesOnTroubleOnceARoundAndGrowsSlowlyAfter) {
    Concurrency concurrency(16);
    work(concurrency, 5ms, 20);
    const auto began = now;
    now += 10ms;
    for (int i = 0; i < 8; ++i) {
        concurrency.failed(began, now);  // of the same round
    }
    EXPECT_EQ(concurrency.allowed(), 8U);
    work(concurrency, 5ms, 7);
    EXPECT_EQ(concurrency.allowed(), 8U);
    work(concurrency, 5ms, 1);
    EXPECT_EQ(concurrency.allowed(), 9U);
}

TEST_F(ConcurrencyTest, AStoreThatTakesNoMoreIsNotKnockedAtForEachSuccess) {
    Concurrency concurrency(16);
    int refused = 0;
    for (const auto until = now + 10s; now < until;) {
        work(concurrency, 5ms, 1);
        if (concurrency.allowed() > 4) {  // the fifth connection is refused
            fail(concurrency);
            ++refused;
        }
        EXPECT_LE(concurrency.allowed(), 5U);
    }
    EXPECT_LE(refused, 12);
    EXPECT_GE(refused, 8) << "and still it is found out when it takes more";
}

TEST_F(ConcurrencyTest, NeverBelowOne) {
    Concurrency concurrency(3);
    for (int i = 0; i < 10; ++i) {
        fail(concurrency);
    }
    EXPECT_EQ(concurrency.allowed(), 1U);
}

TEST_F(ConcurrencyTest, GivesWayWhenAnswersTakeFarLongerThanAtBest) {
    Concurrency concurrency(20);
    work(concurrency, 100ms, 50);
    EXPECT_EQ(concurrency.allowed(), 20U);
    work(concurrency, 2s, 40);
    EXPECT_LT(concurrency.allowed(), 10U);
}

TEST_F(ConcurrencyTest, AFastStoreIsNeverHeldBack) {
    Concurrency concurrency(20);
    work(concurrency, 1ms, 50);
    work(concurrency, 100ms, 200);  // a hundred times as long, and still fast
    EXPECT_EQ(concurrency.allowed(), 20U);
}

TEST_F(ConcurrencyTest, ALargeMessageIsNotASlowStore) {
    Concurrency concurrency(20);
    work(concurrency, 100ms, 50);
    work(concurrency, 20s, 10, 201);  // 50 MiB
    EXPECT_EQ(concurrency.allowed(), 20U);
}

TEST_F(ConcurrencyTest, FollowsTheConfiguration) {
    Concurrency concurrency(20);
    work(concurrency, 5ms, 20);
    concurrency.set_connections(3);
    EXPECT_EQ(concurrency.allowed(), 3U);
    concurrency.set_connections(50);
    work(concurrency, 5ms, 60);
    EXPECT_EQ(concurrency.allowed(), 50U);
}

TEST_F(ConcurrencyTest, BeginsAnewWithFewAfterAnOutage) {
    Concurrency concurrency(20);
    work(concurrency, 5ms, 20);
    concurrency.restart();
    EXPECT_EQ(concurrency.allowed(), 2U);
}

}  // namespace
}  // namespace postern::delivery
