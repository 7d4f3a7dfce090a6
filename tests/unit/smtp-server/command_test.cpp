// The command grammar as tables: what is read, and which reply what is not read gets.
#include "smtp-server/detail/command.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace postern::smtp_server::detail {
namespace {

using namespace std::string_literals;

const ParseContext smtp{Protocol::smtp, false, "mx.example.com"};
const ParseContext smtputf8{Protocol::smtp, true, "mx.example.com"};
const ParseContext lmtp{Protocol::lmtp, false, "mx.example.com"};

template <class Expected>
Expected read(const std::string& line, const ParseContext& context = smtp) {
    const auto command = parse_command(line, context);
    if (!command) {
        throw std::runtime_error(line + ": " + command.error().to_string());
    }
    return std::get<Expected>(*command);
}

// Code and status of the refusal; "" for a command that is read.
std::string refusal(const std::string& line, const ParseContext& context = smtp) {
    const auto command = parse_command(line, context);
    return command ? std::string()
                   : std::to_string(command.error().code()) + ' ' + command.error().status()->to_string();
}

TEST(Command, ReadsPlainCommandsInAnyCase) {
    read<Data>("DATA");
    read<Data>("dAtA  \t ");
    read<Rset>("rset");
    read<Quit>("Quit");
    read<Noop>("NOOP");
    read<Noop>("NOOP anything at all");
    read<Help>("HELP");
    read<Help>("HELP MAIL");
    read<StartTls>("STARTTLS");
    EXPECT_EQ(read<Vrfy>("VRFY some one").argument, "some one");
    EXPECT_EQ(read<Expn>("EXPN list").argument, "list");
}

// Shows: RFC 5321 section 4.3.2
TEST(Command, RefusesArgumentsWhereNoneBelong) {
    for (const char* line : {"DATA x", "RSET x", "QUIT now", "STARTTLS x", "VRFY", "EXPN", "VRFY  "}) {
        EXPECT_EQ(refusal(line), "501 5.5.4") << line;
    }
}

// Shows: RFC 5321 section 4.2.4
TEST(Command, KnowsWhatItDoesNotKnow) {
    for (const std::string line :
         {"", " ", "FOO", "MAILFROM:<a@b>", " MAIL FROM:<>", "DATA\xc3\xbc", "\xff", "MAI", "MAILX", "\"QUIT\""}) {
        EXPECT_EQ(refusal(line), "500 5.5.1") << line;
    }
    for (const char* line : {"AUTH PLAIN", "ETRN x", "turn", "SEND FROM:<a@b>", "SOML", "SAML", "ATRN"}) {
        EXPECT_EQ(refusal(line), "502 5.5.1") << line;
    }
    for (const std::string& line : {"NOOP\tx"s, "MAIL\tFROM:<>"s, "NO\x01OP"s, "QUIT\x7f"s, "NOOP \0x"s,
                                    "RCPT TO:<a@b.c>\rx"s, "NOOP\nQUIT"s, "\x1b[A"s}) {
        EXPECT_EQ(refusal(line), "500 5.5.2") << line;
    }
}

TEST(Command, ClosesOnWhatABrowserSays) {
    for (const char* line : {"GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT example.com:25 HTTP/1.1"}) {
        const auto command = parse_command(line, smtp);
        ASSERT_FALSE(command.has_value());
        EXPECT_TRUE(closes_connection(command.error()));
    }
    EXPECT_FALSE(closes_connection(parse_command("FOO", smtp).error()));
}

TEST(Greeting, TakesAnyPrintableName) {
    for (const std::string name : {"mx.example.com", "[192.0.2.1]", "[IPv6:::1]", "-", "WIN_PC", "a/b", "x\\\"<>",
                                   "192.0.2.1", ".", "@", "[junk"}) {
        EXPECT_EQ(read<Ehlo>("EHLO " + name).name, name);
        EXPECT_EQ(read<Helo>("helo  " + name + "  ").name, name);
        EXPECT_EQ(read<Lhlo>("LHLO " + name, lmtp).name, name);
    }
    EXPECT_EQ(read<Ehlo>("EHLO " + std::string(255, 'a')).name.size(), 255U);
}

TEST(Greeting, RefusesNoNameAndWhatCannotStandInATraceHeader) {
    for (const std::string& line :
         {"EHLO"s, "HELO "s, "EHLO a b"s, "EHLO \xc3\xbc"s, "EHLO " + std::string(256, 'a')}) {
        EXPECT_EQ(refusal(line), "501 5.5.4") << line;
    }
}

// Shows: RFC 2033 section 4.1
TEST(Greeting, BelongsToItsDialect) {
    EXPECT_EQ(refusal("HELO a", lmtp), "500 5.5.1");
    EXPECT_EQ(refusal("EHLO a", lmtp), "500 5.5.1");
    EXPECT_EQ(refusal("LHLO a", smtp), "500 5.5.1");
}

TEST(Mail, ReadsPaths) {
    const struct {
        const char* line;
        const char* sender;
    } cases[] = {
        {"MAIL FROM:<>", ""},
        {"MAIL FROM:<a@example.com>", "a@example.com"},
        {"mail from:<a@example.com>", "a@example.com"},
        {"MAIL FROM: <a@example.com>", "a@example.com"},
        {"MAIL  FROM:   <a@example.com>   ", "a@example.com"},
        {"MAIL FROM:<@relay.example.net:a@example.com>", "a@example.com"},
        {"MAIL FROM:<@a,@b,@[192.0.2.1],@[IPv6:::1]:a@example.com>", "a@example.com"},
        {R"(MAIL FROM:<"a>b"@example.com>)", R"("a>b"@example.com)"},
        {R"(MAIL FROM:<"a\">b"@example.com>)", R"("a\">b"@example.com)"},
        {R"(MAIL FROM:<"a@b:c"@example.com>)", R"("a@b:c"@example.com)"},
        {"MAIL FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"},
    };
    for (const auto& one : cases) {
        EXPECT_EQ(read<MailCommand>(one.line).sender.to_string(), one.sender) << one.line;
    }
    EXPECT_TRUE(read<MailCommand>("MAIL FROM:<>").sender.is_null());
}

TEST(Mail, RefusesBadSyntax) {
    for (const std::string line :
         {"MAIL", "MAIL FROM", "MAIL FROM:", "MAIL FROM: ", "MAIL TO:<a@b.c>", "MAIL FROM <a@b.c>",
          "MAIL FROM :<a@b.c>", "MAIL FROM:a@b.c", "MAIL FROM:<a@b.c", "MAIL FROM:a@b.c>", "MAIL FROM:<\"a@b.c>",
          "MAIL FROM:<a@b.c>>", "MAIL FROM:<a@b.c>,<d@e.f>", "MAIL FROM:<a@b.c>SIZE=1", "MAIL FROM:<a@b.c> =1",
          "MAIL FROM:<a@b.c> -X", "MAIL FROM:<a@b.c> SI\xc3\xbcZE=1", "MAIL FROM:<a@b.c> SIZE=1=2"}) {
        EXPECT_EQ(refusal(line), "501 5.5.4") << line;
    }
    for (const std::string line :
         {"MAIL FROM:<a>", "MAIL FROM:<postmaster>", "MAIL FROM:<a@>", "MAIL FROM:<@b>", "MAIL FROM:<a b@c.d>",
          "MAIL FROM:< >", "MAIL FROM:<<a@b.c>", "MAIL FROM:< a@b.c>", "MAIL FROM:<@a:>", "MAIL FROM:<@a,b:c@d.e>",
          "MAIL FROM:<@a,:c@d.e>", "MAIL FROM:<@a,", "MAIL FROM:<:a@b.c>", "MAIL FROM:<@:a@b.c>",
          "MAIL FROM:<@[1.2.3.4:a@b.c>"}) {
        const std::string full = line.back() == '>' ? line : line + ">";
        EXPECT_EQ(refusal(full), "501 5.1.7") << full;
    }
    EXPECT_EQ(refusal("MAIL FROM:<" + std::string(65, 'a') + "@example.com>"), "501 5.1.7");
}

TEST(Mail, ReadsParameters) {
    const auto mail =
        read<MailCommand>("MAIL FROM:<a@b.c>  size=1000 Body=8bitmime SMTPUTF8  RET=hdrs ENVID=QQ+2B314159 ");
    EXPECT_EQ(mail.size, 1000U);
    EXPECT_TRUE(mail.body_8bit);
    EXPECT_TRUE(mail.smtputf8);
    EXPECT_EQ(mail.dsn.ret, mail::DsnReturn::headers);
    EXPECT_EQ(mail.dsn.envid, "QQ+2B314159");
    EXPECT_FALSE(mail.require_tls);
    EXPECT_TRUE(read<MailCommand>("MAIL FROM:<a@b.c> RequireTls").require_tls);
    EXPECT_EQ(refusal("MAIL FROM:<a@b.c> REQUIRETLS=YES"), "501 5.5.4");
    EXPECT_EQ(refusal("MAIL FROM:<a@b.c> REQUIRETLS REQUIRETLS"), "501 5.5.4");
    const auto other = read<MailCommand>("MAIL FROM:<> BODY=7BIT RET=FULL");
    EXPECT_EQ(other.size, 0U);
    EXPECT_FALSE(other.body_8bit);
    EXPECT_EQ(other.dsn.ret, mail::DsnReturn::full);
    EXPECT_EQ(other.dsn.envid, "");
}

// Shows: RFC 1870 section 3: 1 to 20 digits; what 64 bits do not hold is larger than any limit.
TEST(Mail, ReadsSizesWithoutOverflow) {
    EXPECT_EQ(read<MailCommand>("MAIL FROM:<> SIZE=18446744073709551615").size, UINT64_MAX);
    EXPECT_EQ(read<MailCommand>("MAIL FROM:<> SIZE=18446744073709551616").size, UINT64_MAX);
    EXPECT_EQ(read<MailCommand>("MAIL FROM:<> SIZE=18446744073709551609").size, UINT64_MAX - 6);
    EXPECT_EQ(read<MailCommand>("MAIL FROM:<> SIZE=99999999999999999999").size, UINT64_MAX);
    EXPECT_EQ(read<MailCommand>("MAIL FROM:<> SIZE=00000000000000000007").size, 7U);
    for (const char* value : {"", "=", "=-1", "=1x", "=0x10", "=100000000000000000000", "=1,2"}) {
        EXPECT_EQ(refusal("MAIL FROM:<> SIZE"s + value), "501 5.5.4") << value;
    }
}

TEST(Mail, RefusesBadParameters) {
    for (const std::string parameters :
         {"SIZE=1 SIZE=1", "BODY=7BIT body=8BITMIME", "SMTPUTF8 SMTPUTF8", "RET=FULL RET=FULL", "ENVID=a ENVID=a",
          "BODY", "BODY=", "BODY=9BIT", "SMTPUTF8=1", "RET", "RET=ALL", "ENVID", "ENVID=", "ENVID=a=b", "ENVID=+",
          "ENVID=+0d+0a", "ENVID=a+0D+0A", "ENVID=+00", "ENVID=+FF"}) {
        EXPECT_EQ(refusal("MAIL FROM:<a@b.c> " + parameters), "501 5.5.4") << parameters;
    }
    for (const std::string parameters :
         {"FOO", "FOO=bar", "AUTH=<>", "MT-PRIORITY=3", "NOTIFY=NEVER", "ORCPT=rfc822;a", "XSIZE=1", "SIZE=1 X=y"}) {
        EXPECT_EQ(refusal("MAIL FROM:<a@b.c> " + parameters), "555 5.5.4") << parameters;
    }
    EXPECT_EQ(refusal("MAIL FROM:<a@b.c> BODY=BINARYMIME"), "504 5.5.4");
}

// Shows: RFC 3461 section 4.4
TEST(Mail, TakesAnEnvelopeIdentifierOf100Octets) {
    EXPECT_EQ(read<MailCommand>("MAIL FROM:<> ENVID=" + std::string(100, 'e')).dsn.envid.size(), 100U);
    EXPECT_EQ(refusal("MAIL FROM:<> ENVID=" + std::string(101, 'e')), "501 5.5.4");
}

// Shows: RFC 6531 section 3.5; the parameter that allows UTF-8 comes behind the path that needs it.
TEST(Mail, JudgesUtf8ByTheParameterBehindIt) {
    const std::string path = "MAIL FROM:<b\xc3\xbc@example.com>";
    EXPECT_EQ(refusal(path), "550 5.6.7");
    EXPECT_EQ(refusal(path, smtputf8), "550 5.6.7");  // the context is of the last transaction
    EXPECT_EQ(read<MailCommand>(path + " SIZE=3 SMTPUTF8").sender.to_string(), "b\xc3\xbc@example.com");
    EXPECT_EQ(refusal("MAIL FROM:<b\xff@example.com> SMTPUTF8"), "501 5.1.7");
    EXPECT_EQ(refusal("MAIL FROM:<b\xff@example.com>"), "550 5.6.7");
}

TEST(Rcpt, ReadsPathsAndParameters) {
    const auto plain = read<RcptCommand>("RCPT TO:<a@example.com>");
    EXPECT_EQ(plain.address.to_string(), "a@example.com");
    EXPECT_FALSE(plain.bare_postmaster);
    EXPECT_EQ(plain.dsn, mail::DsnRecipientOptions{});
    EXPECT_EQ(read<RcptCommand>("rcpt to: <@a,@b:u@d>").address.to_string(), "u@d");
    const auto full = read<RcptCommand>("RCPT TO:<a@example.com> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@example.com");
    EXPECT_EQ(full.dsn.notify, mail::DsnNotify::success | mail::DsnNotify::delay);
    EXPECT_EQ(full.dsn.orcpt, "rfc822;a+2Bb@example.com");
    EXPECT_EQ(read<RcptCommand>("RCPT TO:<a@b.c> notify=never").dsn.notify, mail::DsnNotify::never);
}

// Shows: RFC 5321 sections 4.5.1 and 2.3.5
TEST(Rcpt, TakesABarePostmaster) {
    for (const char* line : {"RCPT TO:<postmaster>", "RCPT TO:<Postmaster>", "rcpt to:<POSTMASTER> NOTIFY=NEVER"}) {
        const auto rcpt = read<RcptCommand>(line);
        EXPECT_TRUE(rcpt.bare_postmaster);
        EXPECT_EQ(rcpt.address.to_string(), "postmaster@mx.example.com");
    }
    EXPECT_FALSE(read<RcptCommand>("RCPT TO:<Postmaster@example.com>").bare_postmaster);
    EXPECT_EQ(read<RcptCommand>("RCPT TO:<postmaster>", ParseContext{}).address.to_string(), "postmaster@localhost");
}

TEST(Rcpt, RefusesBadPaths) {
    for (const std::string line :
         {"RCPT", "RCPT TO", "RCPT TO:", "RCPT FROM:<a@b.c>", "RCPT TO:a@b.c", "RCPT TO:<a@b.c>,<d@e.f>",
          "RCPT TO:<a@b.c> ,", "RCPT TO:<a@b.c", "RCPT TO:<a@b.c>x"}) {
        EXPECT_EQ(refusal(line), "501 5.5.4") << line;
    }
    for (const std::string line :
         {"RCPT TO:<>", "RCPT TO:<a>", "RCPT TO:<postmaste>", "RCPT TO:<a@b..c>", "RCPT TO:<a@b@c>",
          "RCPT TO:<a@b.c,d@e.f>", "RCPT TO:<|/bin/sh>", "RCPT TO:<a@b.c.>"}) {
        EXPECT_EQ(refusal(line), "501 5.1.3") << line;
    }
}

TEST(Rcpt, RefusesBadParameters) {
    for (const std::string parameters : {"NOTIFY",
                                         "NOTIFY=",
                                         "NOTIFY=NEVER,DELAY",
                                         "NOTIFY=,",
                                         "NOTIFY=DELAY,",
                                         "NOTIFY=,DELAY",
                                         "NOTIFY=OFTEN",
                                         "NOTIFY=DELAY NOTIFY=DELAY",
                                         "ORCPT",
                                         "ORCPT=",
                                         "ORCPT=a@b",
                                         "ORCPT=;a",
                                         "ORCPT=rfc822;",
                                         "ORCPT=rfc822;a+",
                                         "ORCPT=rfc822;a+0Ab",
                                         "ORCPT=rfc822;a=b",
                                         "ORCPT=rfc822;a ORCPT=rfc822;a",
                                         "ORCPT=rfc 822;a",
                                         "ORCPT=r@c;a",
                                         "ORCPT=rfc822;\xc3\xbc",
                                         "ORCPT=utf-8;\xc3\xbc",
                                         "ORCPT=utf-8;\\x{}",
                                         "ORCPT=utf-8;\\x{A}",
                                         "ORCPT=utf-8;\\x{110000}",
                                         "ORCPT=utf-8;\\x{D800}",
                                         "ORCPT=utf-8;\\y",
                                         "ORCPT=utf-8;\\x{fc}",
                                         "ORCPT=utf-8;+20",
                                         "ORCPT=utf-8;\\x{0000041}"}) {
        EXPECT_EQ(refusal("RCPT TO:<a@b.c> " + parameters), "501 5.5.4") << parameters;
    }
    for (const std::string parameters :
         {"SIZE=1", "SMTPUTF8", "RET=FULL", "ENVID=a", "RRVS=2014-04-03T23:01:00Z", "FOO"}) {
        EXPECT_EQ(refusal("RCPT TO:<a@b.c> " + parameters), "555 5.5.4") << parameters;
    }
}

// Shows: RFC 3461 section 4.2, RFC 6533 section 3
TEST(Rcpt, TakesOriginalRecipientsOf500OctetsAndInUtf8) {
    const std::string prefix = "RCPT TO:<a@b.c> ORCPT=rfc822;";
    EXPECT_EQ(read<RcptCommand>(prefix + std::string(493, 'o')).dsn.orcpt.size(), 500U);
    EXPECT_EQ(refusal(prefix + std::string(494, 'o')), "501 5.5.4");
    EXPECT_EQ(refusal("RCPT TO:<a@b.c> ORCPT=utf-8;b\\x{FC}@example.com"), "");
    EXPECT_EQ(refusal("RCPT TO:<a@b.c> ORCPT=UTF-8;b\xc3\xbc@example.com", smtputf8), "");
    EXPECT_EQ(refusal("RCPT TO:<a@b.c> ORCPT=utf-8;b\xff@example.com", smtputf8), "501 5.5.4");
}

// Shows: RFC 6531 section 3.5
TEST(Rcpt, TakesUtf8OnlyAfterSmtputf8) {
    const std::string line = "RCPT TO:<\xe7\x94\xa8\xe6\x88\xb7@example.com>";
    EXPECT_EQ(refusal(line), "553 5.6.7");
    EXPECT_EQ(read<RcptCommand>(line, smtputf8).address.is_ascii(), false);
    EXPECT_EQ(refusal("RCPT TO:<\xe7\x94@example.com>", smtputf8), "501 5.1.3");
    EXPECT_EQ(refusal("RCPT TO:<@\xc3\xbc.example:u@example.com>", smtputf8), "");
}

// Shows: RFC 3030 section 2
TEST(Bdat, ReadsSizesWithoutOverflow) {
    EXPECT_EQ(read<Bdat>("BDAT 0").size, 0U);
    EXPECT_FALSE(read<Bdat>("BDAT 86").last);
    EXPECT_TRUE(read<Bdat>("bdat 0  last ").last);
    EXPECT_EQ(read<Bdat>("BDAT 1000000000 LAST").size, 1000000000U);
    EXPECT_EQ(read<Bdat>("BDAT 18446744073709551616").size, UINT64_MAX);
}

TEST(Bdat, ClosesWhereTheChunkCannotBeMeasured) {
    for (const char* line : {"BDAT", "BDAT ", "BDAT x", "BDAT -1", "BDAT +1", "BDAT 1x", "BDAT 1 FIRST",
                             "BDAT 1 LAST x", "BDAT LAST", "BDAT 0x10", "BDAT 100000000000000000000", "BDAT 1,LAST"}) {
        const auto command = parse_command(line, smtp);
        ASSERT_FALSE(command.has_value()) << line;
        EXPECT_EQ(refusal(line), "521 5.5.4") << line;
        EXPECT_TRUE(closes_connection(command.error()));
    }
}

}  // namespace
}  // namespace postern::smtp_server::detail
