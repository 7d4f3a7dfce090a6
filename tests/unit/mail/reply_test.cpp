#include "queue/mail/reply.hpp"

#include <gtest/gtest.h>

#include "queue/mail/utf8.hpp"

namespace postern::mail {
namespace {

std::string wire(const Reply& reply) {
    std::string out = "before:";
    reply.append_wire(out);
    return out.substr(7);
}

TEST(Reply, GoesOverTheWireOnOneLine) {
    EXPECT_EQ(wire({250, {2, 1, 5}, "Ok"}), "250 2.1.5 Ok\r\n");
    EXPECT_EQ(wire({354, "Go on"}), "354 Go on\r\n");
    EXPECT_EQ(wire({250, {2, 0, 0}, ""}), "250 2.0.0\r\n");
    EXPECT_EQ(wire({250, ""}), "250\r\n");
}

// Shows: RFC 5321 section 4.2.1, RFC 2034 section 4
TEST(Reply, PutsCodesOnEveryLine) {
    EXPECT_EQ(wire({250, "mx.example.com\nPIPELINING\nSIZE 1"}),
              "250-mx.example.com\r\n250-PIPELINING\r\n250 SIZE 1\r\n");
    EXPECT_EQ(wire({550, {5, 1, 1}, "no\nsuch\n"}), "550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1\r\n");
    EXPECT_EQ(wire({250, "\n"}), "250-\r\n250\r\n");
}

TEST(Reply, LetsNoTextMakeALineOfItsOwn) {
    EXPECT_EQ(wire({550, "a\r250 ok\x1b[2J\x7f"}), "550 a?250 ok?[2J?\r\n");
    EXPECT_EQ(wire({550, std::string("nul\0tab\t", 8)}), "550 nul?tab?\r\n");
    EXPECT_EQ(wire({550, "\xc3\xbc \xff \xc2\x85"}), "550 \xc3\xbc ? ?\r\n");
}

// Shows: RFC 5321 section 4.5.3.1.5
TEST(Reply, BreaksLinesAtTheLimitButNoCharacter) {
    std::string text;
    for (int i = 0; i < 600; ++i) {
        text += "\xe2\x82\xac";
    }
    std::string out = wire({550, {5, 1, 1}, text + "\nend"});
    std::string joined;
    int lines = 0;
    while (!out.empty()) {
        const std::size_t end = out.find("\r\n");
        ASSERT_NE(end, std::string::npos);
        ASSERT_LE(end + 2, 512U);
        const std::string line = out.substr(0, end);
        EXPECT_EQ(line.substr(0, 3), "550");
        EXPECT_EQ(line.substr(4, 6), "5.1.1 ");
        EXPECT_EQ(line[3], end + 2 == out.size() ? ' ' : '-');
        joined += line.substr(10);
        out.erase(0, end + 2);
        ++lines;
    }
    EXPECT_EQ(joined, text + "end");
    EXPECT_EQ(lines, 5);
}

TEST(Reply, SaysItselfOnOneLine) {
    EXPECT_EQ(Reply(452, {4, 2, 2}, "Mailbox\nfull").to_string(), "452 4.2.2 Mailbox full");
    EXPECT_EQ(Reply(250, "").to_string(), "250");
}

TEST(Reply, HasTheClassOfItsFirstDigit) {
    EXPECT_TRUE(Reply(250, "").is_success());
    EXPECT_EQ(Reply(354, "").reply_class(), ReplyClass::intermediate);
    EXPECT_TRUE(Reply(452, "").is_transient());
    EXPECT_TRUE(Reply(599, "").is_permanent());
    for (const std::uint16_t code : std::initializer_list<std::uint16_t>{0, 25, 150, 600, 2500, 65535}) {
        EXPECT_EQ(Reply(code, "").reply_class(), ReplyClass::invalid) << code;
    }
}

TEST(Utf8, KnowsTheLengthOfACharacter) {
    EXPECT_EQ(utf8_length(""), 0U);
    EXPECT_EQ(utf8_length("ab"), 1U);
    EXPECT_EQ(utf8_length("\xc3\xbcx"), 2U);
    EXPECT_EQ(utf8_length("\xe2\x82\xac"), 3U);
    EXPECT_EQ(utf8_length("\xf0\x9f\x93\xa7"), 4U);
    for (const char* bad : {"\x80", "\xc1\x81", "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x28\xa1", "\xf0\x8f\xbf\xbf",
                            "\xf5\x80\x80\x80", "\xf0\x9f\x93", "\xf0\x9f\x93z"}) {
        EXPECT_EQ(utf8_length(bad), 0U) << bad;
    }
}

}  // namespace
}  // namespace postern::mail
