// Asking about recipients without giving a message: the dialogue alone, then over real sockets.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "lmtp-client/client.hpp"
#include "tests/unit/lmtp-client/conversation.hpp"
#include "tests/unit/lmtp-client/scripted_store.hpp"
#include "tests/unit/lmtp-client/transactions.hpp"

namespace postern::lmtp_client::test {
namespace {

using detail::DialogueOptions;

class AskDialogueTest : public Conversation {
protected:
    void begin(const std::vector<std::string>& addresses) {
        DialogueOptions options;
        options.ask_only = true;
        Transaction question;
        for (const std::string& address : addresses) {
            question.recipients.push_back({mailbox(address), {}});
        }
        Conversation::begin(std::move(question), options);
    }
};

class PipelinedAsk : public AskDialogueTest {
protected:
    PipelinedAsk() { store.pipelining = store.chunking = store.size = store.dsn = true; }
};

TEST_F(PipelinedAsk, IsOneWriteThatAsksForNoContent) {
    begin({"a@example.com", "b@example.com"});
    EXPECT_EQ(sent(), "MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nRSET\r\n");
    hears("250 ok\r\n250 ok\r\n");
    EXPECT_EQ(words(), (Words{"250", "nothing"}));  // told as it comes
    hears("550 5.1.1 no\r\n");
    EXPECT_EQ(words(), (Words{"250", "550"}));
    EXPECT_FALSE(dialogue_->is_reusable());
    hears("250 reset\r\n");
    EXPECT_TRUE(dialogue_->is_reusable());
}

TEST_F(AskDialogueTest, WaitsForEachReplyWithoutPipelining) {
    begin({"a@example.com", "b@example.com"});
    EXPECT_EQ(sent(), "MAIL FROM:<>\r\n");
    hears("250 ok\r\n");
    EXPECT_EQ(sent(), "RCPT TO:<a@example.com>\r\n");
    hears("452 4.2.2 full\r\n");
    EXPECT_EQ(sent(), "RCPT TO:<b@example.com>\r\n");
    hears("250 ok\r\n");
    EXPECT_EQ(sent(), "RSET\r\n");
    hears("250 ok\r\n");
    EXPECT_EQ(words(), (Words{"452", "250"}));
    EXPECT_TRUE(dialogue_->is_reusable());
}

TEST_F(PipelinedAsk, WhatMailIsAnsweredIsNobodysAnswer) {
    for (const char* refusal : {"550 5.1.1 no\r\n", "451 4.3.0 later\r\n", "550 5.7.1 no\r\n"}) {
        begin({"a@example.com", "b@example.com"});
        static_cast<void>(sent());
        hears(refusal);
        hears("503 mail first\r\n503 mail first\r\n250 ok\r\n");
        EXPECT_EQ(words(), (Words{"not_tried", "not_tried"}));
        EXPECT_TRUE(dialogue_->is_reusable());
    }
}

TEST_F(PipelinedAsk, ShuttingDownIsNobodysAnswer) {
    begin({"a@example.com", "b@example.com"});
    static_cast<void>(sent());
    hears("250 ok\r\n250 ok\r\n421 4.3.2 going down\r\n");
    EXPECT_EQ(words(), (Words{"250", "not_tried"}));
    EXPECT_EQ(dialogue_->trouble(), Trouble::shutting_down);
}

TEST_F(PipelinedAsk, TooManyRecipientsIsNobodysAnswer) {
    begin({"a@example.com", "b@example.com"});
    static_cast<void>(sent());
    hears("250 ok\r\n452 4.5.3 too many\r\n452 4.5.3 too many\r\n250 ok\r\n");
    EXPECT_EQ(words(), (Words{"not_tried", "not_tried"}));
    EXPECT_TRUE(dialogue_->is_reusable());
}

TEST_F(PipelinedAsk, OutOfStepIsNobodysAnswer) {
    begin({"a@example.com", "b@example.com"});
    static_cast<void>(sent());
    hears("250 ok\r\n250 ok\r\n503 5.5.1 what?\r\n");
    EXPECT_EQ(words(), (Words{"250", "not_tried"}));
    EXPECT_EQ(dialogue_->trouble(), Trouble::protocol);
}

TEST_F(PipelinedAsk, AStoreThatClosesLeavesTheRestUnasked) {
    begin({"a@example.com", "b@example.com"});
    static_cast<void>(sent());
    hears("250 ok\r\n550 5.1.1 no\r\n");
    dialogue_->closed("end of file");
    EXPECT_EQ(words(), (Words{"550", "not_tried"}));
    EXPECT_FALSE(dialogue_->is_reusable());
}

TEST_F(PipelinedAsk, AUtf8AddressIsAskedForWithSmtputf8OrNotAtAll) {
    begin({"\u00e9@example.com", "a@example.com"});
    EXPECT_EQ(sent(), "MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRSET\r\n");
    hears("250 ok\r\n250 ok\r\n250 ok\r\n");
    EXPECT_EQ(words(), (Words{"unable 553", "250"}));
    store.smtputf8 = true;
    begin({"\u00e9@example.com"});
    EXPECT_EQ(sent(), "MAIL FROM:<> SMTPUTF8\r\nRCPT TO:<\u00e9@example.com>\r\nRSET\r\n");
}

class AskClientTest : public ::testing::Test {
protected:
    struct Asked {
        Words words;
        TransactionEnd end;
    };
    Asked ask(const Endpoint& endpoint, const std::vector<std::string>& addresses) {
        std::vector<mail::Mailbox> mailboxes;
        for (const std::string& address : addresses) {
            mailboxes.push_back(mailbox(address));
        }
        Recorder recorder(addresses.size());
        std::optional<TransactionEnd> out;
        ClientOptions options;
        options.hostname = "mx.example.com";
        auto task = client->ask(endpoint, std::move(mailboxes), recorder, options);
        boost::asio::co_spawn(io, std::move(task), [&](const std::exception_ptr& error, TransactionEnd end) {
            EXPECT_FALSE(error);
            out = std::move(end);
        });
        io.restart();
        while (!out) {
            io.run_one();
        }
        out->lease.reset();
        return {recorder.words(), std::move(*out)};
    }

