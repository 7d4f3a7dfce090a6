// What is different when SMTP is spoken: the greeting, and one reply after the data for all that were accepted.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "lmtp-client/client.hpp"
#include "lmtp-client/detail/dialogue.hpp"
#include "tests/unit/lmtp-client/scripted_store.hpp"
#include "tests/unit/lmtp-client/transactions.hpp"

namespace postern::lmtp_client::test {
namespace {

using detail::Capabilities;
using detail::Dialogue;
using detail::DialogueOptions;
using Words = std::vector<std::string>;

/// The dialogue of `count` recipients, up to the end of the content, of whom the first `accepted` were accepted.
class SmtpDialogue {
public:
    SmtpDialogue(const Capabilities& server, std::size_t count, std::size_t accepted)
        : server_(server), transaction_(transaction("s@example.org", recipients(count))), recorder_(count) {
        DialogueOptions options;
        options.protocol = Protocol::smtp;
        dialogue_.emplace(server_, transaction_, options, recorder_);
        dialogue_->start();
        send();
        hears("250 2.1.0 ok\r\n");
        for (std::size_t i = 0; i < count; ++i) {
            send();
            hears(i < accepted ? "250 2.1.5 ok\r\n" : "550 5.1.1 unknown\r\n");
        }
        send();
        if (!server.chunking) {
            hears("354 go on\r\n");
            send();
        }
    }
    void hears(std::string_view bytes) { dialogue_->received(bytes); }
    void send() {
        if (dialogue_->next() == Dialogue::Action::send_content) {
            dialogue_->sent();
            dialogue_->content_sent();
        } else if (dialogue_->next() == Dialogue::Action::send) {
            dialogue_->sent();
        }
    }
    [[nodiscard]] Words words() const { return recorder_.words(); }
    [[nodiscard]] bool finished() const { return dialogue_->next() == Dialogue::Action::finish; }
    Dialogue* operator->() { return &*dialogue_; }

private:
    const Capabilities server_;
    Transaction transaction_;
    Recorder recorder_;
    std::optional<Dialogue> dialogue_;
};

std::vector<Capabilities> ways_of_sending() {
    std::vector<Capabilities> out(4);
    out[1].pipelining = true;
    out[2].chunking = true;
    out[3].pipelining = out[3].chunking = true;
    return out;
}

// Shows: RFC 5321 section 3.3
TEST(SmtpDialogue, TakesOneReplyForAllThatWereAccepted) {
    for (const Capabilities& server : ways_of_sending()) {
        for (const char* code : {"250", "451", "550"}) {
            SmtpDialogue dialogue(server, 3, 2);
            EXPECT_FALSE(dialogue.finished());
            dialogue.hears(std::string(code) + " so be it\r\n");
            EXPECT_TRUE(dialogue.finished());
            EXPECT_EQ(dialogue.words(), (Words{code, code, "550"}));
            EXPECT_TRUE(dialogue->is_reusable());
            EXPECT_EQ(dialogue->trouble(), Trouble::none);
        }
    }
}

TEST(SmtpDialogue, TakesNoSecondReply) {
    for (const Capabilities& server : ways_of_sending()) {
        SmtpDialogue dialogue(server, 2, 2);
        dialogue.hears("250 2.0.0 ok\r\n550 5.1.1 no\r\n");  // as if it spoke LMTP
        EXPECT_EQ(dialogue.words(), (Words{"250", "250"}));
        EXPECT_FALSE(dialogue->is_reusable());
        EXPECT_EQ(dialogue->trouble(), Trouble::protocol);
    }
}

TEST(SmtpDialogue, LeavesAllInDoubtWhenTheReplyDoesNotCome) {
    for (const Capabilities& server : ways_of_sending()) {
        SmtpDialogue silent(server, 3, 2);
        silent->timed_out();
        EXPECT_EQ(silent.words(), (Words{"unknown", "unknown", "550"}));
        SmtpDialogue gone(server, 3, 2);
        gone.hears("250-2.0.0 half a rep");
        gone->closed("closed");
        EXPECT_EQ(gone.words(), (Words{"unknown", "unknown", "550"}));
        EXPECT_EQ(gone->trouble(), Trouble::broken);
    }
}

// Shows: RFC 5321 section 4.2.1: all 4yz are refusals for now
TEST(SmtpDialogue, TakesAServersFarewellForTheReply) {
    for (const Capabilities& server : ways_of_sending()) {
        SmtpDialogue leaving(server, 3, 2);
        leaving.hears("421-4.3.2 going");
        leaving.hears(" down\r\n421 4.3.2 now\r\n");
        EXPECT_TRUE(leaving.finished());
        EXPECT_EQ(leaving.words(), (Words{"421", "421", "550"}));
        EXPECT_EQ(leaving->trouble(), Trouble::shutting_down);
        EXPECT_FALSE(leaving->is_reusable());
    }
}

TEST(SmtpDialogue, TakesNoFarewellThatBeganBeforeTheEndOfTheContent) {
    const Capabilities server;
    const Transaction sent = transaction("s@example.org", recipients(1));
    Recorder recorder(1);
    DialogueOptions options;
    options.protocol = Protocol::smtp;
    Dialogue dialogue(server, sent, options, recorder);
    dialogue.start();
    for (const char* const reply : {"250 ok\r\n", "250 ok\r\n", "354 go on\r\n"}) {
        dialogue.sent();
        dialogue.received(reply);
    }
    dialogue.sent();
    dialogue.received("421 4.3");
    ASSERT_EQ(dialogue.next(), Dialogue::Action::send_content);
    dialogue.content_sent();
    dialogue.received(".2 going down\r\n");
    EXPECT_EQ(recorder.words(), (Words{"unknown"}));
    EXPECT_EQ(dialogue.trouble(), Trouble::shutting_down);
}

class SmtpClientTest : public ::testing::Test {
protected:
    SmtpClientTest() {
        options.hostname = "mx.example.com";
        server.smtp = true;
    }
    TransactionEnd run(const ScriptedStore& store, Transaction sent) {
        recorder.emplace(sent.recipients.size());
        std::optional<TransactionEnd> out;
        std::exception_ptr failure;
        boost::asio::co_spawn(io, client->run(store.endpoint(), std::move(sent), *recorder, options),
                              [&](std::exception_ptr error, TransactionEnd end) {
                                  failure = error;
                                  out = std::move(end);
                              });
        io.restart();
        while (!out) {
            io.run_one();
        }
        if (failure) {
            std::rethrow_exception(failure);
        }
        return std::move(*out);
    }

