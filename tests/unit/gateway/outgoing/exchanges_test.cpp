#include "gateway/outgoing/exchanges.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace postern::outgoing {
namespace {

using dns::MailExchanger;

dns::Answer found(const std::vector<MailExchanger>& records) {
    dns::Answer answer;
    answer.status = dns::Status::found;
    answer.records.assign(records.begin(), records.end());
    return answer;
}

dns::Answer status(dns::Status status) {
    dns::Answer answer;
    answer.status = status;
    answer.why = "SERVFAIL";
    return answer;
}

/// The hosts in order; or the reply.
std::vector<std::string> exchanges(const dns::Answer& answer, std::uint64_t seed = 1) {
    std::mt19937_64 chance(seed);
    const auto list = exchanges_of("example.org", answer, "MX.example.com", chance);
    if (list.has_error()) {
        return {list.error().to_string().substr(0, 10)};
    }
    std::vector<std::string> hosts;
    for (const Exchange& exchange : *list) {
        hosts.push_back(exchange.host);
    }
    return hosts;
}

using testing::ElementsAre;

// Shows: RFC 5321 5.1
TEST(Exchanges, AreSortedByPreference) {
    EXPECT_THAT(exchanges(found({{20, {"b.example"}}, {10, {"a.example"}}, {30, {"c.example"}}})),
                ElementsAre("a.example", "b.example", "c.example"));
}

// Shows: RFC 5321 5.1
TEST(Exchanges, OfEqualPreferenceTakeTurnsByChance) {
    std::set<std::string> first;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const auto hosts = exchanges(found({{10, {"a.example"}}, {10, {"b.example"}}, {20, {"c.example"}}}), seed);
        ASSERT_EQ(hosts.back(), "c.example");
        first.insert(hosts.front());
    }
    EXPECT_THAT(first, ElementsAre("a.example", "b.example"));
}

// Shows: RFC 5321 5.1
TEST(Exchanges, WithoutARecordAreTheDomainItself) {
    EXPECT_THAT(exchanges(status(dns::Status::no_data)), ElementsAre("example.org"));
}

// Shows: RFC 5321 5.1
TEST(Exchanges, ThatAreNoBetterThanOurselvesAreLeftOut) {
    EXPECT_THAT(
        exchanges(found({{10, {"a.example"}}, {20, {"mx.example.com"}}, {20, {"b.example"}}, {30, {"c.example"}}})),
        ElementsAre("a.example"));
    EXPECT_THAT(exchanges(found({{10, {"mx.example.com"}}, {20, {"b.example"}}})), ElementsAre("554 5.4.6 "));
}

// Shows: RFC 7505 3
TEST(Exchanges, OfANullMxAreNoneForGood) {
    EXPECT_THAT(exchanges(found({{0, {""}}})), ElementsAre("556 5.1.10"));
    EXPECT_THAT(exchanges(found({{0, {""}}, {10, {"a.example"}}})), ElementsAre("a.example")) << "not the only record";
}

TEST(Exchanges, AreTheBestTenOfAnyNumber) {
    std::vector<MailExchanger> records;
    for (std::uint16_t i = 0; i < 1000; ++i) {
        const auto preference = static_cast<std::uint16_t>(1000 - i);
        records.push_back({preference, {"mx" + std::to_string(preference) + ".example"}});
    }
    const auto hosts = exchanges(found(records));
    ASSERT_EQ(hosts.size(), 10U);
    EXPECT_EQ(hosts.front(), "mx1.example");
    EXPECT_EQ(hosts.back(), "mx10.example");
}

TEST(Exchanges, ThatAreNoHostNamesAreNone) {
    EXPECT_THAT(exchanges(found({{0, {"192.0.2.1"}}, {1, {"a\\010b.example"}}, {2, {"a.example"}}})),
                ElementsAre("a.example"));
    EXPECT_THAT(exchanges(found({{0, {"192.0.2.1"}}})), ElementsAre("550 5.4.4 "));
}

TEST(Exchanges, OfADomainThatIsNotThereAreNoneForGoodAndWhenNothingIsKnownForNow) {
    EXPECT_THAT(exchanges(status(dns::Status::no_such_name)), ElementsAre("550 5.1.2 "));
    EXPECT_THAT(exchanges(status(dns::Status::failed)), ElementsAre("451 4.4.3 "));
    EXPECT_THAT(exchanges(status(dns::Status::bogus)), ElementsAre("451 4.4.3 "));
}

}  // namespace
}  // namespace postern::outgoing
