// RFC 3339 in and out, RFC 5322 out.
#include "queue/time.hpp"

#include <gtest/gtest.h>

namespace postern::queue {
namespace {

TEST(Time, ReadsBackWhatItWrites) {
    for (const std::int64_t milliseconds :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{1787307072345}, std::int64_t{951782400000},
          std::int64_t{253402300799999}}) {
        const Instant instant{Duration(milliseconds)};
        EXPECT_EQ(parse_rfc3339(to_rfc3339(instant)), instant) << to_rfc3339(instant);
    }
    EXPECT_EQ(to_rfc3339(Instant()), "1970-01-01T00:00:00.000Z");
}

TEST(Time, ReadsOffsetsFractionsAndSmallLetters) {
    const auto noon = parse_rfc3339("2026-08-21T12:00:00Z");
    ASSERT_TRUE(noon);
    EXPECT_EQ(parse_rfc3339("2026-08-21t12:00:00z"), noon);
    EXPECT_EQ(parse_rfc3339("2026-08-21T13:30:00+01:30"), noon);
    EXPECT_EQ(parse_rfc3339("2026-08-20T23:59:00-12:01"), noon);
    EXPECT_EQ(parse_rfc3339("2026-08-21T12:00:00.5Z"), *noon + Duration(500));
    EXPECT_EQ(parse_rfc3339("2026-08-21T12:00:00.1239999Z"), *noon + Duration(123));
    EXPECT_EQ(parse_rfc3339("2016-12-31T23:59:60Z"), parse_rfc3339("2017-01-01T00:00:00Z"));
    EXPECT_TRUE(parse_rfc3339("2024-02-29T00:00:00Z"));
}

TEST(Time, RefusesWhatIsNone) {
    for (const char* text :
         {"", "2026", "2026-08-21", "2026-08-21 12:00:00Z", "2026-08-21T12:00:00", "2026-08-21T24:00:00Z",
          "2026-08-21T12:60:00Z", "2026-08-21T12:00:61Z", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
          "2026-08-21T12:00:00.Z", "2026-08-21T12:00:00Zx", "2026-08-21T12:00:00+24:00", "2026-08-21T12:00:00+0100",
          "-026-08-21T12:00:00Z", "2026-08-21T12:00:0\xc2\xb2Z", "99999999999999999999"}) {
        EXPECT_FALSE(parse_rfc3339(text)) << text;
    }
}

// Shows: RFC 5322 3.3
TEST(Time, WritesTheDateOfAField) {
    const auto written = [](const char* text) { return to_rfc5322(*parse_rfc3339(text)); };
    EXPECT_EQ(written("2026-08-21T10:11:12Z"), "Fri, 21 Aug 2026 10:11:12 +0000");
    EXPECT_EQ(written("2026-08-21T10:11:12.999Z"), "Fri, 21 Aug 2026 10:11:12 +0000");
    EXPECT_EQ(written("2024-02-29T23:59:59Z"), "Thu, 29 Feb 2024 23:59:59 +0000");
    EXPECT_EQ(written("2027-01-03T00:00:00Z"), "Sun, 3 Jan 2027 00:00:00 +0000");
    EXPECT_EQ(written("1969-12-31T23:59:59.999Z"), "Wed, 31 Dec 1969 23:59:59 +0000");
}

}  // namespace
}  // namespace postern::queue
