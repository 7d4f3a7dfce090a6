// Conversations with a real Server: what a client says, what it hears, and what the hooks were given.
#include <algorithm>
#include <thread>

#include "tests/unit/smtp-server/conversation.hpp"

namespace postern::smtp_server {
namespace {

using SessionTest = ConversationTest;

// Shows: RFC 2920 section 3.2 (S21)
TEST_F(SessionTest, AnswersAPipelinedBatchInOneWrite) {
    Client client = connect();
    EXPECT_EQ(client.codes(1), Codes{"220"});
    client.send(ehlo);
    EXPECT_EQ(client.codes(1), Codes{"250"});
    client.send("MAIL FROM:<a@example.org>\r\nRCPT TO:<u@example.com>\r\nRCPT TO:<x@example.net>\r\nDATA\r\n");
    const std::string answer = client.read();
    EXPECT_EQ(std::count(answer.begin(), answer.end(), '\n'), 4) << answer;
    EXPECT_NE(answer.find("354 "), std::string::npos);
}

TEST_F(SessionTest, TellsAHookWhichRecipientsHaveComeBehindThisOne) {
    Client client = connect();
    client.send(ehlo);
    EXPECT_EQ(client.codes(2), (Codes{"220", "250"}));
    client.send(
        "MAIL FROM:<a@example.org>\r\nRCPT TO:<throws@example.com>\r\nRCPT TO:<b@example.com>\r\n"
        "RCPT TO:<c@example.com>\r\nNOOP\r\nRCPT TO:<d@example.com>\r\n");
    EXPECT_EQ(hooks_.await_reason(), "internal error");  // at the first of them
    EXPECT_EQ(hooks_.ahead(), (std::vector<std::string>{"b@example.com", "c@example.com"}));
}

TEST_F(SessionTest, HangsUpWhenAHookSaysSo) {
    Client client = connect();
    client.send(ehlo + "MAIL FROM:<a@example.org>\r\nRCPT TO:<enough@example.com>\r\nRCPT TO:<u@example.com>\r\n");
    EXPECT_EQ(client.codes(4), (Codes{"220", "250", "250 2.1.0", "421 4.7.1"}));
    EXPECT_EQ(hooks_.await_reason(), "refused");
}

// Shows: RFC 5321 sections 4.1.4, 4.2.4 and 4.3.2 (S1, S5, S6, E1, E13, E14)
TEST_F(SessionTest, GivesEveryReplyWithItsCode) {
    options_.limits.errors_per_session = 100;
    Client client = connect();
    client.send(
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<u@example.com>\r\nDATA\r\nVRFY u\r\nEXPN l\r\nNOOP x\r\nHELP x\r\nFOO\r\n"
        "AUTH PLAIN\r\nSTARTTLS\r\nRSET x\r\nEHLO\r\n" +
        ehlo +
        "RCPT TO:<u@example.com>\r\nMAIL FROM:<a@b.example> FOO=1\r\nMAIL FROM:<a@b.example> BODY=BINARYMIME\r\n"
        "MAIL FROM:<a@b.example> SIZE=99999999999999999999\r\nMAIL FROM:<\xc3\xbc@b.example>\r\n"
        "MAIL FROM:<a@b.example>\r\nMAIL FROM:<a@b.example>\r\nDATA\r\nRCPT TO:<\xc3\xbc@example.com>\r\n"
        "RCPT TO:<@a.example,@b.example:u@example.com>\r\nRCPT TO:<postmaster>\r\nRCPT TO:<x@[127.0.0.1]>\r\nQUIT\r\n");
    const Codes expected{"220",       "503 5.5.1", "503 5.5.1", "503 5.5.1", "252 2.0.0", "502 5.5.1", "250 2.0.0",
                         "214 2.0.0", "500 5.5.1", "502 5.5.1", "502 5.5.1", "501 5.5.4", "501 5.5.4", "250",
                         "503 5.5.1", "555 5.5.4", "504 5.5.4", "552 5.3.4", "550 5.6.7", "250 2.1.0", "503 5.5.1",
                         "503 5.5.1", "553 5.6.7", "250 2.1.5", "250 2.1.5", "550 5.7.1", "221 2.0.0"};
    EXPECT_EQ(client.codes(expected.size()), expected);
}

// Shows: RFC 3030 section 2 (E3)
TEST_F(SessionTest, TakesChunksAndRefusesDataAmongThem) {
    Client client = connect();
    client.send(ehlo + envelope +
                "BDAT 4\r\na\r\nbDATA\r\nMAIL FROM:<>\r\nRCPT TO:<u@example.com>\r\nBDAT 2\r\n\r\nBDAT 0 LAST\r\nBDAT "
                "1 LAST\r\nx");
    EXPECT_EQ(client.codes(10), (Codes{"220", "250", "250 2.1.0", "250 2.1.5", "250 2.0.0", "503 5.5.1", "503 5.5.1",
                                       "503 5.5.1", "250 2.0.0", "250 2.0.0"}));
    EXPECT_EQ(client.codes(1), Codes{"503 5.5.1"});
    ASSERT_EQ(hooks_.taken().size(), 1U);
    EXPECT_EQ(hooks_.taken()[0].content, "a\r\nb\r\n");
}

// A question between two chunks once dropped the first of them, and the rest was accepted as the whole message.
TEST_F(SessionTest, QuestionsBetweenChunksCostNoContent) {
    for (const std::string question : {"VRFY u\r\n", "NOOP\r\n", "HELP\r\n", "EXPN l\r\n"}) {
        Client client = connect();
        client.send(ehlo + envelope + "BDAT 3\r\n1\r\n" + question + "BDAT 3 LAST\r\n2\r\n");
        const Codes codes = client.codes(7);
        ASSERT_EQ(codes.size(), 7U);
        EXPECT_EQ(codes[6], "250 2.0.0");
        EXPECT_EQ(hooks_.taken().back().content, "1\r\n2\r\n") << question;
    }
    EXPECT_EQ(hooks_.dropped(), 0);
}

// Shows: RFC 5321 section 4.1.4 (S5); every ending of a transaction ends all of it: nothing of it is left for the next.
TEST_F(SessionTest, EveryEndingResetsTheEnvelope) {
    options_.limits.message_size = 20'000;
    options_.limits.chunk = 100;
    options_.limits.received_headers = 1;
    options_.bare_newline = BareNewline::reject;
    const auto to = [](const std::string& local_part) {
        return "MAIL FROM:<a@example.org>\r\nRCPT TO:<" + local_part + "@example.com>\r\n";
    };
    const auto data = [](const std::string& content) { return "DATA\r\n" + content + "\r\n.\r\n"; };
    const auto chunk = [](const std::string& content, const std::string& last = " LAST") {
        return "BDAT " + std::to_string(content.size()) + last + "\r\n" + content;
    };
    const std::string large(10'000, 'x');  // more than is held until the end
    const std::string too_large(20'001, 'x');
    const std::string nul("a\0b", 3);
    const std::string loop = "Received: a\r\nReceived: b\r\n\r\n";
    const struct {
        std::string said;
        Codes heard;  // behind the two of the envelope
    } endings[] = {
        // The client's own.
        {envelope + data("x"), {"354", "250 2.0.0"}},
        {envelope + chunk("x\r\n"), {"250 2.0.0"}},
        {envelope + "RSET\r\n", {"250 2.0.0"}},
        {envelope + ehlo, {"250"}},
        {envelope + "HELO c\r\n", {"250"}},
        {envelope + chunk("x", "") + "RSET\r\n", {"250 2.0.0", "250 2.0.0"}},
        {envelope + chunk("x", "") + ehlo, {"250 2.0.0", "250"}},
        // What speaks against the content.
        {envelope + data(too_large), {"354", "552 5.3.4"}},
        {envelope + chunk(too_large), {"552 5.3.4"}},
        {envelope + chunk(too_large, ""), {"552 5.3.4"}},
        {envelope + data(nul), {"354", "554 5.6.0"}},
        {envelope + chunk(nul), {"554 5.6.0"}},
        {envelope + chunk(nul, ""), {"554 5.6.0"}},
        {envelope + data("a\nb"), {"354", "554 5.6.0"}},
        {envelope + data("a\n.\nMAIL FROM:<x@example.org>\r\nRCPT TO:<y@example.com>"), {"354", "554 5.6.0"}},
        {envelope + chunk("a\rb"), {"554 5.6.0"}},
        {envelope + chunk("a\rb", ""), {"554 5.6.0"}},
        {envelope + data(" folded"), {"354", "554 5.6.0"}},
        {envelope + data(".\tfolded"), {"354", "554 5.6.0"}},
        {envelope + chunk("\tfolded\r\n"), {"554 5.6.0"}},
        {envelope + chunk(" ", "") + chunk("folded\r\n"), {"250 2.0.0", "554 5.6.0"}},
        {envelope + data(loop), {"354", "554 5.4.6"}},
        {envelope + chunk(loop), {"554 5.4.6"}},
        {envelope + chunk(loop, ""), {"554 5.4.6"}},
        // Who takes it: at the sender, before the content, within it, behind it.
        {"MAIL FROM:<unwelcome@example.org>\r\nRCPT TO:<u@example.com>\r\n", {}},
        {to("nobegin") + "DATA\r\n", {"452 4.3.1"}},
        {to("nobegin") + chunk("x\r\n"), {"452 4.3.1"}},
        {to("nobegin") + chunk("x\r\n", ""), {"452 4.3.1"}},
        {to("nowrite") + data(large), {"354", "452 4.3.1"}},
        {to("nowrite") + chunk(large), {"452 4.3.1"}},
        {to("nowrite") + chunk(large, ""), {"452 4.3.1"}},
        {to("full") + data("x"), {"354", "452 4.2.2"}},
        {to("full") + chunk("x\r\n"), {"452 4.2.2"}},
        {to("late") + data("x"), {"354", "550 5.7.1"}},
        {to("late") + chunk("x\r\n", "") + chunk("y\r\n"), {"250 2.0.0", "550 5.7.1"}},
    };
    for (const auto& [said, heard] : endings) {
        const bool unwelcome = said.starts_with("MAIL FROM:<unwelcome");
        Codes expected = unwelcome ? Codes{"550 5.7.1", "503 5.5.1"} : Codes{"250 2.1.0", "250 2.1.5"};
        expected.insert(expected.end(), heard.begin(), heard.end());
        Client client = connect();
        client.send(ehlo);
        EXPECT_EQ(client.codes(2), (Codes{"220", "250"}));
        client.send(said);
        EXPECT_EQ(client.codes(expected.size()), expected) << testing::PrintToString(said);
        client.send("RCPT TO:<u@example.com>\r\nDATA\r\nBDAT 1 LAST\r\nx");
        EXPECT_EQ(client.codes(3), (Codes{"503 5.5.1", "503 5.5.1", "503 5.5.1"})) << testing::PrintToString(said);
        const std::size_t before = hooks_.taken().size();
        client.send("MAIL FROM:<b@example.org>\r\nRCPT TO:<next@example.com>\r\nDATA\r\ny\r\n.\r\nQUIT\r\n");
        EXPECT_EQ(client.codes(5), (Codes{"250 2.1.0", "250 2.1.5", "354", "250 2.0.0", "221 2.0.0"}))
            << testing::PrintToString(said);
        ASSERT_EQ(hooks_.taken().size(), before + 1) << testing::PrintToString(said);
        EXPECT_EQ(hooks_.taken().back(), (TakenMessage{"b@example.org", {"next@example.com"}, "y\r\n"}))
            << testing::PrintToString(said);
    }
    EXPECT_EQ(hooks_.taken().size(), std::size(endings) + 2);  // two of the endings were messages taken
}

// Shows: RFC 3030 section 2: chunks still in the pipe after an error are read, and are no commands.
TEST_F(SessionTest, ConsumesChunksBehindAnError) {
    options_.limits.message_size = 10;
    Client client = connect();
    client.send(ehlo + envelope + "BDAT 20\r\n01234567890123456789BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n");
    EXPECT_EQ(client.codes(8),
              (Codes{"220", "250", "250 2.1.0", "250 2.1.5", "552 5.3.4", "503 5.5.1", "503 5.5.1", "250 2.0.0"}));
    EXPECT_TRUE(hooks_.taken().empty());
}

// Shows: RFC 1870 section 6.1 (S25): who lied about the size hears it at the end, and the rest is drained.
TEST_F(SessionTest, DrainsWhatIsTooLarge) {
    options_.limits.message_size = 1000;
    Client client = connect();
    client.send(ehlo + envelope + "DATA\r\n" + std::string(2'000'000, 'x') + "\r\n.\r\nNOOP\r\n");
    EXPECT_EQ(client.codes(7), (Codes{"220", "250", "250 2.1.0", "250 2.1.5", "354", "552 5.3.4", "250 2.0.0"}));
    EXPECT_TRUE(hooks_.taken().empty());
}

// Shows: RFC 5321 section 4.5.3.1.10 (S10)
TEST_F(SessionTest, KeepsTheRecipientsBeforeTheLimit) {
    options_.limits.recipients_per_message = 100;
    Client client = connect();
    std::string many;
    for (int i = 0; i < 1100; ++i) {
        many += "RCPT TO:<u" + std::to_string(i) + "@example.com>\r\n";
    }
    std::thread sender([&] { client.send(ehlo + "MAIL FROM:<>\r\n" + many + "DATA\r\nx\r\n.\r\n"); });
    const Codes codes = client.codes(1105);
    sender.join();
    EXPECT_EQ(std::count(codes.begin(), codes.end(), "250 2.1.5"), 100);
    EXPECT_EQ(std::count(codes.begin(), codes.end(), "452 4.5.3"), 1000);
    ASSERT_EQ(hooks_.taken().size(), 1U);
    EXPECT_EQ(hooks_.taken()[0].recipients.size(), 100U);
}

TEST_F(SessionTest, AFloodOfRecipientsEnds) {
    options_.limits.recipients_per_message = 100;
    Client client = connect();
    std::string many = ehlo + "MAIL FROM:<>\r\n";
    for (int i = 0; i < 1101; ++i) {
        many += "RCPT TO:<u@example.com>\r\n";
    }
    std::thread sender([&] { client.send(many); });
    EXPECT_THAT(client.rest(), HasSubstr("421 4.7.0 Too many commands without a message"));
    sender.join();
    EXPECT_EQ(hooks_.await_reason(), "too many commands without a message");
    EXPECT_TRUE(hooks_.taken().empty());
}

// Shows: RFC 2033 sections 4.1 and 4.2: LHLO alone, and one reply a recipient in RCPT order, doubles too.
TEST_F(SessionTest, SpeaksLmtp) {
    options_.protocol = Protocol::lmtp;
    Client client = connect();
    client.send(
        "EHLO c\r\nHELO c\r\nLHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<full@example.com>\r\n"
        "RCPT TO:<a@example.com>\r\nRCPT TO:<x@example.net>\r\nDATA\r\nx\r\n.\r\n");
    EXPECT_EQ(client.codes(10), (Codes{"220", "500 5.5.1", "500 5.5.1", "250", "250 2.1.0", "250 2.1.5", "250 2.1.5",
                                       "250 2.1.5", "550 5.7.1", "354"}));
    EXPECT_EQ(client.codes(3), (Codes{"250 2.0.0", "452 4.2.2", "250 2.0.0"}));
}

// Shows: RFC 5321 section 4.2.5: where neither 2xx nor 4xx would be true, nothing is said.
TEST_F(SessionTest, ClosesWithoutAnAnswerWhenNobodyKnows) {
    Client client = connect();
    client.send("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<doubtful@example.com>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n");
    EXPECT_EQ(client.codes(5), (Codes{"220", "250", "250 2.1.0", "250 2.1.5", "354"}));
    EXPECT_EQ(client.rest(), "");
    EXPECT_EQ(hooks_.await_reason(), "no answer can be given");
}

TEST_F(SessionTest, EndsAfterTooManyErrors) {
    Client client = connect();
    std::string wrong;
    for (int i = 0; i < 100; ++i) {
        wrong += "FOO\r\n";
    }
    client.send(wrong);
    const std::string all = client.rest();
    EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 12) << all;
    EXPECT_TRUE(all.ends_with("421 4.7.0 Too many errors\r\n")) << all;
    EXPECT_EQ(hooks_.await_reason(), "too many errors");
}

TEST_F(SessionTest, LimitsConnectionsInAllAndPerClient) {
    options_.limits.connections_per_client = 1;
    Client first = connect();
    EXPECT_EQ(first.codes(1), Codes{"220"});
    Client second = connect();
    EXPECT_EQ(second.codes(1), Codes{"421 4.7.0"});
    EXPECT_EQ(second.read(), "");
    EXPECT_EQ(server_->counters().refused, 1U);
}

// Deadlines are for a command, not for a read: octets that trickle in do not stretch them.
TEST_F(SessionTest, TricklingOctetsDoNotStretchTheCommandDeadline) {
    options_.limits.command_timeout = std::chrono::milliseconds(300);
    Client client = connect();
    EXPECT_EQ(client.codes(1), Codes{"220"});
    while (client.send("x")) {
        ::poll(nullptr, 0, 20);
    }
    EXPECT_EQ(hooks_.await_reason(), "timeout");
}

// Nor do many small chunks stretch that of the message.
TEST_F(SessionTest, SmallChunksDoNotStretchTheMessageDeadline) {
    options_.limits.data_timeout = std::chrono::milliseconds(300);
    Client client = connect();
    client.send(ehlo + envelope);
    client.codes(4);
    while (client.send("BDAT 1\r\nx")) {
        ::poll(nullptr, 0, 20);
    }
    EXPECT_EQ(hooks_.await_reason(), "timeout");
    EXPECT_TRUE(hooks_.taken().empty());
}

// What is only drained ends with the message's time, however fast it comes.
TEST_F(SessionTest, EndlessChunkIsNotDrainedForEver) {
    options_.limits.data_timeout = std::chrono::milliseconds(300);
    options_.limits.message_size = 1000;
    Client client = connect();
    client.send(ehlo + "BDAT 18446744073709551615 LAST\r\n");
    const std::string block(64 * 1024, 'x');
    while (client.send(block)) {}
    EXPECT_EQ(hooks_.await_reason(), "timeout");
}

TEST_F(SessionTest, ClientThatLeavesInsideTheContentLeavesNothing) {
    {
        Client client = connect();
        client.send(ehlo + envelope + "DATA\r\n");
        client.codes(5);
        client.send("half a message");
    }
    EXPECT_EQ(hooks_.await_reason(), "closed by client");
    EXPECT_TRUE(hooks_.taken().empty());
    EXPECT_EQ(hooks_.dropped(), 1);
}

// Shows: RFC 5321 section 3.8 (S19): 421 between commands, never inside the content.
TEST_F(SessionTest, DrainLetsAContentEndFirst) {
    for (const bool chunked : {false, true}) {
        server_.reset();
        Client idle = connect();
        idle.codes(1);
        Client client = connect();
        client.send(ehlo + envelope + (chunked ? "BDAT 3\r\nx\r\n" : "DATA\r\n"));
        client.codes(5);
        server_->stop(std::chrono::seconds(60));
        EXPECT_EQ(idle.codes(1), Codes{"421 4.3.2"});
        client.send(chunked ? "BDAT 3 LAST\r\ny\r\n" : "x\r\ny\r\n.\r\n");
        EXPECT_EQ(client.codes(2), (Codes{"250 2.0.0", "421 4.3.2"}));
        server_->wait();
        EXPECT_EQ(hooks_.taken().back().content, "x\r\ny\r\n");
    }
}

TEST_F(SessionTest, OtherProtocolsAreClosedAtOnce) {
    for (const std::string hello : {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PUT / HTTP/1.1\r\n\r\nMAIL FROM:<>\r\n",
                                    "\x16\x03\x01\x02", "\x03", "\xe2\x80\x8b", "SSH-2.0-OpenSSH_9.2p1\r\n",
                                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "INVITE sip:a@example.com SIP/2.0\r\n"}) {
        Client client = connect();
        client.send(hello);
        const std::string all = client.rest();
        EXPECT_NE(all.find("\r\n521 5.5.1 "), std::string::npos) << all;
        EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 2) << all;
    }
}

TEST_F(SessionTest, OddLinesAreRefusedAndTheSessionGoesOn) {
    Client client = connect();
    const std::string nul("NO\0OP\r\n", 7);
    client.send(std::string(1'000'000, 'x') + "\r\nNOOP\r\n" + nul +
                "NO\nOP\r\nNOOP\r\nBDAT 99999999999999999999999\r\n");
    EXPECT_EQ(client.codes(7),
              (Codes{"220", "500 5.5.2", "250 2.0.0", "500 5.5.2", "500 5.5.2", "250 2.0.0", "521 5.5.4"}));
    EXPECT_EQ(client.rest(), "");
}

TEST_F(SessionTest, HookThatThrowsEndsTheSessionWithAReply) {
    Client client = connect();
    client.send(ehlo + "MAIL FROM:<>\r\nRCPT TO:<throws@example.com>\r\n");
    EXPECT_EQ(client.codes(4), (Codes{"220", "250", "250 2.1.0", "421 4.3.0"}));
    EXPECT_EQ(hooks_.await_reason(), "internal error");
    EXPECT_EQ(connect().codes(1), Codes{"220"});
}

TEST_F(SessionTest, StoreThatFailsInTheMiddleIsSaidAtTheEnd) {
    Client client = connect();
    client.send(ehlo + "MAIL FROM:<>\r\nRCPT TO:<nowrite@example.com>\r\nDATA\r\n" + std::string(600'000, 'x') +
                "\r\n.\r\nNOOP\r\n");
    EXPECT_EQ(client.codes(7), (Codes{"220", "250", "250 2.1.0", "250 2.1.5", "354", "452 4.3.1", "250 2.0.0"}));
    EXPECT_TRUE(hooks_.taken().empty());
}

// A second process on the same port would take half of the clients without a word.
TEST_F(SessionTest, PortInUseIsRefused) {
    connect();
    Server other(hooks_, {});
    ListenerOptions listener;
    listener.name = "other";
    listener.host = "127.0.0.1";
    listener.port = server_->port(0);
    listener.session = std::make_shared<const SessionOptions>(options_);
    EXPECT_TRUE(other.open({listener}).has_value());
}

// Shows: RFC 5321 section 2.3.8 (S3) and RFC 2920: however the octets are cut, the same is heard and taken.
TEST_F(SessionTest, CutsDoNotMatter) {
    const std::string input = ehlo + envelope + "DATA\r\n.\n.\r\n..x\r.\r\r\n.\r\n" + envelope +
                              "BDAT 3\r\na\r\nVRFY x\r\nBDAT 2 LAST\r\n\nbQUIT\r\n";
    std::string expected;
    for (std::size_t cut = 0; cut < input.size(); cut += 3) {
        Client client = connect();
        client.send(input.substr(0, cut));
        client.codes(1);
        client.send(input.substr(cut));
        const std::string heard = client.rest();
        expected = expected.empty() ? heard : expected;
        EXPECT_EQ(heard, expected) << cut;
    }
    for (std::size_t i = 2; i < hooks_.taken().size(); ++i) {
        EXPECT_EQ(hooks_.taken()[i], hooks_.taken()[i % 2]);
    }
}

}  // namespace
}  // namespace postern::smtp_server
