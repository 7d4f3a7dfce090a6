#include "queue/mail/mailbox.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postern::mail {
namespace {

using namespace std::string_literals;

const std::string label63(63, 'a');
const std::string domain255 = label63 + '.' + label63 + '.' + label63 + '.' + std::string(63, 'b');

AddressError error_of(std::string_view text, Utf8 utf8 = Utf8::refused) {
    const auto mailbox = Mailbox::parse(text, utf8);
    EXPECT_FALSE(mailbox.has_value()) << text;
    return mailbox ? AddressError{} : mailbox.error();
}

TEST(Mailbox, ReadsOrdinaryAddresses) {
    for (const std::string text :
         {"user@example.com", "first.last+tag@mail.example.com", "USER@Example.COM", "!#$%&'*+-/=?^_`{|}~@example.com",
          "a@b", "0@0", "user@xn--bcher-kva.example", "user@[192.0.2.1]", "user@[IPv6:2001:db8::1]", "a@1.2.3.4"}) {
        const auto mailbox = Mailbox::parse(text, Utf8::refused);
        ASSERT_TRUE(mailbox.has_value()) << text;
        EXPECT_EQ(mailbox->to_string(), text);
        EXPECT_TRUE(mailbox->is_ascii());
    }
}

// Shows: a leniency; sender domains with an underscore are in use.
TEST(Mailbox, ReadsUnderscoresInDomains) {
    EXPECT_TRUE(Mailbox::parse("user@_bounce.mail_1.example.com", Utf8::refused).has_value());
}

TEST(Mailbox, RefusesWhatIsNoAddress) {
    const std::vector<std::string> texts = {"",
                                            "@",
                                            "user",
                                            "user@",
                                            "@example.com",
                                            ".user@example.com",
                                            "user.@example.com",
                                            "us..er@example.com",
                                            "us er@example.com",
                                            "user@exam ple.com",
                                            "user@@example.com",
                                            "user@a@b",
                                            "user@.example.com",
                                            "user@example.com.",
                                            "user@example..com",
                                            "user@-example.com",
                                            "user@example-.com",
                                            "user@exa*mple.com",
                                            "user@example.com>",
                                            "<user@example.com>",
                                            "user@example.com ",
                                            " user@example.com",
                                            "us\ter@example.com",
                                            "us\0er@example.com"s,
                                            "user@example.com\0"s,
                                            "user@example.com\r\n",
                                            "us\ner@example.com",
                                            "us\x7f"
                                            "er@example.com",
                                            "a,b@example.com",
                                            "a:b@example.com",
                                            "a;b@example.com",
                                            "a(b)@example.com",
                                            "a\\b@example.com",
                                            "a\"b@example.com",
                                            "\"a@example.com",
                                            "\"a\"b@example.com",
                                            "\"a\"",
                                            "\"a\"@",
                                            "\"a\\\"@example.com",
                                            "\"a\nb\"@example.com",
                                            "\"a\\\nb\"@example.com",
                                            "\"a\0b\"@example.com"s,
                                            "\"a\x7f\"@example.com",
                                            "user@" + std::string(64, 'a') + ".com"};
    for (const std::string& text : texts) {
        EXPECT_EQ(error_of(text), AddressError::syntax) << text;
    }
}

// Shows: RFC 5321 section 4.1.3
TEST(Mailbox, ReadsAddressLiteralsStrictly) {
    for (const char* literal : {"[0.0.0.0]", "[255.255.255.255]", "[IPv6:::]", "[ipv6:::1]", "[IPv6:1::]",
                                "[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:1:2:3:4:5:6:7::]", "[IPv6:::2:3:4:5:6:7:8]",
                                "[IPv6:::ffff:192.0.2.1]", "[IPv6:1:2:3:4:5:6:192.0.2.1]", "[IPv6:ABCD:ef01::]"}) {
        EXPECT_TRUE(is_domain(literal, Utf8::refused)) << literal;
    }
    for (const char* literal : {"[]",
                                "[",
                                "]",
                                "[1.2.3]",
                                "[1.2.3.4.5]",
                                "[1.2.3.256]",
                                "[01.2.3.4]",
                                "[1.2.3.4",
                                "1.2.3.4]",
                                "[1.2.3.-4]",
                                "[ 1.2.3.4]",
                                "[1.2.3.4 ]",
                                "[1..3.4]",
                                "[1.2.3.1234]",
                                "[2001:db8::1]",
                                "[IPv6:]",
                                "[IPv6::]",
                                "[IPv6:1:2:3:4:5:6:7]",
                                "[IPv6:1:2:3:4:5:6:7:8:9]",
                                "[IPv6:1::2::3]",
                                "[IPv6::::]",
                                "[IPv6:12345::]",
                                "[IPv6:g::]",
                                "[IPv6:1:]",
                                "[IPv6:1::2:]",
                                "[IPv6::1]",
                                "[IPv6:1:2:3:4:5:6:7:192.0.2.1]",
                                "[IPv6:1:2:3:4:5:6:7:8::]",
                                "[IPv6:::1.2.3]",
                                "[IPv6:::1.2.3.4:5]",
                                "[IPv6:fe80::1%eth0]",
                                "[X400:foo]",
                                "[example.com]"}) {
        EXPECT_FALSE(is_domain(literal, Utf8::refused)) << literal;
    }
}

// Shows: RFC 5321 section 4.5.3.1
TEST(Mailbox, TakesLengthsToTheLimitAndNotBeyond) {
    ASSERT_EQ(domain255.size(), 255U);
    EXPECT_TRUE(Mailbox::parse(std::string(64, 'u') + '@' + domain255, Utf8::refused).has_value());
    EXPECT_EQ(error_of(std::string(65, 'u') + "@example.com"), AddressError::local_too_long);
    EXPECT_EQ(error_of("u@" + domain255 + ".x"), AddressError::domain_too_long);
    EXPECT_EQ(error_of('"' + std::string(63, ' ') + "\"@example.com"), AddressError::local_too_long);
    EXPECT_TRUE(Mailbox::parse('"' + std::string(62, ' ') + "\"@example.com", Utf8::refused).has_value());
}

TEST(Mailbox, KeepsQuotesOnlyWhereNeeded) {
    const struct {
        const char* text;
        const char* local_part;
        const char* unquoted;
    } cases[] = {
        {R"("user"@example.com)", "user", "user"},      {R"("a.b"@example.com)", "a.b", "a.b"},
        {R"("\u\s\e\r"@example.com)", "user", "user"},  {R"("a b"@example.com)", R"("a b")", "a b"},
        {R"("a\ b"@example.com)", R"("a b")", "a b"},   {R"("a\"b\\c"@example.com)", R"("a\"b\\c")", R"(a"b\c)"},
        {R"("a@b"@example.com)", R"("a@b")", "a@b"},    {R"("a..b"@example.com)", R"("a..b")", "a..b"},
        {R"("<a>,"@example.com)", R"("<a>,")", "<a>,"}, {R"(""@example.com)", R"("")", ""},
    };
    for (const auto& one : cases) {
        const auto mailbox = Mailbox::parse(one.text, Utf8::refused);
        ASSERT_TRUE(mailbox.has_value()) << one.text;
        EXPECT_EQ(mailbox->local_part(), one.local_part);
        EXPECT_EQ(mailbox->unquoted_local_part(), one.unquoted);
        EXPECT_EQ(*Mailbox::parse(mailbox->to_string(), Utf8::refused), *mailbox);
    }
}

// Shows: RFC 6531 section 3.3
TEST(Mailbox, TakesUtf8OnlyWhereAllowedAndWellFormed) {
    const std::string address =
        "b\xc3\xbc"
        "cher@b\xc3\xbc"
        "cher.example";
    EXPECT_EQ(error_of(address), AddressError::utf8_refused);
    const auto mailbox = Mailbox::parse(address, Utf8::allowed);
    ASSERT_TRUE(mailbox.has_value());
    EXPECT_FALSE(mailbox->is_ascii());
    EXPECT_EQ(mailbox->to_string(), address);
    EXPECT_TRUE(Mailbox::parse("\"\xe2\x82\xac uro\"@example.com", Utf8::allowed).has_value());
    for (const char* bad : {"\xff@example.com", "\xc3@example.com", "\xc0\xaf@example.com", "\xed\xa0\x80@example.com",
                            "\xf4\x90\x80\x80@example.com", "a@\xe2\x82.com", "\x80@example.com",
                            "\xc2\x85@example.com", "\xe2\x80\xae@example.com"}) {
        EXPECT_EQ(error_of(bad, Utf8::allowed), AddressError::utf8_refused) << bad;
    }
}

TEST(Mailbox, DoesNotTakeOtherDotsForDots) {
    const auto mailbox = Mailbox::parse("user@bench\xe3\x80\x82test", Utf8::allowed);
    ASSERT_TRUE(mailbox.has_value());
    EXPECT_NE(mailbox->domain_key(), "bench.test");
}

TEST(Mailbox, ComparesDomainsWithoutCase) {
    EXPECT_EQ(Mailbox::parse("User@MAIL.Example.COM", Utf8::refused)->domain_key(), "mail.example.com");
    EXPECT_EQ(Mailbox::parse("User@Example.COM", Utf8::refused)->local_part(), "User");
}

TEST(Mailbox, DescribesEveryError) {
    EXPECT_EQ(describe(AddressError::local_too_long), "local part longer than 64 octets");
    for (const auto error : {AddressError::syntax, AddressError::domain_too_long, AddressError::utf8_refused}) {
        EXPECT_FALSE(describe(error).empty());
    }
}

TEST(ReversePath, IsAMailboxOrNobody) {
    EXPECT_TRUE(ReversePath().is_null());
    EXPECT_EQ(ReversePath().to_string(), "");
    const ReversePath path(*Mailbox::parse("a@example.com", Utf8::refused));
    EXPECT_FALSE(path.is_null());
    EXPECT_EQ(path.to_string(), "a@example.com");
}

}  // namespace
}  // namespace postern::mail
