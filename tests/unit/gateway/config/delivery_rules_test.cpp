// `retry.classes` and `backends.NAME.brake`: the rules of delivery that are mappings of their own.
#include <gtest/gtest.h>

#include <algorithm>

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

TEST(Bounces, WhatIsGivenIsGiven) {
    const auto config = good(
        "bounces: { send: always, relay: 'smtp://[::1]:2525', from: Bounce@example.net, per_domain: 3 }\n"
        "retry: { delay_notice: 2h }\n" +
        needed);
    EXPECT_EQ(config->bounces.send, Bounces::Send::always);
    ASSERT_TRUE(config->bounces.relay);
    EXPECT_EQ(config->bounces.relay->to_string(), "[::1]:2525");
    EXPECT_EQ(config->bounces.from, "Bounce@example.net");
    EXPECT_EQ(config->bounces.per_domain, 3U);
    EXPECT_EQ(config->retry.delay_notice, 2h);
}

TEST(Bounces, ByDefaultOnlyTheVerifiedAreToldAndPostmasterSpeaks) {
    const auto config = good(needed);
    EXPECT_EQ(config->bounces.send, Bounces::Send::verified);
    EXPECT_FALSE(config->bounces.relay);
    EXPECT_EQ(config->bounces.way, Bounces::Way::mx);
    EXPECT_EQ(config->bounces.port, 25U);
    EXPECT_TRUE(config->bounces.tls.empty());
    EXPECT_EQ(config->bounces.from, "postmaster@example.com");
    EXPECT_EQ(config->retry.delay_notice, 4h);
}

TEST(Bounces, GoStraightToTheMxOrNowhere) {
    const auto config = good(
        "bounces: { port: 2525, tls: { Example.ORG: required, b.example: opportunistic }, connections: 50, "
        "connections_per_domain: 3, never_to: [10.0.0.0/8, '::1'] }\n" +
        needed);
    EXPECT_EQ(config->bounces.port, 2525U);
    EXPECT_EQ(config->bounces.tls.at("example.org"), Encryption::required);
    EXPECT_EQ(config->bounces.tls.at("b.example"), Encryption::opportunistic);
    EXPECT_EQ(config->bounces.connections, 50U);
    EXPECT_EQ(config->bounces.connections_per_domain, 3U);
    EXPECT_EQ(config->bounces.never_to.size(), 2U);
    EXPECT_EQ(good("bounces: { relay: none }\n" + needed)->bounces.way, Bounces::Way::none);
    EXPECT_TRUE(good("bounces: { never_to: [] }\n" + needed)->bounces.never_to.empty());
}

TEST(Bounces, NeverGoToThisMachineUnlessTheFileSaysSo) {
    const auto never = good(needed)->bounces.never_to;
    for (const char* ip : {"127.0.0.1", "127.8.9.1", "0.0.0.0", "169.254.1.1", "224.0.0.1", "255.255.255.255",
                           "::", "::1", "fe80::1", "ff02::1", "::ffff:127.0.0.1"}) {
        EXPECT_TRUE(std::any_of(never.begin(), never.end(), [&](const Network& network) {
            return network.contains(ip);
        })) << ip;
    }
    for (const char* ip : {"192.0.2.1", "10.0.0.1", "223.255.255.255", "2001:db8::1", "::2"}) {
        EXPECT_TRUE(std::none_of(never.begin(), never.end(), [&](const Network& network) {
            return network.contains(ip);
        })) << ip;
    }
}

TEST(Bounces, RefusesWhatIsOfTheOtherWay) {
    EXPECT_THAT(texts(load("bounces: { relay: 'smtp://relay.example.net:25', tls: { a.example: required } }\n" + needed)
                          .warnings),
                ElementsAre(HasSubstr("`tls` has no effect")));
    EXPECT_THAT(errors_of("bounces: { relay: none, relay_tls: required }\n" + needed),
                ElementsAre(HasSubstr("without a `relay`")));
    EXPECT_THAT(errors_of("bounces: { tls: { a.example: off } }\n" + needed),
                ElementsAre(HasSubstr("expected required or opportunistic")));
    EXPECT_THAT(errors_of("bounces: { tls: { 'a b': required } }\n" + needed),
                ElementsAre(HasSubstr("expected a domain")));
    EXPECT_THAT(errors_of("bounces: { tls: required }\n" + needed), ElementsAre(HasSubstr("expected a mapping")));
}

