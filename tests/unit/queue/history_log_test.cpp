// What is too old leaves the history in stretches, as many as it takes; what is written meanwhile is there.
#include "queue/detail/history_log.hpp"

#include <fstream>
#include <functional>

#include "queue/detail/schema.hpp"
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
    std::int64_t transcripts(const std::string& condition = "1") {
        Connection read(file_, OpenMode::read_only);
        return read.query_integer(("SELECT count(*) FROM transcript WHERE " + condition).c_str());
    }
    HistoryOptions threaded() {
        HistoryOptions options;
        options.file = file_;
        options.keep = keep;
        return options;
    }
    HistoryOptions by_hand() {
        HistoryOptions options = threaded();
        options.by_hand = true;
        return options;
    }
    std::function<void(const std::string&)> warn() {
        return [this](const std::string& text) { warnings_.push_back(text); };
    }
    HistoryEvent transcript(Instant at, std::size_t octets) {
        HistoryEvent made = event(MessageId::first_at(at), at);
        made.event = "transcript";
        made.session = "d1-1";
        made.transcript = std::string(octets, 'x');
        return made;
    }
    bool await(const std::function<bool()>& condition) { return ears_.await(condition); }

    const std::filesystem::path file_ = folder_ / "queue.db-history";
    HandClock hand_;
    std::vector<std::string> warnings_;
};

TEST_F(HistoryLogTest, ByHandRemovesAStretchAtATimeUntilNothingIsTooOld) {
    HistoryLog log(by_hand(), hand_, warn());
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
    HistoryLog log(by_hand(), hand_, warn());
    add(log, hand_.now, 1, 5000);
    hand_.now += keep + std::chrono::hours(1);
    log.write_waiting();
    EXPECT_EQ(rows(), 3000);
}

TEST_F(HistoryLogTest, OfAMessageThatWaitedLongTheYoungRowsStay) {
    HistoryLog log(by_hand(), hand_, warn());
    const MessageId old = MessageId::first_at(hand_.now);
    for (int hour = 0; hour <= 48; ++hour) {
        log.add(event(old, hand_.now + std::chrono::hours(hour)));
    }
    log.drain();
    hand_.now += keep + std::chrono::hours(24) + std::chrono::minutes(30);
    log.write_waiting();
    EXPECT_EQ(rows(), 24) << "of the last day";
    hand_.now += std::chrono::hours(25);
    log.write_waiting();
    EXPECT_EQ(rows(), 0);
}

TEST_F(HistoryLogTest, WhatHasAnIdFromTheFutureGoesByItsOwnTime) {
    HistoryLog log(by_hand(), hand_, warn());
    const MessageId ahead = MessageId::first_at(hand_.now + std::chrono::hours(24 * 365));
    log.add(event(ahead, hand_.now));
    log.add(event(ahead, hand_.now + keep));
    log.drain();
    hand_.now += keep + std::chrono::hours(1);
    log.write_waiting();
    EXPECT_EQ(rows(), 1);
}

TEST_F(HistoryLogTest, WhatIsAboutTheGatewayGoesByItsOwnTime) {
    HistoryLog log(by_hand(), hand_, warn());
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
        HistoryLog log(by_hand(), hand_, warn());
        add(log, hand_.now, 25'000);
    }
    hand_.now += keep + std::chrono::hours(1);
    HistoryLog log(threaded(), hand_, warn());
    add(log, hand_.now, 100);  // beside the stretches
    EXPECT_TRUE(await([this] { return rows() == 100; })) << rows();
    add(log, hand_.now + std::chrono::minutes(1), 100);
    EXPECT_EQ(rows(), 200);
}

TEST_F(HistoryLogTest, TheOldestTranscriptsMakeRoomForNewOnes) {
    HistoryOptions options = by_hand();
    options.transcript_octets_max = 3000;
    HistoryLog log(options, hand_, warn());
    for (int i = 0; i < 10; ++i) {
        HistoryEvent made = transcript(hand_.now, 1000);
        made.session = "d1-" + std::to_string(i);
        log.add(made);
        log.drain();
    }
    EXPECT_EQ(transcripts(), 3);
    EXPECT_EQ(transcripts("session IN ('d1-7', 'd1-8', 'd1-9')"), 3);
    EXPECT_EQ(rows(), 0);  // they have no row of their own
    std::vector<HistoryEvent> many(2000, transcript(hand_.now, 1000));
    log.add(many);  // more than one look at the oldest takes
    log.drain();
    EXPECT_EQ(transcripts(), 3);
}

TEST_F(HistoryLogTest, TranscriptsGoWithTheirTime) {
    HistoryLog log(by_hand(), hand_, warn());
    std::vector<HistoryEvent> old(700, transcript(hand_.now, 10));
    log.add(old);
    log.add(transcript(hand_.now + std::chrono::hours(2), 10));
    log.drain();
    EXPECT_EQ(transcripts(), 701);
    hand_.now += keep + std::chrono::hours(1);
    log.write_waiting();
    EXPECT_EQ(transcripts(), 201);
    log.write_waiting();
    EXPECT_EQ(transcripts(), 1);
}

