#include "queue/mail/printable.hpp"

#include <gtest/gtest.h>

namespace postern::mail {
namespace {

TEST(Printable, LeavesReadableTextAlone) {
    EXPECT_EQ(printable("Mailbox full: \xe2\x82\xac 3 \"quoted\""), "Mailbox full: \xe2\x82\xac 3 \"quoted\"");
    EXPECT_EQ(printable(""), "");
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
    EXPECT_EQ(printable("a\r\nb\x1b[2J"), "a\\x0d\\x0ab\\x1b[2J");
    EXPECT_EQ(printable(std::string("\0\x7f", 2)), "\\x00\\x7f");
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
    EXPECT_EQ(printable("\xe2\x80\xae"
                        "cba"),
              "\\xe2\\x80\\xae"
              "cba");
    EXPECT_EQ(printable("\\x0d"), "\\\\x0d");
}

TEST(Printable, EscapesMalformedUtf8) { EXPECT_EQ(printable("a\xff\xc3z\xe2\x82"), "a\\xff\\xc3z\\xe2\\x82"); }

TEST(Printable, CutsBetweenCharacters) {
    EXPECT_EQ(printable("abcdef", 3), "abc...");
    EXPECT_EQ(printable("abc", 3), "abc");
    EXPECT_EQ(printable("a\xe2\x82\xac"
                        "b",
                        3),
              "a...");
    EXPECT_EQ(printable("a\xe2\x82\xac"
                        "b",
                        4),
              "a\xe2\x82\xac...");
    EXPECT_EQ(printable("\x80\x80\x80\x80\x80\x80", 5).substr(0, 8), "\\x80\\x80");
    EXPECT_EQ(printable("abc", 0), "...");
}

}  // namespace
}  // namespace postern::mail
