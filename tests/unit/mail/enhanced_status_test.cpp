#include "queue/mail/enhanced_status.hpp"

#include <gtest/gtest.h>

namespace postern::mail {
namespace {

// Shows: RFC 3463 section 2
TEST(EnhancedStatus, ReadsAndWritesCodes) {
    for (const char* text : {"2.0.0", "4.2.2", "5.7.999", "5.999.0"}) {
        const auto status = EnhancedStatus::parse(text);
        ASSERT_TRUE(status.has_value()) << text;
        EXPECT_EQ(status->to_string(), text);
    }
    EXPECT_EQ(EnhancedStatus::parse("4.3.21"), EnhancedStatus(4, 3, 21));
}

TEST(EnhancedStatus, RefusesWhatIsNoCode) {
    for (const char* text : {"",       "2",       "2.",       "2.1",      "2.1.",   ".1.1",   "3.0.0",  "1.0.0",
                             "0.0.0",  "22.0.0",  "5.1000.0", "5.0.1000", "5.01.1", "5.1.01", "5.00.0", "5.1.1 ",
                             " 5.1.1", "5.1.1.1", "5,1,1",    "-5.1.1",   "5.-1.1", "5.a.1"}) {
        EXPECT_FALSE(EnhancedStatus::parse(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace postern::mail
