// What is read of the history: what its filters mean, and where transcripts stand.
#include <gmock/gmock.h>

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
    drain();
    const auto read = reader();
    HistoryFilter filter;
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "deferred", "accepted", "held"));
    filter.filter.states = {RecipientState::waiting};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("deferred"));
    filter.filter.states = {RecipientState::ready, RecipientState::held};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "accepted", "held"));
    filter.filter.states.clear();
    filter.filter.clients = {"203.0.113.0/24"};  // nobody's
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::IsEmpty());
    filter.filter.clients = {"192.0.2.0/24"};
    filter.filter.recipients = {"b@*"};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "held"));
    filter.filter.recipients.clear();
    filter.filter.clients.clear();
    filter.filter.limit = 1;  // messages, not rows
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "deferred"));
    filter.filter.limit.reset();
    filter.filter.senders = {"nobody@example.org"};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::IsEmpty());
    filter.filter.senders = {"<>"};  // which most rows have, but no acceptance here
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::IsEmpty());
    filter.filter.senders = {"sender@*"};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "deferred", "accepted", "held"));
    filter.filter.ids = {second};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "held"));
    filter.filter.senders.clear();
    filter.filter.ids = {MessageId(4711)};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::IsEmpty());
}

TEST_F(HistoryTest, ATranscriptFollowsTheLastRowOfItsTransaction) {
    open();
    const MessageId id = accept({"a@example.com", "b@example.com"}, "1");
    for (const char* recipient : {"a@example.com", "b@example.com"}) {
        HistoryEvent row = history_row(id, "deferred", recipient, clock_.wall());
        row.session = "d1-1";
        store_->note(row);
    }
    HistoryEvent transcript = history_row(id, "transcript", "", clock_.wall());
    transcript.session = "d1-1";
    transcript.transcript = "S: 452 full\n";
    store_->note(transcript);
    drain();
    const auto read = reader();
    HistoryFilter filter;
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("accepted", "deferred", "deferred"));
    filter.transcripts = true;
    EXPECT_THAT(told(*read, filter, clock_.wall()),
                testing::ElementsAre("accepted", "deferred", "deferred", "S: 452 full\n"));
    filter.filter.recipients = {"a@*"};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::ElementsAre("deferred", "S: 452 full\n"));
    filter.filter.recipients = {"nobody@*"};
    EXPECT_THAT(told(*read, filter, clock_.wall()), testing::IsEmpty());
}

// A message's transactions may run beside each other: each transcript is told once, and no row between them is lost.
TEST_F(HistoryTest, TranscriptsOfTransactionsSideBySide) {
    open();
    const MessageId id = accept({"a@example.com", "b@example.com"}, "1");
    const auto note = [&](const char* session, std::string event, std::string transcript) {
        HistoryEvent row = history_row(id, std::move(event), "a@example.com", clock_.wall());
        row.session = session;
        row.transcript = std::move(transcript);
        store_->note(row);
    };
    note("d1-1", "deferred", "");
    note("d1-2", "deferred", "");
    note("d1-1", "failed", "");
    note("d1-2", "trouble", "of 2\n");
    note("d1-1", "transcript", "of 1\n");
    for (int i = 0; i < 600; ++i) {  // more than one page
        note("d1-3", "deferred", "");
    }
    note("d1-3", "transcript", "of 3\n");
    drain();
    HistoryFilter filter;
    filter.transcripts = true;
    std::vector<std::string> expected{"accepted", "deferred", "of 1\n", "deferred", "of 2\n", "failed", "trouble"};
    expected.insert(expected.end(), 600, "deferred");
    expected.emplace_back("of 3\n");
    EXPECT_EQ(told(*reader(), filter, clock_.wall()), expected);
    filter.transcripts = false;
    EXPECT_EQ(told(*reader(), filter, clock_.wall()).size(), 605U);
}

// Rows of a busy message and a limit: no page's end is mistaken for the walk's.
TEST_F(HistoryTest, GoesOnBehindEveryPage) {
    open();
    for (int message = 0; message < 3; ++message) {
        const MessageId id = accept({"a@example.com"}, "1");
        for (int i = 0; i < 255; ++i) {
            store_->note(history_row(id, "deferred", "a@example.com", clock_.wall()));
        }
    }
    store_->note(history_row(MessageId(), "paused", "", clock_.wall()));
    drain();
    HistoryFilter filter;
    EXPECT_EQ(told(*reader(), filter, clock_.wall()).size(), 769U);
    filter.filter.limit = 2;  // messages: the pause is none
    EXPECT_EQ(told(*reader(), filter, clock_.wall()).size(), 513U);
    filter.filter.recipients = {"a@*"};
    EXPECT_EQ(told(*reader(), filter, clock_.wall()).size(), 512U);
}

}  // namespace
}  // namespace postern::queue