    boost::asio::io_context io;
    std::unique_ptr<Client> client = make_client(io.get_executor());
};

TEST_F(AskClientTest, KeepsItsConnectionAndGivesNoMessage) {
    for (const bool pipelining : {true, false}) {
        StoreOptions options;
        options.pipelining = pipelining;
        options.keywords = "250-SIZE 1000\r\n250-8BITMIME\r\n";
        ScriptedStore store(options);
        const Asked first = ask(store.endpoint(), {"a@example.com", "rcpt-550@example.com"});
        EXPECT_EQ(first.words, (Words{"250", "550"}));
        EXPECT_FALSE(first.end.reused);
        EXPECT_EQ(first.end.abilities, (Abilities{false, true, 1000}));
        const Asked second = ask(store.endpoint(), {"rcpt-452@example.com"});
        EXPECT_EQ(second.words, Words{"452"});
        EXPECT_TRUE(second.end.reused);
        EXPECT_EQ(store.connections(), 1u);
        EXPECT_TRUE(store.filed().empty());
    }
}

TEST_F(AskClientTest, AConnectionThatDiedMeanwhileIsReplacedWithoutAWord) {
    ScriptedStore store({});
    EXPECT_EQ(ask(store.endpoint(), {"a@example.com"}).words, Words{"250"});
    store.close_all();
    EXPECT_EQ(ask(store.endpoint(), {"rcpt-550@example.com"}).words, Words{"550"});
    EXPECT_EQ(store.connections(), 2u);
}

TEST_F(AskClientTest, NoStoreIsNobodysAnswer) {
    const Asked asked = ask(*parse_endpoint("127.0.0.1:1"), {"a@example.com"});
    EXPECT_EQ(asked.words, Words{"not_tried"});
    EXPECT_EQ(asked.end.trouble, Trouble::connect);
    EXPECT_FALSE(asked.end.abilities);
}

}  // namespace
}  // namespace postern::lmtp_client::test
