#include "smtp-server/detail/line_reader.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace postern::smtp_server::detail {
namespace {

using namespace std::string_literals;

using Reports = std::vector<std::pair<LineStatus, std::string>>;

void feed_all(LineReader& reader, std::string_view in, Reports& reports) {
    while (!in.empty()) {
        const auto fed = reader.feed(in);
        ASSERT_GT(fed.consumed, 0U);
        in.remove_prefix(fed.consumed);
        if (fed.status != LineStatus::need_more) {
            reports.emplace_back(fed.status, reader.line());
        } else {
            ASSERT_TRUE(in.empty());
        }
    }
}

// The reports for `in`, after checking that no way of cutting it in two, nor into octets, changes them.
Reports reports_of(std::string_view in, std::size_t octets_max = 64) {
    Reports whole;
    LineReader reader(octets_max);
    feed_all(reader, in, whole);
    for (std::size_t cut = 0; cut <= in.size(); ++cut) {
        Reports parts;
        LineReader other(octets_max);
        feed_all(other, in.substr(0, cut), parts);
        feed_all(other, in.substr(cut), parts);
        EXPECT_EQ(parts, whole) << cut;
        EXPECT_EQ(other.in_line(), reader.in_line());
    }
    Reports octets;
    LineReader slow(octets_max);
    for (const char& c : in) {
        feed_all(slow, {&c, 1}, octets);
    }
    EXPECT_EQ(octets, whole);
    return whole;
}

TEST(LineReader, PartsLinesAtCrlf) {
    EXPECT_EQ(reports_of("EHLO a\r\n\r\nQUIT\r\nNO"),
              (Reports{{LineStatus::line, "EHLO a"}, {LineStatus::line, ""}, {LineStatus::line, "QUIT"}}));
}

// Shows: RFC 5321 section 2.3.8: nothing behind a bare LF or CR is taken for a command.
TEST(LineReader, TakesNoCommandFromALineWithABareNewline) {
    const Reports refused = {{LineStatus::bare_newline, ""}, {LineStatus::line, "RSET"}};
    EXPECT_EQ(reports_of("NOOP\nQUIT\r\nRSET\r\n"), refused);
    EXPECT_EQ(reports_of("NOOP\rQUIT\r\nRSET\r\n"), refused);
    EXPECT_EQ(reports_of("NOOP\r\r\nRSET\r\n"), refused);
    EXPECT_EQ(reports_of("\n\r\nRSET\r\n"), refused);
    EXPECT_EQ(reports_of("\nQUIT\nQUIT\n\n\rQUIT\r\nRSET\r\n"), refused);
    EXPECT_EQ(reports_of("QUIT\n"), (Reports{{LineStatus::bare_newline, ""}}));
}

TEST(LineReader, ReportsNul) {
    EXPECT_EQ(reports_of("QU\0IT\r\nRSET\r\n"s), (Reports{{LineStatus::nul, ""}, {LineStatus::line, "RSET"}}));
}

TEST(LineReader, TakesALineUpToTheBoundAndSwallowsALongerOne) {
    const std::string longest(14, 'x');
    EXPECT_EQ(reports_of(longest + "\r\n", 16), (Reports{{LineStatus::line, longest}}));
    EXPECT_EQ(reports_of(longest + "x\r\nRSET\r\n", 16),
              (Reports{{LineStatus::too_long, ""}, {LineStatus::line, "RSET"}}));
    EXPECT_EQ(reports_of(std::string(100, 'x') + "\rQUIT\r\nRSET\r\n", 16),
              (Reports{{LineStatus::too_long, ""}, {LineStatus::line, "RSET"}}));
    EXPECT_EQ(reports_of(std::string(100, 'x') + "\nQUIT\r\nRSET\r\n", 16),
              (Reports{{LineStatus::bare_newline, ""}, {LineStatus::line, "RSET"}}));
}

TEST(LineReader, KeepsNoMoreThanTheBound) {
    LineReader reader(4096);
    const std::string part(10000, 'x');
    for (int i = 0; i < 1000; ++i) {
        EXPECT_EQ(reader.feed(part).status, LineStatus::need_more);
        EXPECT_LE(reader.line().size(), 4096U);
    }
    EXPECT_EQ(reader.feed("\r\n").status, LineStatus::too_long);
    EXPECT_EQ(reader.feed("NOOP\r\n").status, LineStatus::line);
    EXPECT_EQ(reader.line(), "NOOP");
}

TEST(LineReader, StopsAtTheEndOfEachLine) {
    LineReader reader(64);
    const auto fed = reader.feed("BDAT 4 LAST\r\n\r\n\r\n");
    EXPECT_EQ(fed.consumed, 13U);
    EXPECT_EQ(reader.line(), "BDAT 4 LAST");
    EXPECT_FALSE(reader.in_line());
    EXPECT_EQ(reader.feed("").status, LineStatus::need_more);
    EXPECT_FALSE(reader.in_line());
}

TEST(LineReader, ForgetsAllAtReset) {
    LineReader reader(64);
    EXPECT_EQ(reader.feed("MAIL FROM").status, LineStatus::need_more);
    EXPECT_TRUE(reader.in_line());
    reader.reset();
    EXPECT_FALSE(reader.in_line());
    EXPECT_EQ(reader.feed("QUIT\r\n").status, LineStatus::line);
    EXPECT_EQ(reader.line(), "QUIT");
}

TEST(LineReader, HasAReplyForEachFault) {
    for (const auto fault : {LineStatus::too_long, LineStatus::bare_newline, LineStatus::nul}) {
        EXPECT_EQ(line_fault_reply(fault).to_string().substr(0, 9), "500 5.5.2");
    }
}

}  // namespace
}  // namespace postern::smtp_server::detail
