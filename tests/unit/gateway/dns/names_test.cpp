#include "gateway/dns/names.hpp"

#include <gtest/gtest.h>

namespace postern::dns {
namespace {

TEST(Names, AreLabelsWithinTheirLengths) {
    EXPECT_TRUE(is_name("example.com"));
    EXPECT_TRUE(is_name("example.com."));
    EXPECT_TRUE(is_name("_25._tcp.mx1.example.com"));
    EXPECT_TRUE(is_name(std::string(63, 'a') + ".example"));
    EXPECT_FALSE(is_name(std::string(64, 'a') + ".example"));
    std::string longest = std::string(63, 'a') + '.' + std::string(63, 'b') + '.' + std::string(63, 'c') + '.';
    longest += std::string(61, 'd');
    EXPECT_TRUE(is_name(longest));
    EXPECT_FALSE(is_name(longest + 'd'));
}

TEST(Names, WithEmptyLabelsOrStrangeOctetsAreNone) {
    for (const char* text : {"", ".", "..", ".example", "example..com", "example.com..", "a b.example", "a\\.example",
                             "a\texample", "ex\x80mple", "a\"b", "user@example.com"}) {
        EXPECT_FALSE(is_name(text)) << text;
    }
    EXPECT_FALSE(is_name(std::string_view("a\0b", 3)));
}

TEST(Names, OfHostsHaveFewerLetters) {
    EXPECT_TRUE(is_host("mx-1.Example.com"));
    EXPECT_TRUE(is_host("mx_1.example.com"));
    EXPECT_FALSE(is_host("mx*.example.com"));
    EXPECT_FALSE(is_host("192.0.2.1"));
    EXPECT_FALSE(is_host(""));
}

// Shows: RFC 1035 3.5, RFC 3596 2.5
TEST(ReverseName, TurnsTheAddressAround) {
    EXPECT_EQ(reverse_name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
    EXPECT_EQ(reverse_name("2001:db8::567:89ab"),
              "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    EXPECT_EQ(reverse_name("::ffff:192.0.2.1"), "1.2.0.192.in-addr.arpa");
    EXPECT_EQ(reverse_name("192.0.2"), std::nullopt);
    EXPECT_EQ(reverse_name("mx.example"), std::nullopt);
}

// Shows: RFC 5782 2.1
TEST(ReverseName, StandsBelowTheZoneOfAList) {
    EXPECT_EQ(reversed_below("127.0.0.2", "list.example"), "2.0.0.127.list.example");
    const auto v6 = reversed_below("::1", "list.example");
    ASSERT_TRUE(v6);
    EXPECT_TRUE(v6->starts_with("1.0.0.0."));
    EXPECT_TRUE(v6->ends_with(".0.list.example"));
    EXPECT_TRUE(is_name(*v6));
}

// Shows: RFC 5891 5
TEST(ALabels, StandForUtf8) {
    EXPECT_EQ(to_a_labels("b\xc3\xbc"
                          "cher.Example"),
              "xn--bcher-kva.example");
    EXPECT_EQ(to_a_labels("Example.ORG"), "example.org");
    EXPECT_EQ(to_a_labels("exa mple.org"), std::nullopt);
    EXPECT_EQ(to_a_labels("\xe2\x80\x8b.example"), std::nullopt) << "a label of nothing that is seen";
}

}  // namespace
}  // namespace postern::dns
