// What is refused because no store of the backend could take it.
#include "gateway/acceptance/abilities.hpp"

#include <gtest/gtest.h>

namespace postern::acceptance {
namespace {

using recipients::Abilities;

mail::Mailbox mailbox(std::string_view text) { return *mail::Mailbox::parse(text, mail::Utf8::allowed); }

class AbilitiesTest : public ::testing::Test {
protected:
    AbilitiesTest() {
        policy.abilities_of = [this](const std::string& backend) -> std::optional<Abilities> {
            const auto found = stores.find(backend);
            return found == stores.end() ? std::nullopt : std::optional(found->second);
        };
    }
    std::string at_rcpt(const std::string& recipient, std::uint64_t size = 0, std::string_view sender = "a@b.example") {
        smtp_server::MailCommand command;
        command.sender = mail::ReversePath(mailbox(sender));
        command.size = size;
        command.smtputf8 = command.body_8bit = true;
        const auto refusal = unable_to_take(policy, command, Taken{mailbox(recipient), "plain"});
        return refusal ? refusal->to_string().substr(0, 9) : "taken";
    }
    std::string at_the_dot(const std::vector<std::string>& backends) {
        std::vector<queue::Recipient> recipients;
        for (const std::string& backend : backends) {
            recipients.emplace_back(mailbox("ann@example.com"));
            recipients.back().backend = backend;
        }
        const auto refusal = unable_to_take(policy, envelope, recipients);
        return refusal ? refusal->to_string().substr(0, 9) : "taken";
    }

    std::map<std::string, Abilities> stores{{"plain", {false, false, 1000}}, {"able", {true, true, 0}}};
    Policy policy;
    queue::Envelope envelope;
};

// Shows: RFC 1870 section 6.1, RFC 6531 section 3.5
TEST_F(AbilitiesTest, TheEnvelopeIsJudgedAtRcpt) {
    EXPECT_EQ(at_rcpt("ann@example.com"), "taken") << "what was declared may not be used";
    EXPECT_EQ(at_rcpt("ann@example.com", 1000), "taken");
    EXPECT_EQ(at_rcpt("ann@example.com", 1001), "552 5.3.4");
    EXPECT_EQ(at_rcpt("\u00e9@example.com"), "553 5.6.7");
    EXPECT_EQ(at_rcpt("ann@example.com", 0, "\u00e9@b.example"), "550 5.6.7");
    stores["plain"] = {true, false, 0};
    EXPECT_EQ(at_rcpt("\u00e9@example.com", 1U << 30, "\u00e9@b.example"), "taken");
    stores.clear();
    EXPECT_EQ(at_rcpt("\u00e9@example.com", 1U << 30), "taken") << "nothing is known";
}

// Shows: RFC 6152 section 3
TEST_F(AbilitiesTest, TheContentIsJudgedAtTheDot) {
    envelope.size = 1000;
    envelope.smtputf8 = true;
    EXPECT_EQ(at_the_dot({"plain"}), "taken");
    envelope.has_8bit = true;
    EXPECT_EQ(at_the_dot({"plain"}), "550 5.6.7");
    envelope.smtputf8 = false;
    EXPECT_EQ(at_the_dot({"plain", "plain"}), "554 5.6.3");
    envelope.has_8bit = false;
    envelope.size = 1001;
    EXPECT_EQ(at_the_dot({"plain"}), "552 5.3.4");
}

TEST_F(AbilitiesTest, OneWhoMayBeAbleIsEnough) {
    envelope.has_8bit = true;
    EXPECT_EQ(at_the_dot({"plain", "able"}), "taken");
    EXPECT_EQ(at_the_dot({"plain", "not known"}), "taken");
    EXPECT_EQ(at_the_dot({"plain"}), "554 5.6.3");
}

}  // namespace
}  // namespace postern::acceptance
