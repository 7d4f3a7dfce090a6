#include "lmtp-client/detail/reply_parser.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace postern::lmtp_client::detail {
namespace {

struct Read {
    std::vector<mail::Reply> replies;
    ReplyFault fault = ReplyFault::none;
    bool inside = false;
};

Read read(const std::string& bytes, std::size_t piece_octets) {
    Read out;
    ReplyParser parser;
    for (std::size_t at = 0; at < bytes.size(); at += piece_octets) {
        std::string_view piece = std::string_view(bytes).substr(at, piece_octets);
        while (parser.feed(piece)) {
            out.replies.push_back(parser.take());
        }
    }
    out.fault = parser.fault();
    out.inside = parser.is_inside();
    return out;
}

Read read(const std::string& bytes) { return read(bytes, bytes.size()); }

TEST(ReplyParser, ReadsCodeStatusAndText) {
    const Read got = read("452 4.2.2 Mailbox full\r\n");
    ASSERT_EQ(got.replies.size(), 1u);
    EXPECT_EQ(got.replies[0], mail::Reply(452, mail::EnhancedStatus(4, 2, 2), "Mailbox full"));
    EXPECT_FALSE(got.inside);
}

// Shows: RFC 2033 section 4.2 (a reply of several lines is one reply)
TEST(ReplyParser, MakesOneReplyOfSeveralLines) {
    const Read got = read("250-2.0.0 a\r\n250-2.0.0 b\r\n250 2.0.0 c\r\n");
    ASSERT_EQ(got.replies.size(), 1u);
    EXPECT_EQ(got.replies[0], mail::Reply(250, mail::EnhancedStatus(2, 0, 0), "a\nb\nc"));
}

TEST(ReplyParser, AcceptsACodeWithoutText) {
    const Read got = read("250\r\n354 \r\n");
    ASSERT_EQ(got.replies.size(), 2u);
    EXPECT_EQ(got.replies[0], mail::Reply(250, ""));
    EXPECT_EQ(got.replies[1], mail::Reply(354, ""));
}

// Shows: RFC 2034 section 4
TEST(ReplyParser, KeepsAStatusOfAnotherClassAsText) {
    const Read got = read("550 2.1.5 odd\r\n250 2.1 x\r\n450 4.1.1x\r\n");
    ASSERT_EQ(got.replies.size(), 3u);
    EXPECT_EQ(got.replies[0], mail::Reply(550, "2.1.5 odd"));
    EXPECT_EQ(got.replies[1], mail::Reply(250, "2.1 x"));
    EXPECT_EQ(got.replies[2], mail::Reply(450, "4.1.1x"));
}

TEST(ReplyParser, GivesTheSameForEverySplit) {
    const std::string bytes = "220 hello\r\n250-x\r\n250-PIPELINING\r\n250 SIZE 10\r\n452 4.2.2 full\r\n250\r\n";
    const Read whole = read(bytes);
    ASSERT_EQ(whole.replies.size(), 4u);
    for (std::size_t piece = 1; piece < bytes.size(); ++piece) {
        EXPECT_EQ(read(bytes, piece).replies, whole.replies) << piece;
    }
}

TEST(ReplyParser, RefusesWhatIsNoReply) {
    for (const std::string bytes : {"\r\n", "hello\r\n", "25 x\r\n", "25x x\r\n", "250x\r\n", "150 wait\r\n",
                                    "650 x\r\n", "999 x\r\n", " 250 x\r\n", "2500 x\r\n", "000 x\r\n"}) {
        EXPECT_EQ(read(bytes).fault, ReplyFault::not_a_reply) << bytes;
        EXPECT_EQ(read(bytes, 1).fault, ReplyFault::not_a_reply) << bytes;
    }
}

TEST(ReplyParser, RefusesBareLineEnds) {
    for (const std::string bytes : {"250 x\n", "250 x\r250 y\r\n", "250 x\r\r\n", "\n"}) {
        EXPECT_EQ(read(bytes).fault, ReplyFault::bare_cr_or_lf) << bytes;
        EXPECT_EQ(read(bytes, 1).fault, ReplyFault::bare_cr_or_lf) << bytes;
    }
}

TEST(ReplyParser, RefusesLinesWithDifferentCodes) {
    EXPECT_EQ(read("250-a\r\n550 b\r\n").fault, ReplyFault::codes_differ);
    EXPECT_TRUE(read("250-a\r\n550 b\r\n").replies.empty());
}

TEST(ReplyParser, BoundsLineAndReply) {
    const std::string longest = "250 " + std::string(ReplyParser::line_octets_max - 6, 'x') + "\r\n";
    EXPECT_EQ(read(longest).replies.size(), 1u);
    EXPECT_EQ(read(longest, 7).replies.size(), 1u);
    EXPECT_EQ(read("250 " + std::string(ReplyParser::line_octets_max, 'x')).fault, ReplyFault::line_too_long);
    EXPECT_EQ(read("250 " + std::string(ReplyParser::line_octets_max, 'x'), 100).fault, ReplyFault::line_too_long);
    std::string endless;
    for (int i = 0; i < 40; ++i) {
        endless += "250-" + std::string(4000, 'x') + "\r\n";
    }
    EXPECT_EQ(read(endless).fault, ReplyFault::reply_too_long);
}

TEST(ReplyParser, BoundsAReplyOfEmptyLines) {
    std::string endless;
    for (std::size_t i = 0; i <= ReplyParser::reply_octets_max + 1; ++i) {
        endless += "250-\r\n";
    }
    EXPECT_EQ(read(endless).fault, ReplyFault::reply_too_long);
}

TEST(ReplyParser, KnowsWhenItIsInsideAReply) {
    EXPECT_TRUE(read("2").inside);
    EXPECT_TRUE(read("250-a\r\n").inside);
    EXPECT_FALSE(read("250 a\r\n").inside);
}

}  // namespace
}  // namespace postern::lmtp_client::detail
