// The dialogue's careful cases, one by one, as conversations: what is sent and what the store says.
#include "lmtp-client/detail/dialogue.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/lmtp-client/conversation.hpp"

namespace postern::lmtp_client::test {
namespace {

using detail::Dialogue;
using detail::DialogueOptions;

class DialogueTest : public Conversation {
protected:
    using Conversation::begin;
    void begin(std::size_t count, DialogueOptions options = {}) {
        begin(transaction("s@example.org", recipients(count)), options);
    }
    bool finished() const { return dialogue_->next() == Dialogue::Action::finish; }
};

class PipelinedData : public DialogueTest {
protected:
    PipelinedData() { store.pipelining = true; }
};
class OneWrite : public DialogueTest {
protected:
    OneWrite() { store.pipelining = store.chunking = true; }
};

TEST_F(PipelinedData, WhoFirstWantsALoginHasSaidNothingOfTheMail) {
    for (const char* wish :
         {"530 5.7.0 Must issue a STARTTLS command first\r\n", "530 5.7.0 Authentication required\r\n",
          "534 5.7.9 too weak\r\n", "535 5.7.8 no\r\n", "538 5.7.11 encrypt first\r\n"}) {
        for (const char* before : {"", "250 ok\r\n", "250 ok\r\n250 ok\r\n"}) {
            begin(1);
            static_cast<void>(sent());
            hears(std::string(before) + wish);
            EXPECT_EQ(words(), (Words{"not_tried"})) << wish << " after " << before;
            EXPECT_EQ(dialogue_->trouble(), Trouble::greeting);
        }
        DialogueOptions smtp;
        smtp.protocol = Protocol::smtp;
        begin(1, smtp);
        static_cast<void>(sent());
        hears(wish);
        EXPECT_EQ(words(), (Words{std::string(wish, 3)})) << "a stranger's server means it";
    }
}

TEST_F(DialogueTest, WaitsForEachReplyWithoutPipelining) {
    begin(2);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\n");
    hears("250 ok\r\n");
    EXPECT_EQ(sent(), "RCPT TO:<r0@example.com>\r\n");
    hears("250 ok\r\n");
    EXPECT_EQ(sent(), "RCPT TO:<r1@example.com>\r\n");
    hears("250 ok\r\n");
    EXPECT_EQ(sent(), "DATA\r\n");
    hears("354 go\r\n");
    EXPECT_EQ(sent(), "<content>");
    hears("250 ok\r\n");
    EXPECT_EQ(words(), (Words{"250", "nothing"}));  // told as it comes
    hears("250 ok\r\n");
    EXPECT_EQ(words(), (Words{"250", "250"}));
    EXPECT_TRUE(dialogue_->is_reusable());
}

// RFC 5321 section 3.8: 421 may come at any time; the network cuts it where it likes.
TEST_F(DialogueTest, HearsAShutdownThatComesUnaskedAndInPieces) {
    for (const std::string& end : {std::string("1 4.3.2 down\r\n"), std::string("0 4.3.2 what\r\n")}) {
        begin(1);
        EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\n");
        hears("250 ok\r\n42");
        EXPECT_FALSE(finished());
        EXPECT_EQ(sent(), "RCPT TO:<r0@example.com>\r\n");
        hears(end);
        EXPECT_TRUE(finished());
        EXPECT_EQ(words(), Words{"not_tried"}) << "it was begun before the RCPT was sent, and cannot answer it";
        EXPECT_EQ(dialogue_->trouble(), end[0] == '1' ? Trouble::shutting_down : Trouble::protocol);
    }
}

TEST_F(PipelinedData, SendsTheEnvelopeInOneWrite) {
    begin(2);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\nRCPT TO:<r1@example.com>\r\nDATA\r\n");
    EXPECT_EQ(dialogue_->next(), Dialogue::Action::receive);
}

TEST_F(OneWrite, SendsTheWholeTransactionInOneWrite) {
    begin(1);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\nBDAT " +
                          std::to_string(plain_content.size()) + " LAST\r\n<content>");
    hears("250 ok\r\n250 ok\r\n250 ok\r\n");
    EXPECT_EQ(words(), Words{"250"});
    EXPECT_TRUE(dialogue_->is_reusable());
}

TEST_F(OneWrite, AsksAboutTheEnvelopeFirstWhenTold) {
    DialogueOptions options;
    options.envelope_first = true;
    begin(1, options);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\n");
    EXPECT_TRUE(dialogue_->is_untouched());
    hears("250 ok\r\n250 ok\r\n");
    EXPECT_FALSE(dialogue_->is_untouched());
    EXPECT_EQ(sent(), "BDAT " + std::to_string(plain_content.size()) + " LAST\r\n<content>");
    hears("250 ok\r\n");
    EXPECT_EQ(words(), Words{"250"});
}

TEST_F(OneWrite, UsesDataForALargeContent) {
    DialogueOptions options;
    options.bdat_size_max = 10;
    begin(1, options);
    EXPECT_NE(sent().find("DATA\r\n"), std::string::npos);
}

TEST_F(DialogueTest, PassesOnTheParametersThatTheStoreKnows) {
    store.pipelining = store.size = store.eight_bit_mime = store.smtputf8 = store.dsn = true;
    Transaction message = transaction("", recipients(1));
    message.body_8bit = message.smtputf8 = true;
    message.dsn = {mail::DsnReturn::headers, "QQ+2B"};
    message.recipients[0].dsn = {mail::DsnNotify::success | mail::DsnNotify::delay, "rfc822;a+40b@example.com"};
    begin(message);
    EXPECT_EQ(sent(), "MAIL FROM:<> SIZE=" + std::to_string(plain_content.size()) +
                          " BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B\r\n"
                          "RCPT TO:<r0@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b@example.com\r\nDATA\r\n");
}

TEST_F(DialogueTest, LeavesOutWhatTheStoreDoesNotKnowAndWhatCouldEndTheLine) {
    store.pipelining = true;
    Transaction message = transaction("s@example.org", recipients(1));
    message.dsn = {mail::DsnReturn::full, "x\r\nRSET"};
    message.recipients[0].dsn = {mail::DsnNotify::never, "rfc822;a b"};
    begin(message);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n");
    store.dsn = true;
    begin(message);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org> RET=FULL\r\nRCPT TO:<r0@example.com> NOTIFY=NEVER\r\nDATA\r\n");
}

TEST_F(DialogueTest, RefusesWhatTheStoreCannotTakeWithoutAskingIt) {
    Transaction message = transaction("s@example.org", recipients(2));
    message.body_8bit = true;
    begin(message);
    EXPECT_TRUE(finished());
    EXPECT_TRUE(dialogue_->is_reusable());
    EXPECT_EQ(words(), (Words{"unable 554", "unable 554"}));

    message.smtputf8 = true;
    begin(message);
    EXPECT_EQ(words(), (Words{"unable 550", "unable 550"}));

    store.size = store.eight_bit_mime = store.smtputf8 = true;
    store.size_max = 10;
    begin(message);
    EXPECT_EQ(words(), (Words{"unable 552", "unable 552"}));
}

// Shows: RFC 8689 sections 4.2.1, 4.4 and 5
TEST_F(DialogueTest, SendsWhatRequiresTlsOnlyWhereThatIsKept) {
    Transaction message = transaction("s@example.org", recipients(1));
    message.require_tls = true;
    DialogueOptions options;
    begin(message, options);
    EXPECT_EQ(words(), Words{"unable 550"}) << "a store that others can listen to";
    options.confidential = true;
    begin(message, options);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\n") << "a store that does not know the extension";
    store.require_tls = true;
    begin(message, options);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org> REQUIRETLS\r\n");

    options.protocol = Protocol::smtp;
    begin(message, options);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org> REQUIRETLS\r\n");
    options.confidential = false;
    begin(message, options);
    EXPECT_EQ(words(), Words{"unable 550"}) << "a server that is not who it should be";
    store.require_tls = false;
    options.confidential = true;
    begin(message, options);
    EXPECT_EQ(words(), Words{"unable 550"}) << "a server that would not pass it on so";

    Transaction report = transaction("", recipients(1));
    report.require_tls = true;
    begin(report, options);
    EXPECT_EQ(sent(), "MAIL FROM:<>\r\n") << "a report is not lost for it";
    store.require_tls = true;
    begin(report, options);
    EXPECT_EQ(sent(), "MAIL FROM:<> REQUIRETLS\r\n");
}

// Shows: RFC 6531 section 3.2
TEST_F(PipelinedData, RefusesOnlyTheRecipientWhoseAddressNeedsUtf8) {
    begin(transaction("s@example.org", {"a@example.com", "\xc3\xa9@example.com", "b@example.com"}));
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n");
    hears("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    EXPECT_EQ(sent(), "<content>");
    hears("250 ok\r\n452 full\r\n");
    EXPECT_EQ(words(), (Words{"250", "unable 553", "452"}));
}

// Shows: RFC 9422 section 4
TEST_F(PipelinedData, AsksAboutNoMoreRecipientsThanTheStoreTakes) {
    store.recipients_max = 1;
    begin(2);
    EXPECT_EQ(sent(), "MAIL FROM:<s@example.org>\r\nRCPT TO:<r0@example.com>\r\nDATA\r\n");
    hears("250 ok\r\n250 ok\r\n354 go\r\n");
    sent();
    hears("250 ok\r\n");
    EXPECT_EQ(words(), (Words{"250", "not_tried"}));
    EXPECT_EQ(dialogue_->trouble(), Trouble::none);
}

TEST_F(PipelinedData, GivesARefusalOfTheSenderToAllAndDropsWhatFollows) {
    begin(2);
    sent();
    hears("550 5.7.1 not you\r\n");
    EXPECT_EQ(words(), (Words{"550", "550"}));
    EXPECT_FALSE(finished());
    hears("503 mail first\r\n503 mail first\r\n503 rcpt first\r\n");
    EXPECT_TRUE(finished());
    EXPECT_TRUE(dialogue_->is_reusable());
    EXPECT_EQ(dialogue_->trouble(), Trouble::none);
}

TEST_F(OneWrite, ResynchronisesAfterARefusalOfTheSenderWhenBdatIsRefusedToo) {
    begin(1);
    sent();
    hears("451 4.3.0 later\r\n503 no\r\n503 no\r\n");
    EXPECT_EQ(words(), Words{"451"});
    EXPECT_EQ(sent(), "RSET\r\n");
    hears("250 ok\r\n");
    EXPECT_TRUE(dialogue_->is_reusable());
}

// Shows: RFC 2033 section 4.2 (BDAT LAST without recipients: no replies)
TEST_F(OneWrite, DoesNotReuseAConnectionWhoseRepliesToBdatCannotBeTold) {
    begin(1);
    sent();
    hears("250 ok\r\n550 no\r\n");
    EXPECT_EQ(words(), Words{"550"});
    EXPECT_EQ(sent(), "RSET\r\n");
    hears("250 ok\r\n");
    EXPECT_TRUE(finished());
    EXPECT_FALSE(dialogue_->is_reusable());
    EXPECT_EQ(dialogue_->trouble(), Trouble::none);
}

TEST_F(PipelinedData, StopsWhenARecipientIsAcceptedThoughTheSenderIsNot) {
    begin(1);
    sent();
    hears("550 no\r\n250 ok\r\n354 go\r\n");
    EXPECT_TRUE(finished());
    EXPECT_EQ(dialogue_->trouble(), Trouble::protocol);
    EXPECT_EQ(words(), Words{"550"});
}

TEST_F(PipelinedData, ResetsWhenNobodyWasAcceptedAndDataWasRefused) {
    begin(2);
    sent();
    hears("250 ok\r\n550 no\r\n452 full\r\n503 no recipients\r\n");
    EXPECT_EQ(words(), (Words{"550", "452"}));
    EXPECT_EQ(sent(), "RSET\r\n");
    hears("250 ok\r\n");
    EXPECT_TRUE(dialogue_->is_reusable());
}

// Shows: RFC 2920 section 3.1
TEST_F(PipelinedData, SendsALoneDotAndLeavesWhenDataWasAcceptedForNobody) {
    begin(1);
    sent();
    hears("250 ok\r\n550 no\r\n354 go\r\n");
    EXPECT_EQ(sent(), ".\r\n");
    EXPECT_TRUE(finished());
    EXPECT_FALSE(dialogue_->is_reusable());
    EXPECT_EQ(words(), Words{"550"});
}

TEST_F(DialogueTest, ResetsWithoutDataWhenNobodyWasAcceptedInSerial) {
    begin(1);
    sent();
    hears("250 ok\r\n");
    sent();
    hears("550 no\r\n");
    EXPECT_EQ(sent(), "RSET\r\n");
    hears("250 ok\r\n");
    EXPECT_TRUE(dialogue_->is_reusable());
}

TEST_F(PipelinedData, GivesARefusalOfDataToThoseAcceptedOnly) {
    begin(2);
    sent();
    hears("250 ok\r\n550 no\r\n250 ok\r\n451 4.3.0 disk\r\n");
    EXPECT_EQ(words(), (Words{"550", "451"}));
    EXPECT_EQ(sent(), "RSET\r\n");
}

TEST_F(PipelinedData, TakesABadSequenceForTheStoresFaultNotForAVerdict) {
    for (const std::string_view replies : {"503 no\r\n", "250 ok\r\n503 no\r\n", "250 ok\r\n250 ok\r\n503 no\r\n",
                                           "502 no\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n"}) {
        begin(1);
        sent();
        hears(replies);
        EXPECT_EQ(dialogue_->trouble(), Trouble::protocol) << replies;
        EXPECT_EQ(words(), Words{"not_tried"}) << replies;
    }
}

// Shows: RFC 5321 section 4.5.3.1.10
TEST_F(PipelinedData, LeavesWhoWasOneTooManyForAnotherTransaction) {
    begin(3);
    sent();
    hears("250 ok\r\n250 ok\r\n552 5.5.3 too many\r\n452 4.5.3 too many\r\n354 go\r\n");
    sent();
    hears("250 ok\r\n");
    EXPECT_EQ(words(), (Words{"250", "not_tried", "not_tried"}));
    begin(1);
    sent();
    hears("250 ok\r\n552 5.5.3 too many\r\n");
    EXPECT_EQ(words(), Words{"552"});  // the first cannot be one too many
}

// Shows: RFC 2033 section 4.2 (a reply before the data's end is no answer to it)
TEST_F(PipelinedData, DoesNotCountARepliesThatComesBeforeTheDataWasSent) {
    for (const std::string_view early : {"452 full\r\n", "2", "250-"}) {
        begin(1);
        sent();
        hears("250 ok\r\n250 ok\r\n354 go\r\n" + std::string(early));
        EXPECT_EQ(dialogue_->trouble(), Trouble::protocol) << early;
        EXPECT_EQ(words(), Words{"not_tried"}) << early;
    }
}

TEST_F(OneWrite, DoesNotCountAReplyThatComesBeforeTheDataWasSent) {
    begin(1);
    dialogue_->sent();  // but not all of the content
    hears("250 ok\r\n250 ok\r\n");
    EXPECT_EQ(dialogue_->next(), Dialogue::Action::send_content);
    hears("250 ok\r\n");
    EXPECT_EQ(dialogue_->trouble(), Trouble::protocol);
    EXPECT_EQ(words(), Words{"not_tried"});
}

TEST_F(OneWrite, CountsRepliesAfterALongContentWhoseEnvelopeWasAnsweredMeanwhile) {
    begin(1);
    dialogue_->sent();
    hears("250 ok\r\n250 ok\r\n");
    dialogue_->content_sent();
    hears("250 ok\r\n");
    EXPECT_EQ(words(), Words{"250"});
    EXPECT_TRUE(dialogue_->is_reusable());
}

TEST_F(OneWrite, ResetsAfterALongContentThatNobodyWasAcceptedFor) {
    begin(1);
    dialogue_->sent();
    hears("250 ok\r\n550 no\r\n");
    EXPECT_EQ(dialogue_->next(), Dialogue::Action::send_content);
    dialogue_->content_sent();
    EXPECT_EQ(sent(), "RSET\r\n");
    hears("554 no recipients\r\n250 ok\r\n");
    EXPECT_TRUE(dialogue_->is_reusable());
}

TEST_F(OneWrite, LeavesNobodyInDoubtWhenTheStoreShutsDownInsteadOfTakingTheSender) {
    begin(2);
    sent();
    hears("421 4.3.2 down\r\n");
    EXPECT_EQ(dialogue_->trouble(), Trouble::shutting_down);
    EXPECT_EQ(words(), (Words{"not_tried", "not_tried"}));
}

TEST_F(OneWrite, LeavesInDoubtWhoMayHaveGotTheContent) {
    begin(2);
    sent();
    dialogue_->closed("reset");
    EXPECT_EQ(dialogue_->trouble(), Trouble::broken);
    EXPECT_EQ(words(), (Words{"unknown", "unknown"}));
}

TEST_F(PipelinedData, TriesNobodyWhenTheContentCannotBeRead) {
    begin(2);
    sent();
    hears("250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n");
    dialogue_->content_failed("damaged");
    EXPECT_EQ(dialogue_->trouble(), Trouble::content);
    EXPECT_EQ(dialogue_->detail(), "damaged");
    EXPECT_EQ(words(), (Words{"550", "not_tried"}));
    EXPECT_FALSE(dialogue_->is_reusable());
}

TEST_F(DialogueTest, TakesAnUnaskedShutdownForOne) {
    begin(1);
    hears("421 4.4.2 idle\r\n");
    EXPECT_EQ(dialogue_->trouble(), Trouble::shutting_down);
    EXPECT_EQ(words(), Words{"not_tried"});
}

}  // namespace
}  // namespace postern::lmtp_client::test
