// What is too old leaves the history in stretches, as many as it takes; what is written meanwhile is there.
#include "queue/detail/history_log.hpp"

#include <functional>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue::detail {
namespace {

class HandClock final : public Clock {
public:
    Instant wall() const override { return now; }
    SteadyInstant steady() const override { return SteadyInstant(now.time_since_epoch()); }
    Instant now = *parse_rfc3339("2026-08-21T10:00:00Z");
};

class HistoryLogTest : public StoreFixture {
protected:
    static constexpr Duration keep = std::chrono::hours(24);

    HistoryEvent event(MessageId message, Instant at) {
        HistoryEvent made;
        made.at = at;
        made.message = message;
        made.event = "delivered";
        return made;
    }
    /// `messages` messages of `rows` rows each, a millisecond apart, from `from` on.
    void add(HistoryLog& log, Instant from, int messages, int rows = 1) {
        std::vector<HistoryEvent> events;
        for (int i = 0; i < messages; ++i) {
            const Instant at = from + Duration(i);
            events.insert(events.end(), static_cast<std::size_t>(rows), event(MessageId::first_at(at), at));
        }
        log.add(std::move(events));
        log.drain();
    }
    std::int64_t rows(const std::string& condition = "1") {
        Connection read(file_, OpenMode::read_only);
        return read.query_integer(("SELECT count(*) FROM history WHERE " + condition).c_str());
    }
    bool await(const std::function<bool()>& condition) { return ears_.await(condition); }

    const std::filesystem::path file_ = folder_ / "queue.db-history";
    HandClock hand_;
};

TEST_F(HistoryLogTest, ByHandRemovesAStretchAtATimeUntilNothingIsTooOld) {
    HistoryLog log(file_, keep, hand_, true);
    add(log, hand_.now, 2500, 2);
    add(log, hand_.now + std::chrono::hours(2), 10);
    EXPECT_EQ(rows(), 5010);
    hand_.now += keep + std::chrono::hours(1);
    std::vector<std::int64_t> left;
    for (int i = 0; i < 5; ++i) {
        log.write_waiting();
        left.push_back(rows());
    }
    EXPECT_EQ(left, (std::vector<std::int64_t>{3010, 1010, 10, 10, 10}));
    // Looked at again after some minutes.
    hand_.now += std::chrono::hours(2);
    log.write_waiting();
    EXPECT_EQ(rows(), 0);
}

TEST_F(HistoryLogTest, AMessageWithManyRowsIsCutToo) {
    HistoryLog log(file_, keep, hand_, true);
    add(log, hand_.now, 1, 5000);
    hand_.now += keep + std::chrono::hours(1);
    log.write_waiting();
    EXPECT_EQ(rows(), 3000);
}

TEST_F(HistoryLogTest, WhatIsAboutTheGatewayGoesByItsOwnTime) {
    HistoryLog log(file_, keep, hand_, true);
    log.add(event(MessageId(), hand_.now));
    log.add(event(MessageId(), hand_.now + std::chrono::hours(2)));
    log.drain();
    log.write_waiting();
    EXPECT_EQ(rows(), 2);
    hand_.now += keep + std::chrono::hours(1);
    log.write_waiting();
    EXPECT_EQ(rows(), 1);
}

TEST_F(HistoryLogTest, TheThreadKeepsUpWhileItWrites) {
    {
        HistoryLog log(file_, keep, hand_, true);
        add(log, hand_.now, 25'000);
    }
    hand_.now += keep + std::chrono::hours(1);
    HistoryLog log(file_, keep, hand_);
    add(log, hand_.now, 100);  // beside the stretches
    EXPECT_TRUE(await([this] { return rows() == 100; })) << rows();
    add(log, hand_.now + std::chrono::minutes(1), 100);
    EXPECT_EQ(rows(), 200);
}

TEST_F(HistoryLogTest, KeepsNothingWhenItIsOff) {
    HistoryLog log(file_, Duration(0), hand_, true);
    add(log, hand_.now, 10);
    log.write_waiting();
    EXPECT_FALSE(std::filesystem::exists(file_));
}

}  // namespace
}  // namespace postern::queue::detail