    boost::asio::io_context io;
    ClientOptions options;
    StoreOptions server;
    std::unique_ptr<Client> client = make_client(io.get_executor());
    std::optional<Recorder> recorder;
};

TEST_F(SmtpClientTest, DeliversInEachWayOfSendingAndReusesTheConnection) {
    for (const bool pipelining : {false, true}) {
        for (const bool chunking : {false, true}) {
            server.pipelining = pipelining;
            server.chunking = chunking;
            ScriptedStore store(server);
            for (int i = 0; i < 3; ++i) {
                const TransactionEnd end = run(
                    store, transaction("s@example.org", {"a@example.com", "rcpt-550@example.com", "b@example.com"}));
                EXPECT_EQ(end.trouble, Trouble::none) << end.detail;
                EXPECT_EQ(end.reused, i > 0);
                EXPECT_EQ(recorder->words(), (Words{"250", "550", "250"}));
            }
            EXPECT_EQ(store.connections(), 1U);
            EXPECT_FALSE(store.was_sent_ahead());
            ASSERT_EQ(store.filed().size(), 3U);
            EXPECT_EQ(store.filed()[2].content, plain_content);
            EXPECT_EQ(store.filed()[2].rcpts.size(), 2U);
        }
    }
}

// Shows: RFC 5321 sections 3.2 and 4.1.4
TEST_F(SmtpClientTest, FallsBackToHeloAndThenUsesNoExtension) {
    server.ehlo = "502 5.5.1 not known\r\n";
    server.helo = "250-store.example.com\r\n250-PIPELINING\r\n250 SIZE 1\r\n";  // promises nothing all the same
    ScriptedStore store(server);
    const TransactionEnd end = run(store, transaction("s@example.org", {"a@example.com"}));
    EXPECT_EQ(end.trouble, Trouble::none) << end.detail;
    EXPECT_EQ(recorder->words(), (Words{"250"}));
    EXPECT_EQ(store.filed().at(0).mail, "MAIL FROM:<s@example.org>");
}

TEST_F(SmtpClientTest, ChargesTheServerThatRefusesToBeGreeted) {
    server.ehlo = "550 5.7.1 go away\r\n";
    server.helo = "554 5.7.1 really\r\n";
    ScriptedStore refusing(server);
    TransactionEnd end = run(refusing, transaction("s@example.org", {"a@example.com"}));
    EXPECT_EQ(end.trouble, Trouble::greeting);
    EXPECT_EQ(recorder->words(), (Words{"not_tried"}));
    server.ehlo = "451 4.3.0 not now\r\n";  // no reason to fall back
    server.helo = "250 hello\r\n";
    ScriptedStore busy(server);
    end = run(busy, transaction("s@example.org", {"a@example.com"}));
    EXPECT_EQ(end.trouble, Trouble::greeting);
    server.ehlo = "421 4.3.2 going down\r\n";
    ScriptedStore leaving(server);
    end = run(leaving, transaction("s@example.org", {"a@example.com"}));
    EXPECT_EQ(end.trouble, Trouble::shutting_down);
}

// Shows: RFC 5321 section 4.5.3.2.6
TEST_F(SmtpClientTest, WaitsForTheLastReplyByATimeOfItsOwn) {
    using std::chrono::milliseconds;
    for (const bool chunking : {false, true}) {
        server.chunking = chunking;
        server.verdict_after = milliseconds(1300);
        options.reply_timeout = milliseconds(1000);
        options.final_reply_timeout = std::chrono::minutes(10);
        ScriptedStore slow(server);
        TransactionEnd end = run(slow, transaction("s@example.org", {"a@example.com"}));
        EXPECT_EQ(end.trouble, Trouble::none) << end.detail;
        EXPECT_EQ(recorder->words(), (Words{"250"}));
        options.reply_timeout = std::chrono::minutes(5);
        options.final_reply_timeout = milliseconds(50);
        ScriptedStore slower(server);
        end = run(slower, transaction("s@example.org", {"a@example.com"}));
        EXPECT_EQ(end.trouble, Trouble::broken);
        EXPECT_EQ(recorder->words(), (Words{"unknown"}));
    }
    // Of a store, for each of its replies.
    server.smtp = false;
    options.reply_timeout = milliseconds(1000);
    options.final_reply_timeout = std::chrono::minutes(10);
    ScriptedStore lmtp(server);
    EXPECT_EQ(run(lmtp, transaction("s@example.org", {"a@example.com", "b@example.com"})).trouble, Trouble::none);
    EXPECT_EQ(recorder->words(), (Words{"250", "250"}));
}

TEST_F(SmtpClientTest, HasTimeForTheLastReplyByDefault) {
    EXPECT_GE(options.final_reply_timeout, std::chrono::minutes(10));
    EXPECT_GE(options.transaction_timeout, options.content_timeout + 2 * options.final_reply_timeout);
}

// Shows: RFC 2033 section 4.1
TEST_F(SmtpClientTest, DoesNotTakeOneProtocolForTheOther) {
    server.smtp = false;
    ScriptedStore lmtp(server);
    Endpoint wrong = lmtp.endpoint();
    wrong.protocol = Protocol::smtp;
    recorder.emplace(1);
    std::optional<TransactionEnd> end;
    boost::asio::co_spawn(io, client->run(wrong, transaction("s@example.org", {"a@example.com"}), *recorder, options),
                          [&](const std::exception_ptr&, TransactionEnd ended) { end = std::move(ended); });
    while (!end) {
        io.run_one();
    }
    EXPECT_EQ(end->trouble, Trouble::greeting);
    EXPECT_EQ(recorder->words(), (Words{"not_tried"}));
}

}  // namespace
}  // namespace postern::lmtp_client::test
