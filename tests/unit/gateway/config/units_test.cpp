// Durations and sizes as people write them: what is one, and what is corrected.
#include "gateway/config/detail/units.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace postern::config::detail {
namespace {

using namespace std::chrono_literals;

TEST(Durations, OneUnitEach) {
    EXPECT_EQ(*parse_duration("500ms"), 500ms);
    EXPECT_EQ(*parse_duration("30s"), 30s);
    EXPECT_EQ(*parse_duration("5m"), 5min);
    EXPECT_EQ(*parse_duration("4h"), 4h);
    EXPECT_EQ(*parse_duration("5d"), 120h);
    EXPECT_EQ(*parse_duration("0"), 0ms);
    EXPECT_EQ(*parse_duration("0s"), 0ms);
}

TEST(Durations, BadFormsWithWhatWasMeant) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"30", "30s"},  {"30 s", "30s"},  {"5min", "5m"}, {"5 minutes", "5m"},  {"1 hour", "1h"}, {"2days", "2d"},
        {"30S", "30s"}, {"10sec", "10s"}, {"1H", "1h"},   {"200msec", "200ms"}, {"", ""},         {"s", ""},
        {"1.5h", ""},   {"-1s", ""},      {"1h30m", ""},  {"05s", ""},          {"1e3s", ""},     {"5M", ""},
        {"1w", ""},     {"infinite", ""}, {"+5s", ""},    {"5s ", ""},          {" 5s", ""},      {"5 ", "5s"},
    };
    for (const auto& [written, meant] : forms) {
        const auto parsed = parse_duration(written);
        ASSERT_FALSE(parsed.has_value()) << written;
        if (written != "5s ") {
            EXPECT_EQ(parsed.error().meant, meant) << written;
        }
    }
}

TEST(Durations, TooLargeIsAnErrorNotAnOverflow) {
    for (const char* text :
         {"99999999999999999999s", "9223372036854775807d", "106751991168d", "9223372036854775808ms"}) {
        const auto parsed = parse_duration(text);
        ASSERT_FALSE(parsed.has_value()) << text;
        EXPECT_EQ(parsed.error().kind, UnitError::Kind::too_large) << text;
    }
    EXPECT_EQ(parse_duration("9223372036854775807ms")->count(), std::numeric_limits<std::int64_t>::max());
}

TEST(Sizes, BytesOrOneUnit) {
    EXPECT_EQ(*parse_size("0"), 0U);
    EXPECT_EQ(*parse_size("1000"), 1000U);
    EXPECT_EQ(*parse_size("64KiB"), 65536U);
    EXPECT_EQ(*parse_size("50MiB"), 50ULL << 20);
    EXPECT_EQ(*parse_size("2GiB"), 2ULL << 30);
    EXPECT_EQ(*parse_size("1TiB"), 1ULL << 40);
}

TEST(Sizes, BadFormsWithWhatWasMeant) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"64K", "64KiB"},   {"64kb", "64KiB"}, {"50 MB", "50MiB"}, {"50mib", "50MiB"}, {"1g", "1GiB"},
        {"10 bytes", "10"}, {"10b", "10"},     {"", ""},           {"KiB", ""},        {"-1", ""},
        {"1.5MiB", ""},     {"064", ""},       {"0x10", ""},       {"1e6", ""},        {"10PiB", ""},
    };
    for (const auto& [written, meant] : forms) {
        const auto parsed = parse_size(written);
        ASSERT_FALSE(parsed.has_value()) << written;
        EXPECT_EQ(parsed.error().meant, meant) << written;
    }
}

TEST(Sizes, TooLargeIsAnErrorNotAnOverflow) {
    for (const char* text : {"18446744073709551616", "16777216TiB", "99999999999999999999GiB"}) {
        const auto parsed = parse_size(text);
        ASSERT_FALSE(parsed.has_value()) << text;
        EXPECT_EQ(parsed.error().kind, UnitError::Kind::too_large) << text;
    }
    EXPECT_EQ(*parse_size("18446744073709551615"), std::numeric_limits<std::uint64_t>::max());
}

TEST(Units, AreShownInTheLargestThatFits) {
    EXPECT_EQ(to_text(std::chrono::milliseconds(0)), "0");
    EXPECT_EQ(to_text(1500ms), "1500ms");
    EXPECT_EQ(to_text(90min), "90m");
    EXPECT_EQ(to_text(24h), "1d");
    EXPECT_EQ(size_to_text(65536), "64KiB");
    EXPECT_EQ(size_to_text(65537), "65537");
    EXPECT_EQ(size_to_text(1ULL << 50), "1024TiB");
}

}  // namespace
}  // namespace postern::config::detail
