// Before the first command: the PROXY header, early talkers, and the limits of a client.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/smtp-server/certificates.hpp"
#include "tests/unit/smtp-server/conversation.hpp"

namespace postern::smtp_server {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string header(const std::string& client) { return "PROXY TCP4 " + client + " 198.51.100.1 4321 25\r\n"; }

class BalancerTest : public ConversationTest {
protected:
    BalancerTest() {
        options_.balancer = [](const std::string& ip) { return ip == "127.0.0.1"; };
    }
    /// A client that a balancer brings; greeted, unless it was turned away.
    Client from(const std::string& address) {
        Client client = connect();
        client.send(header(address));
        return client;
    }
};

TEST_F(BalancerTest, TheClientIsTheOneThatTheHeaderNames) {
    Client client = from("192.0.2.7");
    EXPECT_EQ(client.codes(1), Codes{"220"});
    EXPECT_EQ(hooks_.client(), "192.0.2.7 4321");
    client.send("QUIT\r\n");
    EXPECT_EQ(client.codes(1), Codes{"221 2.0.0"});
}

TEST_F(BalancerTest, ItsCommandsMayComeWithTheHeaderAndInAnyPieces) {
    const std::string all = header("192.0.2.7") + ehlo + "QUIT\r\n";
    for (std::size_t cut = 1; cut < all.size(); ++cut) {
        Client client = connect();
        client.send(all.substr(0, cut));
        client.send(all.substr(cut));
        EXPECT_EQ(client.codes(3), (Codes{"220", "250", "221 2.0.0"})) << cut;
    }
}

TEST_F(BalancerTest, WithoutAHeaderNothingIsSaid) {
    for (const std::string& instead : {ehlo, std::string("PROXY TCP4 x\r\n"), std::string("\x16\x03\x01")}) {
        Client client = connect();
        client.send(instead);
        EXPECT_EQ(client.rest(), "");
        EXPECT_EQ(hooks_.await_reason(), "no PROXY header from 127.0.0.1");
    }
}

TEST_F(BalancerTest, AHeaderThatDoesNotComeIsNotWaitedForLong) {
    options_.limits.handshake_timeout = std::chrono::milliseconds(200);
    Client client = connect();
    client.send("PROXY TCP4 192.0.2.7");
    EXPECT_EQ(client.rest(), "");
    EXPECT_EQ(hooks_.await_reason(), "no PROXY header from 127.0.0.1");
}

TEST_F(BalancerTest, TheHeaderOfAStrangerIsNoHeader) {
    options_.balancer = [](const std::string& ip) { return ip == "192.0.2.1"; };
    Client client = from("192.0.2.7");
    EXPECT_THAT(client.rest(), testing::AllOf(StartsWith("220 "), HasSubstr("521 5.5.1")));
    EXPECT_EQ(hooks_.client().substr(0, 10), "127.0.0.1 ");
}

TEST_F(BalancerTest, TrustBelongsToTheClientNotToTheBalancer) {
    options_.trusted = [](const std::string& ip) { return ip == "127.0.0.1" || ip == "192.0.2.9"; };
    options_.limits.errors_per_session = 2;
    Client client = from("192.0.2.7");
    client.send("FOO\r\nFOO\r\nFOO\r\n");
    EXPECT_EQ(client.codes(4), (Codes{"220", "500 5.5.1", "500 5.5.1", "421 4.7.0"}));
    Client trusted = from("192.0.2.9");
    trusted.send("FOO\r\nFOO\r\nFOO\r\nQUIT\r\n");
    EXPECT_EQ(trusted.codes(5), (Codes{"220", "500 5.5.1", "500 5.5.1", "500 5.5.1", "221 2.0.0"}));
}

TEST_F(BalancerTest, ImplicitTlsComesBehindTheHeader) {
    const CertificateFolder folder;
    const auto loaded =
        TlsContext::load(tls_options({folder.make("mx", CertificateFolder::Kind::ecdsa, {"mx.example.com"})}));
    ASSERT_TRUE(loaded.has_value());
    options_.tls = *loaded;
    options_.tls_use = TlsUse::implicit;
    const detail::SslCtxPtr context(::SSL_CTX_new(::TLS_client_method()));
    // The first flight and the header in one write: none of it may get lost between the two.
    const detail::SslPtr ssl(::SSL_new(context.get()));
    BIO* const out = ::BIO_new(::BIO_s_mem());
    ::SSL_set_bio(ssl.get(), ::BIO_new(::BIO_s_mem()), out);
    ::SSL_connect(ssl.get());
    char* hello = nullptr;
    const long length = ::BIO_get_mem_data(out, &hello);
    ASSERT_GT(length, 0);
    Client client = connect();
    client.send(header("192.0.2.7") + std::string(hello, static_cast<std::size_t>(length)));
    EXPECT_EQ(client.read().substr(0, 2), "\x16\x03");  // its ServerHello
}

TEST_F(BalancerTest, ConnectionsAreCountedByClient) {
    options_.limits.connections_per_client = 2;
    Client first = from("192.0.2.7");
    Client second = from("192.0.2.7");
    EXPECT_EQ(first.codes(1), Codes{"220"});
    EXPECT_EQ(second.codes(1), Codes{"220"});
    EXPECT_EQ(from("192.0.2.7").codes(1), Codes{"421 4.7.0"});
    EXPECT_EQ(from("192.0.2.8").codes(1), Codes{"220"});
}

TEST_F(BalancerTest, ConnectionsAMinuteAreLimited) {
    options_.limits.connections_per_minute = 3;
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(from("192.0.2.7").codes(1), Codes{"220"});
    }
    EXPECT_THAT(from("192.0.2.7").rest(), StartsWith("421 4.7.0 Too many connections from your address in a minute"));
    EXPECT_EQ(from("192.0.2.8").codes(1), Codes{"220"});
}

