// Which recipients are taken: ours, postmaster, and nobody by a detour.
#include "gateway/acceptance/policy.hpp"

#include <gtest/gtest.h>

namespace postern::acceptance {
namespace {

Policy policy() {
    return Policy{"mx.example.com", "example.com", [](const mail::Mailbox& address) -> std::optional<std::string> {
                      if (address.domain_key() == "example.com") {
                          return "main";
                      }
                      return std::nullopt;
                  }};
}

smtp_server::RcptCommand rcpt(std::string_view address, bool bare_postmaster = false) {
    auto mailbox = mail::Mailbox::parse(address, mail::Utf8::allowed);
    EXPECT_TRUE(mailbox) << address;
    return smtp_server::RcptCommand{std::move(*mailbox), bare_postmaster, {}};
}

TEST(RefusalNow, SaysLaterForABackendThatTakesNothingWithoutSayingWhy) {
    Policy some = policy();
    EXPECT_FALSE(refusal_now(some, "main"));
    some.refused_now = [](const std::string& backend) {
        return backend == "main" ? std::optional<std::string>("its stores have been down for 14400 s") : std::nullopt;
    };
    EXPECT_FALSE(refusal_now(some, "other"));
    const auto refusal = refusal_now(some, "main");
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->code(), 451);
    EXPECT_EQ(refusal->status(), mail::EnhancedStatus(4, 4, 1));
    EXPECT_EQ(refusal->to_string().find("14400"), std::string::npos);
}

TEST(TlsRefusal, IsForWhatRequiresTlsAndCannotHaveIt) {
    Policy some = policy();
    some.is_confidential = [](const std::string& backend) { return backend == "main"; };
    smtp_server::MailCommand mail;
    mail.sender = mail::ReversePath(*mail::Mailbox::parse("a@example.org", mail::Utf8::refused));
    EXPECT_FALSE(tls_refusal(some, mail, "other"));
    mail.require_tls = true;
    EXPECT_FALSE(tls_refusal(some, mail, "main"));
    const auto refusal = tls_refusal(some, mail, "other");
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal->to_string().substr(0, 10), "550 5.7.30");
    EXPECT_TRUE(tls_refusal(policy(), mail, "main")) << "nobody has said that it is";
    mail.sender = {};
    EXPECT_FALSE(tls_refusal(some, mail, "other")) << "a report";
}

TEST(TakeRecipient, TakesOursWithTheBackendThatServesThem) {
    const auto taken = take_recipient(policy(), rcpt("Someone+tag@EXAMPLE.com"));
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->address.to_string(), "Someone+tag@EXAMPLE.com");
    EXPECT_EQ(taken->backend, "main");
}

TEST(TakeRecipient, TakesABarePostmasterWhereverTheHostnameLies) {
    const auto taken = take_recipient(policy(), rcpt("PostMaster@mx.example.com", true));
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->address.to_string(), "PostMaster@example.com");
    EXPECT_FALSE(take_recipient(policy(), rcpt("postmaster@mx.example.com")));
}

TEST(TakeRecipient, RelaysForNobodyByAnyDetour) {
    for (const char* address : {
             "user@example.net",              // plain
             "user@sub.example.com",          // a child is not the domain
             "user@example.com.example.net",  // nor is a suffix
             "user@notexample.com",           //
             "user@[192.0.2.1]",              // an address literal, even our own
             "user@[IPv6:2001:db8::1]",       //
             "user%example.net@example.com",  // percent hack
             "user%example.net%example.com@example.com",
             "example.net!user@example.com",        // bang path
             "\"user@example.net\"@example.com",    // an at-sign in quotes
             "\"user\\@example.net\"@example.com",  //
             "\"user%example.net\"@example.com",    //
             "user@ex\xd0\xb0mple.com",             // a Cyrillic look-alike
         }) {
        const auto taken = take_recipient(policy(), rcpt(address));
        ASSERT_FALSE(taken) << address;
        EXPECT_EQ(taken.error().code(), 550) << address;
        EXPECT_EQ(taken.error().status(), mail::EnhancedStatus(5, 7, 1)) << address;
    }
}

TEST(TakeRecipient, TakesOtherOddButHarmlessLocalParts) {
    for (const char* address :
         {"\"two words\"@example.com", "o'brien@example.com", "#&*+/=?^_`{|}~$@example.com", "a.b@example.com"}) {
        EXPECT_TRUE(take_recipient(policy(), rcpt(address))) << address;
    }
}

TEST(TakeRecipient, TrustedClientsMaySendToAnyDomainWhenThereIsAWayOut) {
    Policy open = policy();
    open.outgoing = "outgoing";
    const auto out = take_recipient(open, rcpt("ann@elsewhere.example"), Client::trusted);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->backend, "outgoing");
    EXPECT_EQ(take_recipient(open, rcpt("ann@example.com"), Client::trusted)->backend, "main");
    EXPECT_FALSE(take_recipient(open, rcpt("ann@elsewhere.example"), Client::anybody));
    EXPECT_FALSE(take_recipient(policy(), rcpt("ann@elsewhere.example"), Client::trusted)) << "there is no way out";
}

}  // namespace
}  // namespace postern::acceptance
