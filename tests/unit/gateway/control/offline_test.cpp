// With no gateway running: the commands on a real queue file.
#include <gtest/gtest.h>

#include <future>

#include "gateway/control/connect.hpp"
#include "gateway/control/detail/listening_socket.hpp"
#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::control::test {
namespace {

using queue::RecipientState;

class NullListener final : public queue::StoreListener {
public:
    void committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> /*messages*/) override {}
    void batch_done() override {}
    void health_changed(const std::string& /*error*/) override {}
};

class OfflineTest : public ::testing::Test {
protected:
    OfflineTest() {
        options_.socket = folder_.path() / "control.sock";
        options_.queue.path = folder_.path() / "queue.db";
        options_.queue.minimum_free_disk = 0;
        options_.version = "0.1.0";
        options_.notice = [this](const std::string& text) { notices_.push_back(text); };
    }

    std::unique_ptr<queue::SqliteStore> open_store() {
        auto opened = queue::SqliteStore::open(options_.queue, clock_, listener_);
        EXPECT_TRUE(opened) << opened.error().text;
        return opened ? std::move(*opened) : nullptr;
    }

    queue::MessageId add_message(queue::Store& store) {
        auto incoming = store.begin();
        const queue::MessageId id = incoming->id();
        auto made = message(
            0, {recipient("a@example.org", RecipientState::ready), recipient("b@example.org", RecipientState::ready)});
        std::promise<queue::StoreStatus> promise;
        const std::string content = "Subject: x\r\n\r\nbody\r\n";
        made.envelope.size = content.size();
        incoming->commit(made.envelope, made.recipients, content,
                         [&](queue::StoreStatus status) { promise.set_value(status); });
        EXPECT_EQ(promise.get_future().get(), queue::StoreStatus::stored);
        return id;
    }

    std::unique_ptr<Operations> operations() {
        auto connected = connect(options_, clock_);
        EXPECT_TRUE(connected) << connected.error().text;
        return connected ? std::move(*connected) : nullptr;
    }

    TempFolder folder_;
    queue::SystemClock clock_;
    NullListener listener_;
    ConnectOptions options_;
    std::vector<std::string> notices_;
};

TEST_F(OfflineTest, ReadsTheQueueFileAndSaysSo) {
    const auto id = add_message(*open_store());
    const auto offline = operations();
    ASSERT_NE(offline, nullptr);
    ASSERT_EQ(notices_.size(), 1U);
    EXPECT_EQ(notices_[0], "gateway not running: reading the queue file directly");
    const auto shown = offline->show(id);
    ASSERT_TRUE(shown) << shown.error().text;
    EXPECT_EQ(shown->recipients.size(), 2U);
    std::string content;
    ASSERT_TRUE(offline->cat(id, [&](std::string_view part) {
        content += part;
        return true;
    }));
    EXPECT_EQ(content, "Subject: x\r\n\r\nbody\r\n");
    const auto status = offline->status();
    ASSERT_TRUE(status);
    EXPECT_FALSE(status->gateway.running);
    EXPECT_EQ(status->queue.messages, 1U);
}

TEST_F(OfflineTest, ChangesUnderTheLockAndTheChangeStays) {
    const auto id = add_message(*open_store());
    ApplyRequest request;
    request.verb = Verb::hold;
    request.filter.ids = {id};
    {
        const auto offline = operations();
        ASSERT_NE(offline, nullptr);
        const auto outcome = offline->apply(request);
        ASSERT_TRUE(outcome) << outcome.error().text;
        EXPECT_EQ(outcome->changed, 2U);
        EXPECT_EQ(notices_.back(), "gateway not running: changing the queue file directly");
        const auto again = offline->apply(request);
        ASSERT_TRUE(again);
        EXPECT_EQ(again->recipients, 0U);  // held already
    }
    const auto shown = operations()->show(id);
    ASSERT_TRUE(shown);
    EXPECT_EQ(shown->recipients[0].state, RecipientState::held);
    EXPECT_EQ(shown->recipients[1].state, RecipientState::held);
}

TEST_F(OfflineTest, RemovingTheLastRecipientRemovesTheMessage) {
    const auto id = add_message(*open_store());
    ApplyRequest request;
    request.verb = Verb::remove;
    request.filter.ids = {id};
    const auto offline = operations();
    ASSERT_NE(offline, nullptr);
    ASSERT_TRUE(offline->apply(request));
    const auto shown = offline->show(id);
    ASSERT_FALSE(shown);
    EXPECT_EQ(shown.error().kind, FailureKind::not_found);
}