TEST(Bounces, RefusesWhatCannotBeMeant) {
    EXPECT_THAT(errors_of("bounces: { relay: '127.0.0.1:25' }\n" + needed),
                ElementsAre(HasSubstr("expected \"smtp://HOST:PORT\" or none")));
    EXPECT_THAT(errors_of("bounces: { relay: 'smtp://127.0.0.1' }\n" + needed), ElementsAre(HasSubstr("`relay`")));
    EXPECT_THAT(errors_of("bounces: { from: 'us\xC3\xA9r@example.com' }\n" + needed), ElementsAre(HasSubstr("`from`")));
    EXPECT_THAT(errors_of("bounces: { from: nobody }\n" + needed), ElementsAre(HasSubstr("`from`")));
    EXPECT_THAT(errors_of("bounces: { send: sometimes }\n" + needed), ElementsAre(HasSubstr("`send`")));
    EXPECT_THAT(errors_of("bounces: { relay: 'smtp://127.0.0.1:25' }\n" + needed),
                ElementsAre(HasSubstr("own listener: mail would go in a circle")));
    EXPECT_THAT(errors_of("domains: { example.com: }\nbackends: { outgoing: { endpoints: ['127.0.0.1:24'] } }\n"),
                ElementsAre(HasSubstr("this name is taken")));
}

TEST(Dns, AsksWhomTheSystemAsksAndBelievesDebiansAnchor) {
    const auto config = good(needed);
    EXPECT_TRUE(config->dns.servers.empty());
    EXPECT_EQ(config->dns.trust_anchor, "/usr/share/dns/root.key");
    EXPECT_EQ(config->dns.timeout, 5s);
}

TEST(Dns, ServersAreAddressesWithOrWithoutAPort) {
    const auto config = good(
        "dns: { servers: [127.0.0.1, '192.0.2.1:5353', '::1', '[2001:db8::1]:54'], trust_anchor: none }\n" + needed);
    std::vector<std::string> servers;
    for (const Address& server : config->dns.servers) {
        servers.push_back(server.to_string());
    }
    EXPECT_THAT(servers, ElementsAre("127.0.0.1:53", "192.0.2.1:5353", "[::1]:53", "[2001:db8::1]:54"));
    EXPECT_TRUE(config->dns.trust_anchor.empty());
    EXPECT_EQ(good("dns: { trust_anchor: /etc/anchors }\n" + needed)->dns.trust_anchor, "/etc/anchors");
}

TEST(Dns, RefusesWhatCannotBeMeant) {
    EXPECT_THAT(errors_of("dns: { servers: [dns.example.com, '127.0.0.1:0'] }\n" + needed),
                ElementsAre(HasSubstr("IP address of a DNS server"), HasSubstr("IP address of a DNS server")));
    EXPECT_THAT(errors_of("dns: { trust_anchor: root.key }\n" + needed), ElementsAre(HasSubstr("an absolute path")));
}

TEST(Encryption, OfTheRelayIsOpportunisticAndOfStoresOff) {
    auto config = good(needed);
    EXPECT_EQ(config->bounces.relay_tls, Encryption::opportunistic);
    EXPECT_EQ(config->backends.at("stores").tls, Encryption::off);
    config = good(
        "bounces: { relay: 'smtp://relay.example.net:587', relay_tls: required, relay_authorities: /etc/ca.pem, "
        "relay_user: mx1, relay_password_file: /etc/postern/relay }\n"
        "domains: { example.com: }\n"
        "backends: { stores: { endpoints: ['store.example.com:24'], tls: required, tls_authorities: /etc/ca.pem } }\n");
    EXPECT_EQ(config->bounces.relay_tls, Encryption::required);
    EXPECT_EQ(config->bounces.relay_user, "mx1");
    EXPECT_EQ(config->bounces.relay_password_file, "/etc/postern/relay");
    EXPECT_EQ(config->backends.at("stores").tls, Encryption::required);
    EXPECT_EQ(config->backends.at("stores").tls_authorities, "/etc/ca.pem");
}

TEST(Encryption, NoPasswordWithoutIt) {
    const std::string login = "relay: 'smtp://relay.example.net:587', relay_user: mx1, relay_password_file: /etc/relay";
    EXPECT_THAT(errors_of("bounces: { " + login + " }\n" + needed),
                ElementsAre(HasSubstr("only with `relay_tls: required`")));
    EXPECT_THAT(errors_of("bounces: { relay: 'smtp://relay.example.net:587', relay_user: mx1 }\n" + needed),
                ElementsAre(HasSubstr("belong together")));
    EXPECT_THAT(errors_of("bounces: { relay_tls: required }\n" + needed), ElementsAre(HasSubstr("without a `relay`")));
}

}  // namespace
}  // namespace postern::config::tests
