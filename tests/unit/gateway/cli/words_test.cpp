#include "gateway/cli/words.hpp"

#include <gtest/gtest.h>

namespace postern::cli {
namespace {

using namespace std::chrono_literals;

constexpr queue::Instant now{std::chrono::milliseconds(1'787'306'400'000)};  // 2026-08-21T10:00:00Z

TEST(Words, SpansHaveTwoUnits) {
    EXPECT_EQ(span(0ms), "0s");
    EXPECT_EQ(span(-5s), "0s");
    EXPECT_EQ(span(999ms), "0s");
    EXPECT_EQ(span(45s), "45s");
    EXPECT_EQ(span(60s), "1m");
    EXPECT_EQ(span(250s), "4m10s");
    EXPECT_EQ(span(2h + 3min + 59s), "2h3m");
    EXPECT_EQ(span(24h * 3 + 4h), "3d4h");
}

TEST(Words, ATimeAheadIsToldInWords) {
    EXPECT_EQ(until(now, now), "now");
    EXPECT_EQ(until(now - 1h, now), "now");
    EXPECT_EQ(until_with_time(now + 250s, now), "in 4m10s, 10:04:10Z");
    EXPECT_EQ(until_with_time(now + 24h, now), "in 1d, 2026-08-22T10:00:00Z");
}

TEST(Words, SizesHaveTheUnitThatFits) {
    EXPECT_EQ(size(0), "0 B");
    EXPECT_EQ(size(1023), "1023 B");
    EXPECT_EQ(size(4096), "4.0 KiB");
    EXPECT_EQ(size(50ULL << 20), "50.0 MiB");
    EXPECT_EQ(size(5ULL << 50), "5120.0 TiB");
}

TEST(Words, SpansAreReadAsInTheConfiguration) {
    EXPECT_EQ(parse_span("500ms"), std::optional<queue::Duration>(500ms));
    EXPECT_EQ(parse_span("30s"), std::optional<queue::Duration>(30s));
    EXPECT_EQ(parse_span("5m"), std::optional<queue::Duration>(5min));
    EXPECT_EQ(parse_span("4h"), std::optional<queue::Duration>(4h));
    EXPECT_EQ(parse_span("5d"), std::optional<queue::Duration>(120h));
    for (const char* bad :
         {"", "5", "m", "-5m", "+5m", "5 m", "5m ", "5w", "5M", "99999999999999999999d", "99999999d"}) {
        EXPECT_EQ(parse_span(bad), std::nullopt) << bad;
    }
}

TEST(Words, CuttingCountsCodePoints) {
    EXPECT_EQ(columns("\xc3\xa4\xc3\xb6\xc3\xbc"), 3U);
    EXPECT_EQ(cut("abcdef", 6), "abcdef");
    EXPECT_EQ(cut("abcdefg", 6), "abc...");
    EXPECT_EQ(cut("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f"
                  "efg",
                  6),
              "\xc3\xa4\xc3\xb6\xc3\xbc...");
    EXPECT_EQ(cut("abcdef", 2), "..");
    EXPECT_EQ(pad_right("\xc3\xa4", 3), "\xc3\xa4  ");
    EXPECT_EQ(pad_left("7", 3), "  7");
}

}  // namespace
}  // namespace postern::cli
