#include "lmtp-client/detail/dot_stuffing.hpp"

#include <gtest/gtest.h>

#include <string>

namespace postern::lmtp_client::detail {
namespace {

std::string stuffed(std::string_view content, std::size_t piece_octets) {
    DotStuffer stuffer;
    std::string out;
    for (std::size_t at = 0; at < content.size(); at += piece_octets) {
        stuffer.append(content.substr(at, piece_octets), out);
    }
    stuffer.finish(out);
    return out;
}

// Shows: RFC 5321 section 4.5.2
TEST(DotStuffing, DoublesADotAtTheStartOfALine) {
    EXPECT_EQ(stuffed(".\r\n..\r\n.x\r\na.b.\r\n", 100), "..\r\n...\r\n..x\r\na.b.\r\n.\r\n");
}

TEST(DotStuffing, EndsTheDataOnALineOfItsOwn) {
    EXPECT_EQ(stuffed("", 1), ".\r\n");
    EXPECT_EQ(stuffed("a", 1), "a\r\n.\r\n");
    EXPECT_EQ(stuffed("a\r\n", 1), "a\r\n.\r\n");
    EXPECT_EQ(stuffed("a\r", 1), "a\r\r\n.\r\n");
    EXPECT_EQ(stuffed("\n", 1), "\n\r\n.\r\n");
}

TEST(DotStuffing, GivesTheSameForEverySplit) {
    const std::string content = "..a\r\n.\r\n\r\n.b.\r\n....\r\nc\r\n.";
    const std::string whole = stuffed(content, content.size());
    for (std::size_t piece = 1; piece < content.size(); ++piece) {
        EXPECT_EQ(stuffed(content, piece), whole) << piece;
    }
    for (std::size_t cut = 0; cut <= content.size(); ++cut) {
        DotStuffer stuffer;
        std::string out;
        stuffer.append(std::string_view(content).substr(0, cut), out);
        stuffer.append(std::string_view(content).substr(cut), out);
        stuffer.finish(out);
        EXPECT_EQ(out, whole) << cut;
    }
}

TEST(DotStuffing, LeavesNoEndOfDataBehindABareLineEnd) {
    EXPECT_EQ(stuffed("a\n.\nb\r.\rc\n.\r\n", 100), "a\n..\nb\r..\rc\n..\r\n.\r\n");
}

}  // namespace
}  // namespace postern::lmtp_client::detail