/// Reports to everybody, in one word.
class BriefReporter final : public queue::Reporter {
public:
    Answer decide(const Case& about) override {
        Answer answer;
        answer.verdicts.resize(about.recipients.size(), {Ruling::report, ""});
        for (const Told& told : about.recipients) {
            text += told.recipient.address.to_string() + ' ' + told.recipient.last_reply + '\n';
        }
        queue::CommittedMessage& report = answer.report.emplace();
        report.envelope.id = about.report_id;
        report.envelope.origin = queue::Origin::gateway;
        report.content = std::make_shared<const std::string>("report");
        report.envelope.size = report.content->size();
        report.recipients.emplace_back(*about.envelope.sender.mailbox());
        return answer;
    }
    [[nodiscard]] std::size_t content_octets_max() const override { return 100; }
    std::string text;
};

TEST_F(OfflineTest, ReturnsToTheSenderWithAReport) {
    const auto id = add_message(*open_store());
    BriefReporter reporter;
    options_.queue.reporter = &reporter;
    ApplyRequest request;
    request.verb = Verb::bounce;
    request.filter.ids = {id};
    request.reason = "moved away";
    const auto offline = operations();
    ASSERT_NE(offline, nullptr);
    const auto outcome = offline->apply(request);
    ASSERT_TRUE(outcome) << outcome.error().text;
    EXPECT_EQ(outcome->changed, 2U);
    EXPECT_FALSE(offline->show(id));
    EXPECT_EQ(std::count(reporter.text.begin(), reporter.text.end(), '\n'), 2) << "one report for both";
    EXPECT_NE(reporter.text.find("(returned by the operator: moved away)"), std::string::npos);
    const auto status = offline->status();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->queue.messages, 1U) << "the report";
}

TEST_F(OfflineTest, AQueueThatAGatewayHoldsIsNotChangedBehindItsBack) {
    const auto store = open_store();
    const auto id = add_message(*store);
    const auto offline = operations();
    ASSERT_NE(offline, nullptr);
    EXPECT_TRUE(offline->show(id));
    ApplyRequest request;
    request.verb = Verb::hold;
    request.filter.ids = {id};
    const auto outcome = offline->apply(request);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, FailureKind::busy);
    EXPECT_NE(outcome.error().text.find("control.sock"), std::string::npos) << outcome.error().text;
}

TEST_F(OfflineTest, ADryRunNeedsNoLock) {
    const auto store = open_store();
    add_message(*store);
    ApplyRequest request;
    request.verb = Verb::hold;
    request.dry_run = true;
    const auto outcome = operations()->apply(request);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->recipients, 2U);
}

TEST_F(OfflineTest, SaysWhyFromTheQueueAlone) {
    const auto id = add_message(*open_store());
    const auto why = operations()->why(id);
    ASSERT_TRUE(why) << why.error().text;
    EXPECT_FALSE(why->running);
    ASSERT_EQ(why->recipients.size(), 2U);
    EXPECT_EQ(why->recipients[0].waits_for, "gateway");
    EXPECT_NE(why->recipients[0].text.find("not running"), std::string::npos);
}

TEST_F(OfflineTest, APauseIsKeptInTheQueueAndInTheHistory) {
    const auto id = add_message(*open_store());
    options_.backends.emplace_back().name = "stores";
    BackendRequest request;
    request.backend = "stores";
    request.reason = "new disk";
    {
        const auto offline = operations();
        ASSERT_NE(offline, nullptr);
        const auto paused = offline->change(request);
        ASSERT_TRUE(paused) << paused.error().text;
        EXPECT_TRUE(paused->changed);
        EXPECT_FALSE(offline->change(request)->changed);
        request.backend = "other";
        EXPECT_EQ(offline->change(request).error().kind, FailureKind::not_found);
    }
    const auto offline = operations();
    const auto status = offline->status();
    ASSERT_TRUE(status);
    ASSERT_TRUE(status->gateway.backends.at(0).paused);
    EXPECT_EQ(status->gateway.backends[0].paused->reason, "new disk");
    const auto why = offline->why(id);
    ASSERT_TRUE(why);
    EXPECT_EQ(why->recipients.at(0).waits_for, "resume");
    EXPECT_EQ(why->recipients[0].since, status->gateway.backends[0].paused->at);
    EXPECT_NE(why->recipients[0].text.find("paused by an operator: new disk"), std::string::npos);
    EXPECT_NE(why->recipients[0].remedy.find("postern backend resume stores"), std::string::npos);
    EXPECT_FALSE(why->recipients[0].actor.empty());
    std::vector<std::string> events;
    ASSERT_TRUE(offline->history({}, [&](const queue::HistoryEvent& event) {
        events.push_back(event.event);
        return true;
    }));
    EXPECT_EQ(events, (std::vector<std::string>{"paused", "accepted"}));
    request.backend = "stores";
    request.verb = BackendVerb::resume;
    EXPECT_TRUE(offline->change(request)->changed);
    EXPECT_FALSE(offline->status()->gateway.backends.at(0).paused);
    EXPECT_EQ(offline->probe("stores").error().kind, FailureKind::unreachable);
}

TEST_F(OfflineTest, ReloadNeedsAGateway) {
    add_message(*open_store());
    const auto outcome = operations()->reload();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind, FailureKind::unreachable);
}

}  // namespace
}  // namespace postern::control::test
