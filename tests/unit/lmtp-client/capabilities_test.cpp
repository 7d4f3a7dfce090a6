#include "lmtp-client/detail/capabilities.hpp"

#include <gtest/gtest.h>

namespace postern::lmtp_client::detail {
namespace {

Capabilities capabilities_in(std::string text) { return Capabilities::read(mail::Reply(250, std::move(text))); }

TEST(Capabilities, ReadsKeywordsInAnyCase) {
    const auto got = capabilities_in(
        "store.example.com\nPIPELINING\nchunking\n8BitMime\nSMTPUTF8\nDSN\nSIZE 1000\nRequireTLS\nENHANCEDSTATUSCODES");
    EXPECT_TRUE(got.pipelining);
    EXPECT_TRUE(got.chunking);
    EXPECT_TRUE(got.eight_bit_mime);
    EXPECT_TRUE(got.smtputf8);
    EXPECT_TRUE(got.dsn);
    EXPECT_TRUE(got.require_tls);
    EXPECT_TRUE(got.size);
    EXPECT_EQ(got.size_max, 1000u);
}

TEST(Capabilities, TakesTheFirstLineForAName) {
    const auto got = capabilities_in("PIPELINING\nSIZE");
    EXPECT_FALSE(got.pipelining);
    EXPECT_TRUE(got.size);
    EXPECT_EQ(got.size_max, 0u);
    EXPECT_FALSE(capabilities_in("PIPELINING").pipelining);
}

TEST(Capabilities, PassesOverWhatItCannotRead) {
    const auto got = capabilities_in(
        "x\n\n   \nPIPELININGS\nX-PIPELINING\nSIZE 12q\nLIMITS RCPTMAX=0 RCPTMAX= MAILMAX=5 =\nCHUNKING extra");
    EXPECT_FALSE(got.pipelining);
    EXPECT_EQ(got.size_max, 0u);
    EXPECT_FALSE(got.recipients_max.has_value());
    EXPECT_TRUE(got.chunking);
}

// Shows: RFC 3207 section 4, RFC 4954 section 3
TEST(Capabilities, ReadsEncryptionAndLogin) {
    const auto got = capabilities_in("x\nstarttls\nAUTH LOGIN plain CRAM-MD5");
    EXPECT_TRUE(got.starttls);
    EXPECT_EQ(got.login, "PLAIN");
    EXPECT_EQ(capabilities_in("x\nAUTH PLAIN SCRAM-SHA-1 scram-sha-256 SCRAM-SHA-256-PLUS").login, "SCRAM-SHA-256");
    EXPECT_EQ(capabilities_in("x\nAUTH SCRAM-SHA-1 PLAIN").login, "SCRAM-SHA-1");
    EXPECT_EQ(capabilities_in("x\nAUTH LOGIN PLAIN-CLIENTTOKEN").login, "");
    EXPECT_EQ(capabilities_in("x\nXSTARTTLS\nAUTH=PLAIN").login, "");
}

// Shows: RFC 9422 section 4
TEST(Capabilities, ReadsTheLimitOfRecipients) {
    EXPECT_EQ(capabilities_in("x\nLIMITS MAILMAX=9 rcptmax=20").recipients_max, 20u);
}

}  // namespace
}  // namespace postern::lmtp_client::detail