TEST_F(BalancerTest, MessagesAMinuteAreLimited) {
    options_.limits.messages_per_minute = 2;
    Client client = from("192.0.2.7");
    client.send(ehlo + "MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<u@example.com>\r\n");
    EXPECT_EQ(client.codes(8),
              (Codes{"220", "250", "250 2.1.0", "250 2.0.0", "250 2.1.0", "250 2.0.0", "450 4.7.1", "503 5.5.1"}));
    Client another = from("192.0.2.7");
    another.send(ehlo + "MAIL FROM:<>\r\n");
    EXPECT_EQ(another.codes(3), (Codes{"220", "250", "450 4.7.1"}));
}

TEST_F(BalancerTest, RecipientsAMinuteAreLimited) {
    options_.limits.recipients_per_minute = 1;
    Client client = from("192.0.2.7");
    client.send(ehlo + envelope + "RCPT TO:<v@example.com>\r\nRCPT TO:<w@example.com>\r\nDATA\r\n");
    EXPECT_EQ(client.codes(7), (Codes{"220", "250", "250 2.1.0", "250 2.1.5", "450 4.7.1", "450 4.7.1", "354"}));
    client.send("x\r\n.\r\n");
    EXPECT_EQ(client.codes(1), Codes{"250 2.0.0"});
    EXPECT_EQ(hooks_.taken().at(0).recipients.size(), 1U);
    EXPECT_EQ(hooks_.refused().size(), 1U) << "a flood must not become one of the log";
    EXPECT_THAT(hooks_.refused_envelopes(), testing::ElementsAre(testing::EndsWith(" v@example.com")));
}

// A directory harvest: its errors follow the client into its next sessions.
TEST_F(BalancerTest, ErrorsAMinuteAreLimited) {
    options_.limits.errors_per_minute = 4;
    options_.limits.errors_per_session = 3;
    Client client = from("192.0.2.7");
    client.send("FOO\r\nFOO\r\nFOO\r\n");
    EXPECT_EQ(client.codes(5), (Codes{"220", "500 5.5.1", "500 5.5.1", "500 5.5.1", "421 4.7.0"}));
    Client again = from("192.0.2.7");
    again.send("FOO\r\nFOO\r\n");
    EXPECT_EQ(again.codes(4), (Codes{"220", "500 5.5.1", "500 5.5.1", "421 4.7.0"}));
    EXPECT_THAT(from("192.0.2.7").rest(), StartsWith("421 4.7.0 Too many errors"));
    EXPECT_EQ(from("192.0.2.8").codes(1), Codes{"220"});
}

