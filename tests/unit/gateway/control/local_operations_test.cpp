#include "gateway/control/local_operations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::control::test {
namespace {

using queue::MessageId;
using queue::RecipientState;

class LocalOperationsTest : public ::testing::Test {
protected:
    LocalOperationsTest() {
        queue_.messages.push_back(message(1, {recipient("a@example.org", RecipientState::waiting, "452 4.2.2 Full"),
                                              recipient("b@example.org", RecipientState::held)}));
        queue_.messages.push_back(message(2, {recipient("c@example.org", RecipientState::ready)}));
        queue_.messages.push_back(message(3, {recipient("d@example.org", RecipientState::parked)}));
        queue_.content = "Subject: x\r\n\r\nbody\r\n";
    }

    ApplyRequest request(Verb verb) {
        ApplyRequest made;
        made.verb = verb;
        return made;
    }

    FakeQueue queue_;
    FakeReader reader_{queue_};
    FakeGateway gateway_;
    FixedClock clock_;
    LocalOperations operations_{reader_, gateway_, clock_, "alice"};
};

TEST_F(LocalOperationsTest, ListsEverythingAlsoBeyondTheRowsThatItKeeps) {
    queue_.messages.clear();
    for (std::int64_t id = 1; id <= 2500; ++id) {
        queue_.messages.push_back(message(id, {recipient("a@example.org", RecipientState::ready)}));
    }
    std::vector<std::int64_t> seen;
    ASSERT_TRUE(operations_.list({}, [&](const MessageView& view) {
        seen.push_back(view.id.value());
        return true;
    }));
    ASSERT_EQ(seen.size(), 2500U);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(seen.back(), 2500);
}

TEST_F(LocalOperationsTest, AListEndsWhenItsReaderHasEnough) {
    int rows = 0;
    ASSERT_TRUE(operations_.list({}, [&](const MessageView&) { return ++rows < 2; }));
    EXPECT_EQ(rows, 2);
}

TEST_F(LocalOperationsTest, ListsWhatLiesBeforeADamagedPlaceAndSaysThatItIsNotAll) {
    queue_.damaged_behind = 2;
    std::vector<std::int64_t> seen;
    const auto result = operations_.list({}, [&](const MessageView& view) {
        seen.push_back(view.id.value());
        return true;
    });
    EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2}));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, FailureKind::disk);
    EXPECT_EQ(result.error().text.rfind("the queue is damaged", 0), 0U) << result.error().text;
}

TEST_F(LocalOperationsTest, AppliesAVerbOnlyToStatesThatItActsOn) {
    const auto outcome = operations_.apply(request(Verb::release));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->messages, 2U);
    EXPECT_EQ(outcome->recipients, 2U);
    EXPECT_EQ(outcome->changed, 2U);
    const auto calls = gateway_.calls();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].actor, "alice: queue release --all");
    EXPECT_EQ(calls[0].recipients, (std::vector<RecipientRef>{{MessageId(1), 1}, {MessageId(3), 0}}));
}

TEST_F(LocalOperationsTest, TheLimitCountsMessagesThatChange) {
    ApplyRequest made = request(Verb::release);
    made.filter.limit = 2;
    const auto outcome = operations_.apply(made);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->changed, 2U);  // message 2 holds nothing to release and does not use up the limit
}

TEST_F(LocalOperationsTest, AStateThatTheVerbDoesNotActOnMatchesNothing) {
    ApplyRequest made = request(Verb::retry);
    made.filter.states = {RecipientState::held};
    const auto outcome = operations_.apply(made);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->recipients, 0U);
    EXPECT_TRUE(gateway_.calls().empty());
}

TEST_F(LocalOperationsTest, ADryRunOnlyCounts) {
    ApplyRequest made = request(Verb::remove);
    made.dry_run = true;
    const auto outcome = operations_.apply(made);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->messages, 3U);
    EXPECT_EQ(outcome->recipients, 4U);
    EXPECT_EQ(outcome->changed, 0U);
    EXPECT_TRUE(gateway_.calls().empty());
}

TEST_F(LocalOperationsTest, NamesIdsThatAreNotInTheQueue) {
    ApplyRequest made = request(Verb::hold);
    made.filter.ids = {MessageId(2), MessageId(99), MessageId(3)};
    const auto outcome = operations_.apply(made);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->missing, std::vector<MessageId>{MessageId(99)});
    EXPECT_EQ(outcome->changed, 2U);
}

TEST_F(LocalOperationsTest, ManyRecipientsGoInBatches) {
    queue_.messages.clear();
    for (std::int64_t id = 1; id <= 2001; ++id) {
        queue_.messages.push_back(message(id, {recipient("a@example.org", RecipientState::ready)}));
    }
    const auto outcome = operations_.apply(request(Verb::hold));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->changed, 2001U);
    ASSERT_EQ(gateway_.calls().size(), 3U);
    EXPECT_EQ(gateway_.calls()[2].recipients.size(), 1U);
}

TEST_F(LocalOperationsTest, SaysHowFarItCameWhenTheDiskIsFull) {
    gateway_.status_ = ApplyResult::Status::disk_full;
    const auto outcome = operations_.apply(request(Verb::hold));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, FailureKind::disk);
    EXPECT_THAT(outcome.error().text, testing::HasSubstr("disk is full (0 of "));
    EXPECT_THAT(outcome.error().text, testing::HasSubstr("more are changed in the running gateway"));
}

TEST_F(LocalOperationsTest, AnEngineThatDropsTheCallbackIsAFailureNotAHang) {
    gateway_.drop_ = true;
    const auto outcome = operations_.apply(request(Verb::hold));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, FailureKind::disk);
}

TEST_F(LocalOperationsTest, CatsTheContentInParts) {
    std::string content;
    ASSERT_TRUE(operations_.cat(MessageId(1), [&](std::string_view part) {
        content += part;
        return true;
    }));
    EXPECT_EQ(content, queue_.content);
}

TEST_F(LocalOperationsTest, NeverShowsADamagedMessage) {
    queue_.damaged = true;
    const auto result =
        operations_.cat(MessageId(1), [](std::string_view) -> bool { throw std::logic_error("shown"); });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, FailureKind::damaged);
}

TEST_F(LocalOperationsTest, TellsWhatIsMissingFromWhatCannotBeRead) {
    EXPECT_EQ(operations_.show(MessageId(99)).error().kind, FailureKind::not_found);
    queue_.broken = true;
    const auto broken = operations_.show(MessageId(1));
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().kind, FailureKind::disk);
    EXPECT_NE(broken.error().text.find("disk I/O error"), std::string::npos);
}

TEST_F(LocalOperationsTest, StatusTellsTheAgeOfTheOldest) {
    gateway_.snapshot_.version = "0.1.0";
    const auto status = operations_.status();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->oldest_seconds, 7200U);
    EXPECT_EQ(status->gateway.version, "0.1.0");
    EXPECT_EQ(status->queue.recipients.at(RecipientState::held), 1U);
}

}  // namespace
}  // namespace postern::control::test
