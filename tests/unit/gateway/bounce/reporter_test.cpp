// Rules, words, pace and the way to the sender put together.
#include "gateway/bounce/reporter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postern::bounce {
namespace {

using namespace std::chrono_literals;
using queue::Origin;
using testing::HasSubstr;
using testing::Not;

mail::Mailbox mailbox_of(const std::string& text) { return *mail::Mailbox::parse(text, mail::Utf8::allowed); }

class StoppedClock final : public queue::Clock {
public:
    [[nodiscard]] queue::Instant wall() const override { return queue::Instant(1'800'000'000s); }
    [[nodiscard]] queue::SteadyInstant steady() const override { return {}; }
};

class ReporterTest : public testing::Test {
protected:
    ReporterTest() {
        about_.envelope.id = queue::MessageId(1000);
        about_.envelope.sender = mail::ReversePath(mailbox_of("ann@sender.example"));
        about_.envelope.origin = Origin::trusted;
        about_.content = content_;
        about_.content_is_whole = true;
        about_.report_id = queue::MessageId(2000);
        add("bob@example.com");
        rules_.way_to = [this](const mail::Mailbox&) { return way_; };
    }
    Reporter::Told& add(const std::string& address) {
        Reporter::Told& told =
            about_.recipients.emplace_back(Reporter::Told{queue::Recipient(mailbox_of(address)), {}});
        told.recipient.last_reply = "550 5.1.1 No such user";
        told.recipient.failed = true;
        told.recipient.attempts = 1;
        told.telling.at = clock_.wall();
        return told;
    }
    Reporter::Answer decide() {
        if (!reporter_) {
            reporter_.emplace(clock_, std::make_shared<const Rules>(rules_));
        }
        Reporter::Answer answer = reporter_->decide(about_);
        EXPECT_EQ(answer.verdicts.size(), about_.recipients.size());
        return answer;
    }
    std::string report() {
        const auto answer = decide();
        return answer.report ? *answer.report->content : std::string();
    }

    StoppedClock clock_;
    Rules rules_{ReportOptions("mx.example.com", mailbox_of("postmaster@example.com"))};
    std::optional<std::string> way_ = "outgoing";
    std::string content_ = "Message-ID: <1@sender.example>\r\nSubject: Lunch\r\n\r\nAt noon?\r\n";
    Reporter::Case about_;
    std::optional<Reporter> reporter_;
};

// Shows: RFC 8689 section 5
TEST_F(ReporterTest, AReportOnWhatRequiredTlsRequiresItTooAndReturnsTheHeaderAlone) {
    about_.envelope.dsn.ret = mail::DsnReturn::full;
    EXPECT_THAT(report(), HasSubstr("At noon?"));
    about_.envelope.require_tls = true;
    const auto answer = decide();
    ASSERT_TRUE(answer.report);
    EXPECT_TRUE(answer.report->envelope.require_tls);
    EXPECT_THAT(*answer.report->content, HasSubstr("Subject: Lunch"));
    EXPECT_THAT(*answer.report->content, Not(HasSubstr("At noon?")));
}

TEST_F(ReporterTest, AReportGoesFromNobodyToTheSenderAndAsksForNone) {
    const auto answer = decide();
    ASSERT_TRUE(answer.report);
    const queue::Envelope& envelope = answer.report->envelope;
    EXPECT_TRUE(envelope.sender.is_null());
    EXPECT_EQ(envelope.id, queue::MessageId(2000));
    EXPECT_EQ(envelope.origin, Origin::gateway);
    EXPECT_EQ(envelope.about, queue::MessageId(1000));
    EXPECT_EQ(envelope.size, answer.report->content->size());
    ASSERT_EQ(answer.report->recipients.size(), 1U);
    const queue::Recipient& recipient = answer.report->recipients.front();
    EXPECT_EQ(recipient.address.to_string(), "ann@sender.example");
    EXPECT_EQ(recipient.backend, "outgoing");
    EXPECT_EQ(recipient.dsn.notify, mail::DsnNotify::never);
    EXPECT_EQ(recipient.next_attempt_at, clock_.wall());
}

TEST_F(ReporterTest, OnlyWhomSomebodyVouchesForIsTold) {
    about_.envelope.origin = Origin::client;
    const auto answer = decide();
    EXPECT_FALSE(answer.report);
    EXPECT_EQ(answer.verdicts[0].ruling, Ruling::park);
    EXPECT_EQ(answer.verdicts[0].why, "(nobody vouches for the sender)");
}

TEST_F(ReporterTest, WhatAnOperatorReturnsIsReturnedToAnybody) {
    about_.envelope.origin = Origin::client;
    about_.recipients[0].telling.by_hand = true;
    EXPECT_THAT(report(), HasSubstr("Status: 5.1.1"));
    about_.recipients[0].recipient.failed = false;
    about_.recipients[0].recipient.last_reply = "(returned by the operator: moved away)";
    EXPECT_THAT(report(), testing::AllOf(HasSubstr("Status: 5.7.0"), HasSubstr("moved away")));
    about_.recipients[0].telling.expired = true;
    EXPECT_THAT(report(), HasSubstr("Status: 4.4.7"));
}

// Shows: RFC 5321 section 4.5.5, RFC 3834 section 2: also by hand nobody answers an answer.
TEST_F(ReporterTest, NothingIsEverReportedOfAReport) {
    for (const bool by_hand : {false, true}) {
        about_.recipients[0].telling.by_hand = by_hand;
        about_.envelope.sender = {};
        EXPECT_EQ(decide().verdicts[0].ruling, Ruling::silence);
        about_.envelope.sender = mail::ReversePath(mailbox_of("ann@sender.example"));
        about_.envelope.origin = Origin::gateway;
        EXPECT_EQ(decide().verdicts[0].ruling, Ruling::silence);
        about_.envelope.origin = Origin::trusted;
        content_ = "Auto-Submitted: auto-replied\r\n\r\nI am away\r\n";
        about_.content = content_;
        EXPECT_EQ(decide().verdicts[0].ruling, Ruling::silence);
        content_ = "Subject: Lunch\r\n\r\nAt noon?\r\n";
        about_.content = content_;
    }
}

TEST_F(ReporterTest, EachRecipientIsJudgedByItsOwnNotify) {
    add("carl@example.com").recipient.dsn.notify = mail::DsnNotify::never;
    add("dora@example.com").recipient.dsn.notify = mail::DsnNotify::failure;
    const auto answer = decide();
    EXPECT_EQ(answer.verdicts[0].ruling, Ruling::report);
    EXPECT_EQ(answer.verdicts[1].ruling, Ruling::silence);
    EXPECT_EQ(answer.verdicts[2].ruling, Ruling::report);
    EXPECT_THAT(*answer.report->content,
                testing::AllOf(HasSubstr("bob@"), HasSubstr("dora@"), Not(HasSubstr("carl@"))));
}

TEST_F(ReporterTest, WithoutAWayToTheSenderAFailureIsParked) {
    way_.reset();
    auto answer = decide();
    EXPECT_EQ(answer.verdicts[0].ruling, Ruling::park);
    EXPECT_THAT(answer.verdicts[0].why, HasSubstr("bounces.relay"));
    about_.notice = Notice::delayed;
    answer = decide();
    EXPECT_EQ(answer.verdicts[0].ruling, Ruling::silence);
    EXPECT_FALSE(answer.report);
}

TEST_F(ReporterTest, ADelayNoticeSaysUntilWhenItIsTried) {
    about_.notice = Notice::delayed;
    about_.envelope.received_at = clock_.wall() - 4h;
    about_.recipients[0].recipient.last_reply = "451 4.3.2 Later";
    rules_.expire = 48h;
    EXPECT_THAT(report(), testing::AllOf(HasSubstr("Action: delayed"), HasSubstr("Will-Retry-Until: ")));
}

TEST_F(ReporterTest, ManyReportsToADomainAreSpreadOverTime) {
    rules_.per_domain = 2;
    std::vector<queue::Duration> waits;
    for (int i = 0; i < 4; ++i) {
        waits.push_back(decide().report->recipients.front().next_attempt_at - clock_.wall());
    }
    EXPECT_EQ(waits, (std::vector<queue::Duration>{0ms, 0ms, 500ms, 1000ms}));
}

TEST_F(ReporterTest, AReloadChangesTheRules) {
    EXPECT_TRUE(decide().report);
    rules_.send = SendPolicy::never;
    reporter_->replace(std::make_shared<const Rules>(rules_));
    EXPECT_EQ(decide().verdicts[0].ruling, Ruling::park);
}

}  // namespace
}  // namespace postern::bounce
