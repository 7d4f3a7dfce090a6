#include "gateway/screening/triplets.hpp"

#include <gtest/gtest.h>

namespace postern::screening {
namespace {

using namespace std::chrono_literals;
using queue::Duration;
using queue::Instant;

class TripletsTest : public testing::Test {
protected:
    std::optional<Duration> ask(const std::string& sender = "a@example.org") {
        return triplets_.ask(triplets_.key_of("192.0.2.7", sender, "u@example.com"), now_, rules_);
    }

    GreylistRules rules_;
    Triplets triplets_{4711};
    Instant now_{Duration(1'800'000'000'000)};
};

TEST_F(TripletsTest, AsksToComeAgainAndLetsPassWhoDoes) {
    EXPECT_EQ(ask(), 5min);
    now_ += 2min;
    EXPECT_EQ(ask(), 3min) << "too early, and it does not begin anew";
    now_ += 3min;
    EXPECT_EQ(ask(), std::nullopt);
    now_ += 24h * 34;
    EXPECT_EQ(ask(), std::nullopt) << "known";
    now_ += 24h * 34;
    EXPECT_EQ(ask(), std::nullopt) << "each visit renews it";
    now_ += 24h * 36;
    EXPECT_EQ(ask(), 5min) << "away for too long";
}

TEST_F(TripletsTest, BeginsAnewForWhoComesAgainTooLate) {
    EXPECT_EQ(ask(), 5min);
    now_ += 49h;
    EXPECT_EQ(ask(), 5min);
    now_ += 5min;
    EXPECT_EQ(ask(), std::nullopt);
}

TEST_F(TripletsTest, DoesNotMakeAnybodyWaitForAClockThatWasSetBack) {
    EXPECT_EQ(ask(), 5min);
    now_ -= 24h * 365;
    EXPECT_EQ(ask(), 5min);
    now_ += 5min;
    EXPECT_EQ(ask(), std::nullopt);
}

TEST_F(TripletsTest, TellsNetworksSendersAndRecipientsApart) {
    const auto key = [this](const char* client, const char* sender, const char* recipient) {
        return triplets_.key_of(client, sender, recipient);
    };
    const auto one = key("192.0.2.7", "a@example.org", "u@example.com");
    EXPECT_EQ(one, key("192.0.2.200", "A@Example.ORG", "U@example.com")) << "a neighbour, in other letters";
    EXPECT_NE(one, key("192.0.3.7", "a@example.org", "u@example.com"));
    EXPECT_NE(one, key("192.0.2.7", "b@example.org", "u@example.com"));
    EXPECT_NE(one, key("192.0.2.7", "a@example.org", "v@example.com"));
    EXPECT_NE(one, key("192.0.2.7", "a@example.orgu", "@example.com"));
    EXPECT_EQ(key("2001:db8:0:1::1", "", "u"), key("2001:db8:0:1:ffff::2", "", "u"));
    EXPECT_NE(key("2001:db8:0:1::1", "", "u"), key("2001:db8:0:2::1", "", "u"));
    EXPECT_NE(one, Triplets(1).key_of("192.0.2.7", "a@example.org", "u@example.com")) << "another seed";
}

TEST_F(TripletsTest, LetsPassWhoIsNewWhenThereIsNoRoom) {
    rules_.maximum = 3;
    for (const char* sender : {"a@example.org", "b@example.org", "c@example.org"}) {
        EXPECT_EQ(ask(sender), 5min);
        EXPECT_FALSE(triplets_.is_full());
    }
    EXPECT_EQ(ask("d@example.org"), std::nullopt);
    EXPECT_TRUE(triplets_.is_full());
    EXPECT_EQ(triplets_.size(), 3U);
    EXPECT_EQ(ask("a@example.org"), 5min) << "who is known to wait waits";
    now_ += 49h;
    EXPECT_EQ(ask("d@example.org"), 5min) << "the old ones have gone";
    EXPECT_EQ(triplets_.size(), 1U);
    EXPECT_FALSE(triplets_.is_full());
}

TEST_F(TripletsTest, ComeBackFromTheirFile) {
    EXPECT_EQ(ask("a@example.org"), 5min);
    now_ += 5min;
    EXPECT_EQ(ask("a@example.org"), std::nullopt);
    EXPECT_EQ(ask("b@example.org"), 5min);
    auto read = Triplets::read(triplets_.write());
    ASSERT_TRUE(read);
    triplets_ = std::move(*read);
    EXPECT_EQ(triplets_.size(), 2U);
    now_ += 2min;
    EXPECT_EQ(ask("a@example.org"), std::nullopt);
    EXPECT_EQ(ask("b@example.org"), 3min);
}

TEST_F(TripletsTest, AreNotReadFromADamagedFile) {
    EXPECT_EQ(ask("a@example.org"), 5min);
    EXPECT_EQ(ask("b@example.org"), 5min);
    const std::string whole = triplets_.write();
    for (std::size_t octets = 0; octets < whole.size(); ++octets) {
        EXPECT_FALSE(Triplets::read(whole.substr(0, octets))) << octets;
        std::string flipped = whole;
        flipped[octets] = static_cast<char>(flipped[octets] ^ 1);
        EXPECT_FALSE(Triplets::read(flipped)) << octets;
    }
    EXPECT_FALSE(Triplets::read(whole + "x"));
}

}  // namespace
}  // namespace postern::screening
