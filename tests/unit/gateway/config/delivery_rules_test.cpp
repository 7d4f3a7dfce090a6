// `retry.classes` and `backends.NAME.brake`: the rules of delivery that are mappings of their own.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

std::string with_classes(const std::string& classes) { return "retry: { classes: " + classes + " }\n" + needed; }
std::string with_brake(const std::string& brake) {
    return "domains: { example.com: }\nbackends: { stores: { endpoints: ['127.0.0.1:24'], brake: " + brake + " } }\n";
}

TEST(RetryClasses, WhatIsGivenIsGivenAndTheRestIsLeftOpen) {
    const auto config = good(with_classes("{ busy: { first: 500ms, maximum: 20s }, policy: { factor: 1.5 } }"));
    ASSERT_EQ(config->retry.classes.size(), 2U);
    const RetryClass& busy = config->retry.classes.at("busy");
    EXPECT_EQ(busy.first, 500ms);
    EXPECT_EQ(busy.factor, std::nullopt);
    EXPECT_EQ(busy.maximum, 20s);
    EXPECT_EQ(config->retry.classes.at("policy").factor, 1.5);
}

TEST(RetryClasses, EveryKindIsKnown) {
    for (const char* kind : {"mailbox_full", "busy", "store", "policy", "connection", "other"}) {
        const auto config = good(with_classes("{ " + std::string(kind) + ": { first: 7s } }"));
        EXPECT_EQ(config->retry.classes.at(kind).first, 7s) << kind;
    }
}

TEST(RetryClasses, ASlipIsCorrected) {
    EXPECT_THAT(errors_of(with_classes("{ mailbox_fill: { first: 7s } }")),
                ElementsAre(HasSubstr("did you mean `mailbox_full`?")));
    EXPECT_THAT(errors_of(with_classes("{ busy: { frist: 7s } }")), ElementsAre(HasSubstr("did you mean `first`?")));
}

TEST(RetryClasses, TheFirstDelayIsNotLongerThanTheLongest) {
    EXPECT_THAT(errors_of(with_classes("{ store: { first: 2m, maximum: 1m } }")),
                ElementsAre(HasSubstr("`first` (2m) is longer than `maximum` (1m)")));
}

TEST(RetryClasses, AreMappings) {
    EXPECT_EQ(errors_of(with_classes("5")).size(), 1U);
    EXPECT_EQ(errors_of(with_classes("{ busy: 5s }")).size(), 1U);
}

TEST(BrakeKeys, AreSeenInTheSnapshot) {
    const auto config = good(with_brake("{ failures: 12, recipients: 5, ratio: 0.5, window: 30s }"));
    const Brake& brake = config->backends.at("stores").brake;
    EXPECT_EQ(brake.failures, 12U);
    EXPECT_EQ(brake.recipients, 5U);
    EXPECT_EQ(brake.ratio, 0.5);
    EXPECT_EQ(brake.window, 30s);
}

TEST(BrakeKeys, DefaultsNeedDozensOfFailures) {
    const auto config = good(needed);
    const Brake& brake = config->backends.begin()->second.brake;
    EXPECT_EQ(brake.failures, 50U);
    EXPECT_EQ(brake.recipients, 30U);
    EXPECT_EQ(brake.ratio, 0.8);
    EXPECT_EQ(brake.window, 10min);
}

TEST(BrakeKeys, WhatCannotBeMeantIsRefused) {
    EXPECT_THAT(errors_of(with_brake("{ failures: 10, recipients: 20 }")), ElementsAre(HasSubstr("is more than")));
    EXPECT_THAT(errors_of(with_brake("{ ratio: 1.1 }")), ElementsAre(HasSubstr("`ratio`: expected")));
    EXPECT_THAT(errors_of(with_brake("{ window: 10ms }")), ElementsAre(HasSubstr("`window`: expected")));
    EXPECT_THAT(errors_of(with_brake("{ failure: 10 }")), ElementsAre(HasSubstr("did you mean `failures`?")));
    (void)good(with_brake("{ failures: 0 }"));
}

}  // namespace
}  // namespace postern::config::tests
