#include "gateway/bounce/report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/bounce/detail/status_part.hpp"
#include "gateway/bounce/detail/text.hpp"

namespace postern::bounce {
namespace {

using mail::DsnReturn;
using mail::EnhancedStatus;
using testing::HasSubstr;
using testing::Not;

mail::Mailbox mailbox(std::string_view text) { return *mail::Mailbox::parse(text, mail::Utf8::allowed); }

/// The facts of a report, and the report itself.
struct Facts {
    Notice notice = Notice::failed;
    ReportedMessage message;
    std::vector<ReportedRecipient> recipients;
    ReportOptions options{"mx1.example.com", mailbox("postmaster@example.com")};

    Facts() {
        message.envelope.id = *queue::MessageId::parse("06pqp3aqm0200");
        message.envelope.received_at = *queue::parse_rfc3339("2026-08-21T10:11:12.345Z");
        message.envelope.sender = mail::ReversePath(mailbox("ann@sender.example"));
        message.content = "Message-ID: <1@sender.example>\r\nSubject: Lunch\r\n\r\nAt noon?\r\n";
        message.content_is_whole = true;
        add("bob@example.com", "550 5.1.1 No such user");
    }
    ReportedRecipient& add(std::string_view address, std::string reply) {
        recipients.emplace_back(mailbox(address));
        recipients.back().last_reply = std::move(reply);
        recipients.back().last_attempt_at = *queue::parse_rfc3339("2026-08-21T11:00:00Z");
        return recipients.back();
    }
    [[nodiscard]] Report make() const {
        return make_report(notice, message, recipients, *queue::MessageId::parse("06pqp3aqm0300"),
                           *queue::parse_rfc3339("2026-08-21T11:00:01Z"), options);
    }
};

// Shows: RFC 6522 section 2, RFC 3464 section 2, RFC 3834 section 3
TEST(Report, IsThisToTheLetter) {
    Facts facts;
    facts.message.envelope.dsn.envid = "QQ+2B1";
    facts.message.envelope.client.helo = "out.sender.example";
    facts.recipients[0].dsn.orcpt = "rfc822;Bob+2Blist@old.example";
    facts.recipients[0].remote_mta = "store.example.com";
    const Report report = facts.make();
    EXPECT_FALSE(report.has_8bit);
    EXPECT_FALSE(report.smtputf8);
    EXPECT_EQ(report.content,
              "From: Mail Delivery System <postmaster@example.com>\r\n"
              "To: <ann@sender.example>\r\n"
              "Subject: Your message could not be delivered\r\n"
              "Date: Fri, 21 Aug 2026 11:00:01 +0000\r\n"
              "Message-ID: <06pqp3aqm0300@mx1.example.com>\r\n"
              "In-Reply-To: <1@sender.example>\r\n"
              "References: <1@sender.example>\r\n"
              "Auto-Submitted: auto-replied\r\n"
              "MIME-Version: 1.0\r\n"
              "Content-Type: multipart/report; report-type=delivery-status;\r\n"
              " boundary=\"=_06pqp3aqm0300.0\"\r\n"
              "\r\n"
              "--=_06pqp3aqm0300.0\r\n"
              "Content-Description: What happened\r\n"
              "Content-Type: text/plain; charset=us-ascii\r\n"
              "\r\n"
              "This is the mail system at mx1.example.com.\r\n"
              "\r\n"
              "Your message could not be delivered to the following recipient, and will not\r\n"
              "be tried again.\r\n"
              "\r\n"
              "  <bob@example.com>\r\n"
              "    There is no such mailbox.\r\n"
              "    Check the part of the address before the @ and send the message again.\r\n"
              "    The system's own words: 550 5.1.1 No such user\r\n"
              "\r\n"
              "If you need help, forward this whole message to <postmaster@example.com>.\r\n"
              "Your message was known here as 06pqp3aqm0200.\r\n"
              "\r\n"
              "--=_06pqp3aqm0300.0\r\n"
              "Content-Description: What became of each recipient\r\n"
              "Content-Type: message/delivery-status\r\n"
              "\r\n"
              "Original-Envelope-Id: QQ+1\r\n"
              "Reporting-MTA: dns; mx1.example.com\r\n"
              "Received-From-MTA: dns; out.sender.example\r\n"
              "Arrival-Date: Fri, 21 Aug 2026 10:11:12 +0000\r\n"
              "\r\n"
              "Original-Recipient: rfc822; Bob+list@old.example\r\n"
              "Final-Recipient: rfc822; bob@example.com\r\n"
              "Action: failed\r\n"
              "Status: 5.1.1\r\n"
              "Remote-MTA: dns; store.example.com\r\n"
              "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
              "Last-Attempt-Date: Fri, 21 Aug 2026 11:00:00 +0000\r\n"
              "Final-Log-ID: 06pqp3aqm0200\r\n"
              "\r\n"
              "--=_06pqp3aqm0300.0\r\n"
              "Content-Description: Header of the message\r\n"
              "Content-Type: text/rfc822-headers; charset=us-ascii\r\n"
              "\r\n"
              "Message-ID: <1@sender.example>\r\n"
              "Subject: Lunch\r\n"
              "\r\n"
              "--=_06pqp3aqm0300.0--\r\n");
}

TEST(Report, OfADelaySaysUntilWhenItIsTried) {
    Facts facts;
    facts.notice = Notice::delayed;
    facts.recipients[0].last_reply = "452 4.2.2 Mailbox full";
    facts.recipients[0].will_retry_until = *queue::parse_rfc3339("2026-08-26T10:11:12Z");
    facts.message.envelope.dsn.ret = DsnReturn::full;
    const std::string content = facts.make().content;
    EXPECT_THAT(content, HasSubstr("\r\nAction: delayed\r\nStatus: 4.2.2\r\n"));
    EXPECT_THAT(content, HasSubstr("\r\nWill-Retry-Until: Wed, 26 Aug 2026 10:11:12 +0000\r\n"));
    EXPECT_THAT(content, HasSubstr("you need not"));
    EXPECT_THAT(content, Not(HasSubstr("At noon?")));  // RFC 3461 section 4.3: RET is about failures
}

TEST(Report, OfASuccessSaysRelayed) {
    Facts facts;
    facts.notice = Notice::relayed;
    facts.recipients[0].last_reply = "250 2.1.5 Saved";
    facts.message.envelope.dsn.ret = DsnReturn::full;
    const std::string content = facts.make().content;
    EXPECT_THAT(content, HasSubstr("\r\nAction: relayed\r\nStatus: 2.1.5\r\n"));
    EXPECT_THAT(content, Not(HasSubstr("Will-Retry-Until")));
    EXPECT_THAT(content, Not(HasSubstr("At noon?")));
}

// Shows: RFC 3461 sections 4.3 and 6.2
TEST(Report, ReturnsTheMessageOnlyWhenAskedAndSmall) {
    Facts facts;
    for (const DsnReturn ret : {DsnReturn::unspecified, DsnReturn::headers}) {
        facts.message.envelope.dsn.ret = ret;
        EXPECT_THAT(facts.make().content, Not(HasSubstr("At noon?")));
    }
    facts.message.envelope.dsn.ret = DsnReturn::full;
    EXPECT_THAT(facts.make().content, HasSubstr("Content-Type: message/rfc822\r\n\r\nMessage-ID: <1@sender.example>\r\n"
                                                "Subject: Lunch\r\n\r\nAt noon?\r\n"));
    facts.options.message_octets_max = facts.message.content.size();
    EXPECT_THAT(facts.make().content, HasSubstr("At noon?"));
    --facts.options.message_octets_max;
    EXPECT_THAT(facts.make().content, Not(HasSubstr("At noon?")));
    facts.options.message_octets_max = 1000;
    facts.message.content_is_whole = false;
    EXPECT_THAT(facts.make().content, Not(HasSubstr("At noon?")));
}

TEST(Report, NeverTakesABodyForAHeader) {
    Facts facts;
    facts.message.content = "Subject: x\r\nno blank line before this secret\r\nor: this\r\n";
    EXPECT_THAT(facts.make().content, Not(HasSubstr("secret")));
    EXPECT_THAT(facts.make().content, Not(HasSubstr("or: this")));
}

TEST(Report, CutsALongHeaderBetweenFields) {
    Facts facts;
    facts.message.content = "A: 1\r\nB: 2\r\n 3\r\nC: 4\r\n\r\nbody\r\n";
    facts.options.header_octets_max = 18;
    const std::string content = facts.make().content;
    EXPECT_THAT(content, HasSubstr("cut short\r\n"));
    EXPECT_THAT(content, HasSubstr("\r\n\r\nA: 1\r\nB: 2\r\n 3\r\n\r\n--"));
    facts.options.header_octets_max = 1000;
    facts.message.content = "A: 1\r\nB: 2 and so o";
    facts.message.content_is_whole = false;  // the last field goes on where the content was cut
    EXPECT_THAT(facts.make().content, Not(HasSubstr("and so o")));
}

TEST(Report, ReturnsNoWholeMessageThatCannotStandInOne) {
    Facts facts;
    facts.message.envelope.dsn.ret = DsnReturn::full;
    for (const std::string content :
         {"A: b\r\n\r\nbare\nbody\r\n", "A: b\r\n\r\nbare\rbody\r\n", "A: \xc3\xbc\r\n\r\nbody\r\n"}) {
        facts.message.content = content;
        EXPECT_THAT(facts.make().content, Not(HasSubstr("body")));
    }
    const std::string long_line = "A: b\r\n\r\n" + std::string(999, 'x') + "\r\n";
    facts.message.content = long_line;
    EXPECT_THAT(facts.make().content, Not(HasSubstr("xxx")));
}

TEST(Report, Declares8BitContent) {
    Facts facts;
    facts.message.envelope.dsn.ret = DsnReturn::full;
    facts.message.content = "Subject: x\r\n\r\nCaf\xe9\r\n";
    const Report report = facts.make();
    EXPECT_TRUE(report.has_8bit);
    EXPECT_FALSE(report.smtputf8);
    EXPECT_THAT(report.content, HasSubstr("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"));
    EXPECT_THAT(report.content, HasSubstr("\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--"));
}

// Shows: RFC 6533 sections 3 to 5
TEST(Report, OfAUtf8AddressIsGlobal) {
    Facts facts;
    facts.recipients.clear();
    facts.add("g\xc3\xbc@example.com", "550 5.1.1 unbekannt: g\xc3\xbc").dsn.orcpt = "utf-8;g\\x{FC}@example.com";
    facts.message.envelope.smtputf8 = true;
    facts.message.content = "Subject: gr\xc3\xbc\xc3\x9f\r\n\r\nbody\r\n";
    Report report = facts.make();
    EXPECT_TRUE(report.has_8bit);
    EXPECT_FALSE(report.smtputf8);
    EXPECT_THAT(report.content, HasSubstr("report-type=global-delivery-status;"));
    EXPECT_THAT(report.content,
                HasSubstr("Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"));
    EXPECT_THAT(report.content, HasSubstr("Original-Recipient: utf-8; g\xc3\xbc@example.com\r\n"
                                          "Final-Recipient: utf-8; g\xc3\xbc@example.com\r\n"));
    EXPECT_THAT(report.content, HasSubstr("Diagnostic-Code: smtp; 550 5.1.1 unbekannt: g\xc3\xbc\r\n"));
    EXPECT_THAT(report.content, HasSubstr("message/global-headers"));
    facts.message.envelope.dsn.ret = DsnReturn::full;
    EXPECT_THAT(facts.make().content, HasSubstr("Content-Type: message/global\r\n"));
    facts.message.envelope.sender = mail::ReversePath(mailbox("\xc3\xa4nn@sender.example"));
    report = facts.make();
    EXPECT_TRUE(report.smtputf8);
    EXPECT_TRUE(report.has_8bit);
}

TEST(Report, OfAsciiAddressesStaysAsciiWhateverTheReply) {
    Facts facts;
    facts.recipients[0].last_reply = "550 5.1.1 unbekannt: g\xc3\xbc \xff";
    facts.recipients[0].dsn.orcpt = "utf-8;g\\x{FC}@example.com";
    const Report report = facts.make();
    EXPECT_FALSE(report.has_8bit);
    EXPECT_TRUE(detail::is_ascii(report.content));
    EXPECT_THAT(report.content, HasSubstr("Diagnostic-Code: smtp; 550 5.1.1 unbekannt: g\\x{FC} \\x{FF}\r\n"));
    EXPECT_THAT(report.content, HasSubstr("Original-Recipient: utf-8; g\\x{FC}@example.com\r\n"));
    EXPECT_THAT(report.content, HasSubstr("g=C3=BC"));  // the part for people shows it as it is
}

TEST(Report, IsNotBentByHostileWords) {
    Facts facts;
    facts.recipients[0].last_reply = "550 5.1.1 x\r\n\r\n--=_06pqp3aqm0300.0\r\nAction: delivered\r\n\nBcc: a@b";
    facts.message.envelope.client.helo = "a\r\nInjected: yes";
    facts.recipients[0].remote_mta = "b\r\nInjected: yes";
    facts.recipients[0].dsn.orcpt = "rfc822;a+0D+0AInjected:+20yes";
    facts.message.envelope.dsn.envid = "a+0D+0AInjected:+20yes";
    facts.message.content =
        "Subject: x\r\nX-Boundary: --=_06pqp3aqm0300.1\r\nMessage-ID: <a\r\n Injected: yes>\r\n\r\n";
    const std::string content = facts.make().content;
    EXPECT_THAT(content, Not(HasSubstr("\r\nInjected:")));
    EXPECT_THAT(content, Not(HasSubstr("\r\nBcc:")));
    EXPECT_THAT(content, Not(HasSubstr("\r\nAction: delivered")));
    EXPECT_THAT(content, HasSubstr("boundary=\"=_06pqp3aqm0300.2\""));  // 0 and 1 occur in what is returned
    EXPECT_TRUE(detail::has_good_lines(content));
}

TEST(Report, ListsAllRecipientsForProgramsAndTheFirstForPeople) {
    Facts facts;
    facts.recipients.clear();
    for (int i = 0; i < 60; ++i) {
        facts.add("user" + std::to_string(i) + "@example.com", "550 5.1.1 No such user");
    }
    const std::string content = facts.make().content;
    EXPECT_THAT(content, HasSubstr("  <user49@example.com>"));
    EXPECT_THAT(content, Not(HasSubstr("  <user50@example.com>")));
    EXPECT_THAT(content, HasSubstr("And 10 more"));
    EXPECT_THAT(content, HasSubstr("Final-Recipient: rfc822; user59@example.com"));
}

TEST(OriginalRecipient, IsDecodedOrLeftOut) {
    EXPECT_EQ(detail::original_recipient("rfc822;a+2Bb@c", false), "rfc822; a+b@c");
    EXPECT_EQ(detail::original_recipient("X400;/C+3Dde", false), "X400; /C=de");
    EXPECT_EQ(detail::original_recipient("utf-8;a\\x{20AC}@c", true), "utf-8; a\xe2\x82\xac@c");
    EXPECT_EQ(detail::original_recipient("utf-8;a\xe2\x82\xac@c", false), "utf-8; a\\x{20AC}@c");
    EXPECT_EQ(detail::original_recipient("utf-8;\\x{D800}\\x{110000}\\x{}\\x{1", true),
              "utf-8; \\x{ED}\\x{A0}\\x{80}\\x{110000}\\x{}\\x{1");
    for (const char* bad : {"", "rfc822", "rfc822;", ";a@b", "a b;c@d", "rfc822;a=b", "rfc822;+0D", "utf-8;"}) {
        EXPECT_EQ(detail::original_recipient(bad, true), "") << bad;
    }
}

// Shows: RFC 3464 section 2.3.4
TEST(StatusOf, FitsTheNotice) {
    struct Case {
        Notice notice;
        const char* reply;
        EnhancedStatus status;
    };
    for (const Case& each :
         {Case{Notice::failed, "550 5.1.1 x", {5, 1, 1}}, Case{Notice::failed, "550", {5, 0, 0}},
          Case{Notice::failed, "550 4.1.1 x", {5, 0, 0}}, Case{Notice::failed, "(no route)", {5, 0, 0}},
          Case{Notice::failed, "", {5, 0, 0}}, Case{Notice::delayed, "452 4.2.2 x", {4, 2, 2}},
          Case{Notice::delayed, "452 x", {4, 0, 0}}, Case{Notice::delayed, "(refused)", {4, 4, 1}},
          Case{Notice::relayed, "250 2.1.5 x", {2, 1, 5}}, Case{Notice::relayed, "250 ok", {2, 0, 0}}}) {
        ReportedRecipient recipient(mailbox("a@b"));
        recipient.last_reply = each.reply;
        EXPECT_EQ(status_of(each.notice, recipient), each.status) << each.reply;
    }
    ReportedRecipient recipient(mailbox("a@b"));
    recipient.last_reply = "452 4.2.2 Mailbox full";
    recipient.expired = true;
    EXPECT_EQ(status_of(Notice::failed, recipient), EnhancedStatus(4, 4, 7));
    recipient.expired = false;
    recipient.status = EnhancedStatus(5, 7, 0);
    EXPECT_EQ(status_of(Notice::failed, recipient), EnhancedStatus(5, 7, 0));
}

}  // namespace
}  // namespace postern::bounce
