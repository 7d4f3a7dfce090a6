// What a log line looks like, above all when a stranger wrote its values.
#include "gateway/log/line.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace postern::log {
namespace {

const queue::Instant noon{std::chrono::milliseconds(1'787'306'400'123)};

std::string line(Format format, const std::vector<Field>& fields) {
    return format_line(format, noon, Level::warn, "deferred", fields);
}

TEST(LogLine, HasTimeLevelEventAndKeysInOrder) {
    EXPECT_EQ(line(Format::logfmt, {{"id", "abc"}, {"attempt", std::uint64_t{3}}, {"delay", 1.5}}),
              queue::to_rfc3339(noon) + " warn deferred id=abc attempt=3 delay=1.500");
}

TEST(LogLine, QuotesWhatCouldLookLikeAnotherKey) {
    EXPECT_TRUE(line(Format::logfmt, {{"reply", "452 full level=info"}}).ends_with(" reply=\"452 full level=info\""));
    EXPECT_TRUE(line(Format::logfmt, {{"reply", "a\"b"}}).ends_with(" reply=\"a\\\"b\""));
    EXPECT_TRUE(line(Format::logfmt, {{"reply", ""}}).ends_with(" reply=\"\""));
}

TEST(LogLine, LetsNoControlCharacterThrough) {
    for (const Format format : {Format::logfmt, Format::json}) {
        const std::string text = line(format, {{"helo", std::string_view("a\r\nb\x1b[2Jc\0d\x9b", 12)}});
        for (const char c : text) {
            EXPECT_FALSE(static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) == 0x7f) << text;
        }
        EXPECT_EQ(text.find('\x9b'), std::string::npos);
    }
}

TEST(LogLine, IsOneJsonObject) {
    EXPECT_EQ(line(Format::json, {{"id", "abc"}, {"attempt", std::uint64_t{3}}}),
              "{\"time\":\"" + queue::to_rfc3339(noon) +
                  "\",\"level\":\"warn\",\"event\":\"deferred\",\"id\":\"abc\",\"attempt\":3}");
}

}  // namespace
}  // namespace postern::log
