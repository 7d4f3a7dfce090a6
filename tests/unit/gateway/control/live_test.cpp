// The API whole: RemoteOperations to Server over a Unix socket.
#include <pwd.h>

#include "gateway/control/json.hpp"
#include "tests/unit/gateway/control/server_fixture.hpp"

namespace postern::control::test {
namespace {

using queue::MessageId;
using queue::RecipientState;

class LiveTest : public ServerTest {
protected:
    void SetUp() override {
        for (std::int64_t id = 1; id <= 3; ++id) {
            queue_.messages.push_back(
                message(id, {recipient("a@example.org", RecipientState::waiting, "452 4.2.2 Full"),
                             recipient("b@example.org", RecipientState::held)}));
        }
        queue_.content.assign(300'000, 'x');
        start();
    }
};

TEST_F(LiveTest, ListsTheMessagesAsTheyAre) {
    std::vector<std::string> rows;
    ASSERT_TRUE(operations()->list({}, [&](const MessageView& view) {
        rows.push_back(encode(view));
        return true;
    }));
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0], encode(view_of(queue_.messages[0])));
}

TEST_F(LiveTest, PassesTheFilterOn) {
    queue::Filter filter;
    filter.limit = 1;
    filter.ids = {MessageId(2), MessageId(3)};
    std::vector<MessageId> seen;
    ASSERT_TRUE(operations()->list(filter, [&](const MessageView& view) {
        seen.push_back(view.id);
        return true;
    }));
    EXPECT_EQ(seen, std::vector<MessageId>{MessageId(2)});
}

TEST_F(LiveTest, AnEmptyListIsNoError) {
    queue_.messages.clear();
    EXPECT_TRUE(operations()->list({}, [](const MessageView&) { return true; }));
}

TEST_F(LiveTest, ShowsAMessageOrSaysThatItIsNotThere) {
    const auto live = operations();
    const auto found = live->show(MessageId(2));
    ASSERT_TRUE(found) << found.error().text;
    EXPECT_EQ(found->recipients.size(), 2U);
    const auto missing = live->show(MessageId(99));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, FailureKind::not_found);
    EXPECT_NE(missing.error().text.find("no such message"), std::string::npos);
}

TEST_F(LiveTest, CatsEveryOctet) {
    std::string content;
    ASSERT_TRUE(operations()->cat(MessageId(1), [&](std::string_view part) {
        content += part;
        return true;
    }));
    EXPECT_EQ(content, queue_.content);
}

TEST_F(LiveTest, TheActorIsWhoTheKernelSaysThatItIs) {
    ApplyRequest request;
    request.verb = Verb::retry;
    request.filter.ids = {MessageId(1)};
    const auto outcome = operations()->apply(request);
    ASSERT_TRUE(outcome) << outcome.error().text;
    EXPECT_EQ(outcome->changed, 1U);
    const auto calls = gateway_.calls();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].verb, Verb::retry);
    const passwd* me = ::getpwuid(::getuid());
    const std::string name = me != nullptr ? std::string(me->pw_name) : "uid " + std::to_string(::getuid());
    EXPECT_EQ(calls[0].actor, name + ": queue retry " + MessageId(1).to_string());
}

TEST_F(LiveTest, TellsStatusShapeHistoryAndReload) {
    gateway_.snapshot_.version = "0.1.0";
    queue::HistoryEvent event;
    event.event = "delivered";
    queue_.history.assign(3, event);
    gateway_.reload_.ok = true;
    const auto live = operations();
    const auto status = live->status();
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->gateway.running);
    EXPECT_EQ(status->gateway.version, "0.1.0");
    EXPECT_EQ(status->queue.messages, 3U);
    ShapeRequest request;
    request.bounds = {5min, 10min};
    const auto shape = live->shape(request);
    ASSERT_TRUE(shape);
    EXPECT_EQ(shape->at(0).counts, (std::vector<std::uint64_t>{7, 7, 7}));
    int events = 0;
    EXPECT_TRUE(live->history({}, [&](const queue::HistoryEvent&) { return ++events > 0; }));
    EXPECT_EQ(events, 3);
    const auto reloaded = live->reload();
    ASSERT_TRUE(reloaded);
    EXPECT_TRUE(reloaded->ok);
    EXPECT_EQ(reloaded->lines.size(), 1U);
}

TEST_F(LiveTest, TellsWhyAndActsOnBackends) {
    const auto live = operations();
    const auto why = live->why(MessageId(1));
    ASSERT_TRUE(why) << why.error().text;
    EXPECT_TRUE(why->running);
    ASSERT_FALSE(why->recipients.empty());
    EXPECT_EQ(why->recipients[0].text, "as the engine says");
    EXPECT_EQ(live->why(MessageId(99)).error().kind, FailureKind::not_found);
    BackendRequest request;
    request.verb = BackendVerb::resume;
    request.backend = "stores";
    const auto changed = live->change(request);
    ASSERT_TRUE(changed) << changed.error().text;
    EXPECT_TRUE(changed->changed);
    request.backend = "other \"/\x01";
    EXPECT_EQ(live->change(request).error().kind, FailureKind::not_found);
    const auto probed = live->probe("stores");
    ASSERT_TRUE(probed) << probed.error().text;
    EXPECT_EQ(probed->size(), 2U);
    EXPECT_EQ(live->probe("other").error().kind, FailureKind::not_found);
}

TEST_F(LiveTest, ADiskThatFailsIsToldAsSuch) {
    queue_.broken = true;
    const auto listed = operations()->list({}, [](const MessageView&) { return true; });
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().kind, FailureKind::disk);
}

TEST_F(LiveTest, AFewThousandMessagesStreamThrough) {
    queue_.messages.clear();
    for (std::int64_t id = 1; id <= 5000; ++id) {
        queue_.messages.push_back(message(id, {recipient("a@example.org", RecipientState::ready)}));
    }
    std::size_t rows = 0;
    ASSERT_TRUE(operations()->list({}, [&](const MessageView&) { return ++rows > 0; }));
    EXPECT_EQ(rows, 5000U);
}

TEST_F(LiveTest, WithTheServerGoneTheSocketIsGoneAndTheQueueIsReadDirectly) {
    server_->stop();
    EXPECT_FALSE(std::filesystem::exists(socket_));
    ConnectOptions options;
    options.socket = socket_;
    options.queue.path = folder_.path() / "no-queue.db";
    const auto connected = connect(options, clock_);
    ASSERT_FALSE(connected);
    EXPECT_EQ(connected.error().kind, FailureKind::unreachable);
    EXPECT_NE(connected.error().text.find("gateway not running"), std::string::npos) << connected.error().text;
}

}  // namespace
}  // namespace postern::control::test
