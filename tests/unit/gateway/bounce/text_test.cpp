#include "gateway/bounce/detail/text.hpp"

#include <gtest/gtest.h>

#include "gateway/bounce/detail/returned.hpp"

namespace postern::bounce::detail {
namespace {

TEST(Cleaned, MakesOneHarmlessLine) {
    EXPECT_EQ(cleaned(" a\r\nB: c\t\t d\n", Charset::ascii), "a B: c d");
    EXPECT_EQ(cleaned(std::string_view("a\0b\x1b[1m\x7f", 8), Charset::utf8), "a\\x{00}b\\x{1B}[1m\\x{7F}");
    EXPECT_EQ(cleaned("gr\xc3\xbc\xc3\x9f", Charset::utf8), "gr\xc3\xbc\xc3\x9f");
    EXPECT_EQ(cleaned("gr\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", Charset::ascii), "gr\\x{FC}\\x{20AC}\\x{1F600}");
    EXPECT_EQ(cleaned("\xff\xc3", Charset::utf8), "\\x{FF}\\x{C3}");
    EXPECT_EQ(cleaned("a\xe2\x80\xae"
                      "b",
                      Charset::utf8),
              "a\\x{202E}b");
    EXPECT_EQ(cleaned("\r\n \t", Charset::utf8), "");
}

TEST(Cleaned, CutsBetweenCharacters) {
    EXPECT_EQ(cleaned("abc", Charset::utf8, 2), "ab...");
    EXPECT_EQ(cleaned("a\xc3\xbc", Charset::utf8, 2), "a...");
    EXPECT_EQ(cleaned("a\xc3\xbc", Charset::utf8, 3), "a\xc3\xbc");
}

TEST(AppendField, FoldsAtSpacesAndCutsLongWords) {
    std::string out;
    append_field(out, "Name", "value");
    EXPECT_EQ(out, "Name: value\r\n");
    out.clear();
    std::string words;
    for (int i = 0; i < 40; ++i) {
        words += "word ";
    }
    append_field(out, "Name", words + std::string(5000, 'x'));
    EXPECT_TRUE(has_good_lines(out));
    EXPECT_NE(out.find("word\r\n word"), std::string::npos);
    std::size_t lines = 0;
    for (std::size_t at = out.find("\r\n"); at != std::string::npos; at = out.find("\r\n", at + 2)) {
        ++lines;
        EXPECT_TRUE(at + 2 == out.size() || out[at + 2] == ' ') << "a line of its own";
    }
    EXPECT_GT(lines, 7U);
}

// Shows: RFC 2045 section 6.7
TEST(QuotedPrintable, EncodesWhatMustBe) {
    EXPECT_EQ(quoted_printable("a=b\xc3\xbc\r\nc \r\nd\t"), "a=3Db=C3=BC\r\nc=20\r\nd=09");
    EXPECT_EQ(quoted_printable("a\rb\nc"), "a=0Db=0Ac");
    const std::string encoded = quoted_printable(std::string(200, 'x') + "\r\n" + std::string(100, '\xff'));
    for (std::size_t at = 0; at < encoded.size();) {
        const std::size_t end = std::min(encoded.find("\r\n", at), encoded.size());
        EXPECT_LE(end - at, 76U);
        at = end + 2;
    }
}

TEST(HasGoodLines, KnowsWhatABodyMayHold) {
    EXPECT_TRUE(has_good_lines("a\r\n\r\nb"));
    EXPECT_TRUE(has_good_lines(std::string(998, 'x') + "\r\n"));
    EXPECT_FALSE(has_good_lines(std::string(999, 'x') + "\r\n"));
    for (const char* bad : {"a\rb", "a\nb", "a\r\r\n", "\r"}) {
        EXPECT_FALSE(has_good_lines(bad)) << bad;
    }
    EXPECT_FALSE(has_good_lines(std::string_view("a\0", 2)));
}

TEST(HeaderOf, EndsWhereTheFieldsEnd) {
    EXPECT_EQ(header_of("A: b\r\n c\r\nD: e\r\n\r\nbody"), "A: b\r\n c\r\nD: e\r\n");
    EXPECT_EQ(header_of("A: b\r\nthe body without a blank line\r\nX: y\r\n"), "A: b\r\n");
    EXPECT_EQ(header_of(" begins: folded\r\n"), "");
    EXPECT_EQ(header_of("body"), "");
    EXPECT_EQ(header_of(""), "");
}

TEST(MessageIdOf, TakesOnlyAPlainOne) {
    EXPECT_EQ(message_id_of("Subject: x\r\nMessage-ID:\r\n <a@b> \r\n"), "<a@b>");
    for (const char* bad : {"Message-ID: <a b@c>\r\n", "Message-ID: a@b\r\n", "Message-ID: <a><b>\r\n",
                            "Message-ID: <>\r\n", "Message-ID:\r\n", "Message-ID: <a\xc3\xbc>\r\n", "Subject: x\r\n"}) {
        EXPECT_EQ(message_id_of(bad), "") << bad;
    }
    EXPECT_EQ(message_id_of("Message-ID: <" + std::string(300, 'x') + ">\r\n"), "");
}

}  // namespace
}  // namespace postern::bounce::detail
