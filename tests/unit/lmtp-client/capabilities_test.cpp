#include "lmtp-client/detail/capabilities.hpp"

#include <gtest/gtest.h>

namespace postern::lmtp_client::detail {
namespace {

Capabilities read(std::string text) { return Capabilities::read(mail::Reply(250, std::move(text))); }

TEST(Capabilities, ReadsKeywordsInAnyCase) {
    const auto got =
        read("store.example.com\nPIPELINING\nchunking\n8BitMime\nSMTPUTF8\nDSN\nSIZE 1000\nENHANCEDSTATUSCODES");
    EXPECT_TRUE(got.pipelining);
    EXPECT_TRUE(got.chunking);
    EXPECT_TRUE(got.eight_bit_mime);
    EXPECT_TRUE(got.smtputf8);
    EXPECT_TRUE(got.dsn);
    EXPECT_TRUE(got.size);
    EXPECT_EQ(got.size_max, 1000u);
}

TEST(Capabilities, TakesTheFirstLineForAName) {
    const auto got = read("PIPELINING\nSIZE");
    EXPECT_FALSE(got.pipelining);
    EXPECT_TRUE(got.size);
    EXPECT_EQ(got.size_max, 0u);
    EXPECT_FALSE(read("PIPELINING").pipelining);
}

TEST(Capabilities, PassesOverWhatItCannotRead) {
    const auto got =
        read("x\n\n   \nPIPELININGS\nX-PIPELINING\nSIZE 12q\nLIMITS RCPTMAX=0 RCPTMAX= MAILMAX=5 =\nCHUNKING extra");
    EXPECT_FALSE(got.pipelining);
    EXPECT_EQ(got.size_max, 0u);
    EXPECT_FALSE(got.recipients_max.has_value());
    EXPECT_TRUE(got.chunking);
}

// Shows: RFC 9422 section 4
TEST(Capabilities, ReadsTheLimitOfRecipients) { EXPECT_EQ(read("x\nLIMITS MAILMAX=9 rcptmax=20").recipients_max, 20u); }

}  // namespace
}  // namespace postern::lmtp_client::detail