using OpeningTest = ConversationTest;

TEST_F(OpeningTest, ThisMachineIsNotCountedByTheMinute) {
    options_.limits.messages_per_minute = 1;
    options_.limits.connections_per_minute = 1;
    for (int i = 0; i < 3; ++i) {
        Client client = connect();
        client.send(ehlo + "MAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\n");
        EXPECT_EQ(client.codes(5), (Codes{"220", "250", "250 2.1.0", "250 2.0.0", "250 2.1.0"}));
    }
}

TEST_F(OpeningTest, CommandsThatBringNoMailAreLimited) {
    options_.limits.commands_without_mail = 5;
    for (const std::string command : {"NOOP\r\n", "RSET\r\n", "VRFY u\r\n", "HELP\r\n", "EHLO c\r\n", "HELO c\r\n"}) {
        Client client = connect();
        std::string all;
        for (int i = 0; i < 6; ++i) {
            all += command;
        }
        client.send(all);
        const std::string answer = client.rest();
        EXPECT_THAT(answer, HasSubstr("421 4.7.0 Too many commands without a message")) << command;
    }
}

TEST_F(OpeningTest, AMessageEarnsFurtherCommands) {
    options_.limits.commands_without_mail = 3;
    Client client = connect();
    client.send(ehlo);
    client.codes(2);
    for (int i = 0; i < 5; ++i) {
        client.send("NOOP\r\nRSET\r\n" + envelope + "BDAT 3 LAST\r\nx\r\n");
        EXPECT_EQ(client.codes(5), (Codes{"250 2.0.0", "250 2.0.0", "250 2.1.0", "250 2.1.5", "250 2.0.0"}));
    }
}

TEST_F(OpeningTest, RefusalsForNowAreLimitedWhereNoMessageComes) {
    options_.limits.commands_without_mail = 3;
    Client client = connect();
    client.send(ehlo + "MAIL FROM:<a@example.org>\r\n");
    client.codes(3);
    for (int i = 0; i < 2; ++i) {
        client.send("RCPT TO:<later@example.com>\r\n");
        EXPECT_EQ(client.codes(1), Codes{"450 4.2.0"});
    }
    client.send("RCPT TO:<later@example.com>\r\nRCPT TO:<later@example.com>\r\nNOOP\r\n");
    EXPECT_EQ(client.rest(), "450 4.2.0 Not now\r\n421 4.7.0 Too many commands without a message\r\n");
    EXPECT_EQ(hooks_.await_reason(), "too many commands without a message");
}

TEST_F(OpeningTest, RefusalsForNowBehindAnAcceptedRecipientCostNoMessage) {
    options_.limits.commands_without_mail = 3;
    Client client = connect();
    client.send(ehlo + "MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.com>\r\n");
    client.codes(4);
    for (int i = 0; i < 10; ++i) {
        client.send("RCPT TO:<later@example.com>\r\n");
        EXPECT_EQ(client.codes(1), Codes{"450 4.2.0"});
    }
    client.send("BDAT 3 LAST\r\nx\r\n");
    EXPECT_EQ(client.codes(1), Codes{"250 2.0.0"});
}

