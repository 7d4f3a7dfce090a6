// `screening`: its defaults, what it takes, and what cannot be meant.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Screening, LooksUpNamesAndSendersAndAsksNoListsByDefault) {
    const auto screening = good(needed)->screening;
    EXPECT_TRUE(screening.reverse_names);
    EXPECT_TRUE(screening.sender_domains);
    EXPECT_TRUE(screening.block.empty());
    EXPECT_TRUE(screening.allow.empty());
    EXPECT_EQ(screening.refuse_at, 10U);
    EXPECT_EQ(screening.suspect_at, 1U);
    EXPECT_FALSE(screening.greylist.suspicious);
    EXPECT_EQ(screening.greylist.delay, 5min);
    EXPECT_EQ(screening.greylist.retry_within, 48h);
    EXPECT_EQ(screening.greylist.remember, 24h * 35);
    EXPECT_EQ(screening.greylist.maximum, 100'000U);
}

TEST(Screening, TakesListsWithWeightsAndCodes) {
    const auto screening =
        good(
            "screening: { reverse_names: off, sender_domains: off, refuse_at: 20, suspect_at: 3, "
            "block: [{ zone: bad.example }, { zone: worse.example, weight: 4, codes: [127.0.0.2, 127.0.0.3] }], "
            "allow: [{ zone: good.example, weight: 5 }], greylist: { clients: suspicious, delay: 1s } }\n" +
            needed)
            ->screening;
    EXPECT_FALSE(screening.reverse_names);
    EXPECT_FALSE(screening.sender_domains);
    ASSERT_EQ(screening.block.size(), 2U);
    EXPECT_EQ(screening.block[0].zone, "bad.example");
    EXPECT_EQ(screening.block[0].weight, 10U);
    EXPECT_THAT(screening.block[0].codes, testing::IsEmpty());
    EXPECT_EQ(screening.block[1].weight, 4U);
    EXPECT_THAT(screening.block[1].codes, ElementsAre("127.0.0.2", "127.0.0.3"));
    ASSERT_EQ(screening.allow.size(), 1U);
    EXPECT_EQ(screening.allow[0].weight, 5U);
    EXPECT_TRUE(screening.greylist.suspicious);
    EXPECT_EQ(screening.greylist.delay, 1s);
}

TEST(Screening, RefusesWhatCannotBeMeant) {
    EXPECT_THAT(errors_of("screening: { block: [{ weight: 3 }] }\n" + needed),
                ElementsAre(HasSubstr("`zone` is missing")));
    EXPECT_THAT(errors_of("screening: { block: [{ zone: 'http://bad.example/' }] }\n" + needed),
                ElementsAre(HasSubstr("the zone of a list")));
    EXPECT_THAT(errors_of("screening: { allow: [{ zone: good.example, weight: 0 }] }\n" + needed),
                ElementsAre(HasSubstr("`weight`")));
    EXPECT_THAT(errors_of("screening: { block: [{ zone: bad.example, codes: [10.0.0.1] }] }\n" + needed),
                ElementsAre(HasSubstr("an answer of the list")));
    EXPECT_THAT(errors_of("screening: { greylist: { clients: all } }\n" + needed),
                ElementsAre(HasSubstr("suspicious")));
    EXPECT_THAT(warnings_of("screening: { suspect_at: 11 }\n" + needed),
                ElementsAre(HasSubstr("`suspect_at` is more")));
}

}  // namespace
}  // namespace postern::config::tests