TEST_F(HistoryLogTest, WaitingTranscriptsAreBounded) {
    HistoryOptions options = by_hand();
    options.transcript_octets_waiting = 3000;
    HistoryLog log(options, hand_, warn());
    std::vector<HistoryEvent> many(5, transcript(hand_.now, 1000));
    log.add(many);
    log.drain();
    EXPECT_EQ(transcripts("octets = 1000"), 3);
    EXPECT_EQ(transcripts("text LIKE '(left out%'"), 2);
    log.add(many);  // there is room again
    log.drain();
    EXPECT_EQ(transcripts("octets = 1000"), 6);
}

TEST_F(HistoryLogTest, ARowTellsOfThoseThatFoundNoRoom) {
    HistoryOptions options = by_hand();
    options.rows_waiting_max = 10;
    HistoryLog log(options, hand_, warn());
    std::vector<HistoryEvent> many(25, event(MessageId::first_at(hand_.now), hand_.now));
    log.add(many);
    log.add(many);
    log.drain();
    EXPECT_EQ(rows("event = 'delivered'"), 10);
    EXPECT_EQ(rows("event = 'lost' AND message = 0 AND reply LIKE '(40 rows %'"), 1);
    add(log, hand_.now, 3);
    EXPECT_EQ(rows("event = 'lost'"), 1);
}

TEST_F(HistoryLogTest, ARowTellsOfThoseThatCouldNotBeWritten) {
    std::filesystem::create_directory(file_);
    HistoryLog log(by_hand(), hand_, warn());
    add(log, hand_.now, 5);
    add(log, hand_.now, 2);
    ASSERT_EQ(warnings_.size(), 1U);  // not again with each
    EXPECT_NE(warnings_.front().find("cannot be written"), std::string::npos) << warnings_.front();
    std::filesystem::remove(file_);
    add(log, hand_.now, 3);
    EXPECT_EQ(rows("event = 'delivered'"), 3);
    EXPECT_EQ(rows("event = 'lost' AND reply LIKE '(7 rows %'"), 1);
}

// A file as version 1 of its schema left it.
TEST_F(HistoryLogTest, AnOlderFileIsCarriedOver) {
    {
        Connection old(file_, OpenMode::create);
        old.execute(
            "CREATE TABLE history (message INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, "
            "ordinal INTEGER, event TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, backend TEXT NOT "
            "NULL, endpoint TEXT NOT NULL, attempt INTEGER NOT NULL, duration INTEGER NOT NULL, reply TEXT NOT NULL, "
            "actor TEXT NOT NULL, PRIMARY KEY (message, number)) STRICT, WITHOUT ROWID;"
            "CREATE VIEW report_history (id, at) AS SELECT message, at FROM history;"
            "PRAGMA user_version=1");
        old.execute(("PRAGMA application_id=" + std::to_string(history_application_id)).c_str());
        const std::string at = std::to_string(hand_.now.time_since_epoch().count());
        const std::string id = std::to_string(MessageId::first_at(hand_.now).value());
        old.execute(("INSERT INTO history VALUES (" + id + ", 1, " + at +
                     ", 0, 'delivered', '', 'old@example.com', 's', 'e', 1, 2, '250 ok', 'gateway')")
                        .c_str());
    }
    HistoryLog log(by_hand(), hand_, warn());
    HistoryEvent made = event(MessageId::first_at(hand_.now), hand_.now);
    made.session = "d1-1";
    log.add(made);
    log.drain();
    EXPECT_EQ(rows("recipient = 'old@example.com' AND session = ''"), 1);
    EXPECT_EQ(rows("session = 'd1-1'"), 1);
    EXPECT_TRUE(warnings_.empty()) << warnings_.front();
}

TEST_F(HistoryLogTest, AFileThatCannotBeUsedIsSetAsideAndBegunAnew) {
    const std::filesystem::path aside = file_.string() + ".aside";
    const auto expect_new = [&](const char* why) {
        HistoryLog log(by_hand(), hand_, warn());
        add(log, hand_.now, 3);
        EXPECT_EQ(rows("event = 'delivered'"), 3) << why;
        EXPECT_EQ(rows("event = 'lost'"), 0) << why;
        ASSERT_EQ(warnings_.size(), 1U) << why;
        EXPECT_NE(warnings_.front().find("set aside as " + aside.string()), std::string::npos) << warnings_.front();
        EXPECT_TRUE(std::filesystem::exists(aside)) << why;
        warnings_.clear();
    };
    std::ofstream(file_) << std::string(8192, 'x');
    expect_new("no database");
    { Connection(file_, OpenMode::read_write).execute("PRAGMA user_version=99"); }
    expect_new("newer");
    EXPECT_EQ(Connection(aside, OpenMode::read_write).query_integer("PRAGMA user_version"), 99);
    { Connection(file_, OpenMode::read_write).execute("PRAGMA application_id=1"); }
    expect_new("somebody else's");
}

TEST_F(HistoryLogTest, KeepsNothingWhenItIsOff) {
    HistoryOptions options = by_hand();
    options.keep = Duration(0);
    HistoryLog log(options, hand_, warn());
    add(log, hand_.now, 10);
    log.write_waiting();
    EXPECT_FALSE(std::filesystem::exists(file_));
}

}  // namespace
}  // namespace postern::queue::detail