TEST_F(OpeningTest, WhoTalksBeforeTheGreetingIsHungUpOn) {
    options_.hang_up_on_early_talk = true;
    options_.greeting_delay = std::chrono::milliseconds(300);
    for (const std::string& early :
         {ehlo, std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01"), std::string("x")}) {
        Client client = connect();
        client.send(early);
        EXPECT_THAT(client.rest(), StartsWith("554 5.5.1 You talk before the greeting")) << early;
        EXPECT_EQ(hooks_.await_reason(), "talked before the greeting");
    }
    Client patient = connect();
    EXPECT_EQ(patient.codes(1), Codes{"220"});
    patient.send(ehlo);
    EXPECT_EQ(patient.codes(1), Codes{"250"});
}

TEST_F(OpeningTest, ADelayedGreetingDoesNotDelayTheEnd) {
    options_.hang_up_on_early_talk = true;
    options_.greeting_delay = std::chrono::hours(1);
    Client client = connect();
    Client other = connect();
    server_->stop(std::chrono::milliseconds(0));
    server_->wait();
}

// Shows: RFC 2920 section 3.1.
TEST_F(OpeningTest, WhoTalksBehindEhloOrDataIsHungUpOn) {
    options_.hang_up_on_early_talk = true;
    {
        Client client = connect();
        client.codes(1);
        client.send(ehlo + "MAIL FROM:<a@example.org>\r\n");
        EXPECT_THAT(client.rest(), testing::AllOf(HasSubstr("503 5.5.1 Wait"), Not(HasSubstr("250"))));
        EXPECT_EQ(hooks_.await_reason(), "talked before its turn");
    }
    Client client = connect();
    client.codes(1);
    client.send(ehlo);
    client.codes(1);
    client.send(envelope + "DATA\r\nSubject: x\r\n\r\n.\r\n");
    EXPECT_THAT(client.rest(), testing::AllOf(HasSubstr("503 5.5.1 Wait"), Not(HasSubstr("354"))));
    EXPECT_TRUE(hooks_.taken().empty());
    Client good = connect();
    good.codes(1);
    good.send(ehlo);
    good.codes(1);
    good.send(envelope + "DATA\r\n");
    EXPECT_EQ(good.codes(3), (Codes{"250 2.1.0", "250 2.1.5", "354"}));
    good.send("x\r\n.\r\n" + envelope + "RSET\r\nQUIT\r\n");
    EXPECT_EQ(good.codes(5), (Codes{"250 2.0.0", "250 2.1.0", "250 2.1.5", "250 2.0.0", "221 2.0.0"}));
}

class StressTest : public OpeningTest {
protected:
    StressTest() {
        options_.limits.connections = 5;
        options_.limits.connections_per_client = 100;
        options_.limits.command_timeout = std::chrono::minutes(5);
        options_.limits.data_timeout = std::chrono::minutes(10);
        options_.limits.stress_timeout = std::chrono::milliseconds(100);
        options_.limits.handshake_timeout = std::chrono::minutes(5);
    }
    /// Four fifths of all connections come as far as `so_far` and fall silent. Why the first of them had to go.
    std::string reason_of_the_first_to_go(const std::string& so_far, const Codes& answers) {
        std::vector<Client> slow;
        for (int i = 0; i < 4; ++i) {
            slow.push_back(connect());
            slow.back().send(so_far);
            EXPECT_EQ(slow.back().codes(answers.size()), answers);
        }
        return hooks_.await_reason();
    }
};

TEST_F(StressTest, WhoIsIdleMakesRoom) { EXPECT_EQ(reason_of_the_first_to_go("", {"220"}), "timeout"); }

TEST_F(StressTest, WhoFallsSilentInTheContentMakesRoom) {
    EXPECT_EQ(
        reason_of_the_first_to_go(ehlo + envelope + "DATA\r\nSubject: ", {"220", "250", "250 2.1.0", "250 2.1.5"}),
        "timeout");
}

TEST_F(StressTest, WhoFallsSilentInAChunkMakesRoom) {
    EXPECT_EQ(
        reason_of_the_first_to_go(ehlo + envelope + "BDAT 100\r\nSubject: ", {"220", "250", "250 2.1.0", "250 2.1.5"}),
        "timeout");
}

TEST_F(StressTest, WhoFallsSilentInTheHandshakeMakesRoom) {
    const CertificateFolder folder;
    const auto loaded =
        TlsContext::load(tls_options({folder.make("mx", CertificateFolder::Kind::ecdsa, {"mx.example.com"})}));
    ASSERT_TRUE(loaded.has_value());
    options_.tls = *loaded;
    EXPECT_THAT(reason_of_the_first_to_go(ehlo + "STARTTLS\r\n", {"220", "250", "220 2.0.0"}), HasSubstr("timeout"));
}

}  // namespace
}  // namespace postern::smtp_server
