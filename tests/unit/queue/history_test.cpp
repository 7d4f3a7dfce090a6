// The history file: what its filters mean, where transcripts stand, and that it never outgrows its bounds.
#include <gmock/gmock.h>

#include "queue/detail/history_log.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

class HistoryTest : public StoreFixture {};

HistoryEvent history_row(MessageId id, std::string event, std::string recipient, Instant at) {
    HistoryEvent row;
    row.message = id;
    row.at = at;
    row.event = std::move(event);
    row.recipient = std::move(recipient);
    row.ordinal = 0;
    row.backend = "stores";
    return row;
}

std::vector<std::string> told(Reader& reader, const HistoryFilter& filter, Instant now) {
    std::vector<std::string> events;
    EXPECT_TRUE(reader
                    .history(filter, now,
                             [&](const HistoryEvent& event) {
                                 events.push_back(event.event == "transcript" ? event.transcript : event.event);
                                 return true;
                             })
                    .has_value());
    return events;
}

TEST_F(HistoryTest, TheHistoryIsFilteredAsTheQueueIs) {
    open();
    const MessageId first = accept({"a@example.com"}, "1");
    const MessageId second = accept({"b@example.com"}, "2");
    store_->note(history_row(first, "deferred", "a@example.com", clock_.wall()));
    store_->note(history_row(second, "held", "b@example.com", clock_.wall()));
    std::promise<void> drained;
    store_->drain([&] { drained.set_value(); });
    drained.get_future().get();
    const auto read = reader();
    HistoryFilter filter;
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "deferred", "accepted", "held"));
    filter.filter.states = {RecipientState::waiting};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("deferred"));
    filter.filter.states.clear();
    filter.filter.clients = {"203.0.113.0/24"};  // nobody's
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::IsEmpty());
    filter.filter.clients.clear();
    filter.filter.limit = 1;  // messages, not rows
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "deferred"));
    filter.filter.limit.reset();
    filter.filter.senders = {"nobody@example.org"};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::IsEmpty());
}

TEST_F(HistoryTest, ATranscriptFollowsTheLastRowOfItsTransaction) {
    open();
    const MessageId id = accept({"a@example.com", "b@example.com"}, "1");
    for (const char* recipient : {"a@example.com", "b@example.com"}) {
        HistoryEvent row = history_row(id, "deferred", recipient, clock_.wall());
        row.transaction = 77;
        store_->note(row);
    }
    HistoryEvent transcript = history_row(id, "transcript", "", clock_.wall());
    transcript.transaction = 77;
    transcript.transcript = "S: 452 full\n";
    store_->note(transcript);
    std::promise<void> drained;
    store_->drain([&] { drained.set_value(); });
    drained.get_future().get();
    const auto read = reader();
    HistoryFilter filter;
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "deferred", "deferred"));
    filter.transcripts = true;
    EXPECT_THAT(told(*read, filter, clock_.wall()),
                testing::ElementsAre("accepted", "deferred", "deferred", "S: 452 full\n"));
    filter.filter.recipients = {"a@*"};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("deferred", "S: 452 full\n"));
}

class SetClock final : public Clock {
public:
    Instant wall() const override { return now; }
    SteadyInstant steady() const override { return {}; }
    Instant now{std::chrono::hours(24 * 365 * 56)};
};

// Pruning keeps up with any rate: what one pass leaves over, the next events take. The gateway's own rows go by their
// time, not by an id that they have not got.
TEST_F(HistoryTest, TheHistoryIsPrunedInPasses) {
    SetClock clock;
    const auto file = folder_ / "h-history";
    detail::HistoryLimits limits;
    limits.rows_pruned = 10;
    detail::HistoryLog log(file, std::chrono::hours(1), clock, false, limits);
    for (int i = 0; i < 35; ++i) {
        log.add(history_row(MessageId::first_at(clock.now + std::chrono::milliseconds(i)), "old", "", clock.now));
    }
    log.drain();
    clock.now += std::chrono::hours(2);
    const auto rows = [&](const char* where) {
        detail::Connection reading(file, detail::OpenMode::read_only);
        return reading.query_integer((std::string("SELECT count(*) FROM history WHERE event = ") + where).c_str());
    };
    for (int i = 0; i < 4; ++i) {
        log.add(history_row(MessageId(), "paused", "", clock.now));
        log.drain();
    }
    EXPECT_EQ(rows("'old'"), 0);
    EXPECT_EQ(rows("'paused'"), 4);
    clock.now += std::chrono::hours(2);
    log.add(history_row(MessageId(), "resumed", "", clock.now));
    log.drain();
    EXPECT_EQ(rows("'paused'"), 0);
    EXPECT_EQ(rows("'resumed'"), 1);
}

TEST_F(HistoryTest, TheOldestTranscriptsMakeRoom) {
    SetClock clock;
    const auto file = folder_ / "h-history";
    detail::HistoryLimits limits;
    limits.transcript_octets = 3000;
    detail::HistoryLog log(file, std::chrono::hours(1), clock, false, limits);
    for (int i = 0; i < 10; ++i) {
        HistoryEvent row = history_row(MessageId::first_at(clock.now), "transcript", "", clock.now);
        row.transaction = i;
        row.transcript = std::string(1000, 'x');
        log.add(std::move(row));
    }
    log.drain();
    detail::Connection reading(file, detail::OpenMode::read_only);
    EXPECT_EQ(reading.query_integer("SELECT count(*) FROM transcript"), 3);
    EXPECT_EQ(reading.query_integer("SELECT min(transaction_id) FROM transcript"), 7);
    EXPECT_EQ(reading.query_integer("SELECT count(*) FROM history"), 0);
}

}  // namespace
}  // namespace postern::queue
