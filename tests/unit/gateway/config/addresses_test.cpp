// Addresses of listeners and endpoints, and the networks of `trusted`.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string endpoint(const std::string& address) {
    return "domains: { example.com: }\nbackends: { s: { endpoints: ['" + address + "'] } }\n";
}

TEST(Endpoints, AreTakenInCanonicalForm) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"127.0.0.1:24", "127.0.0.1:24"},
        {"[::1]:24", "[::1]:24"},
        {"[2001:DB8:0:0::1]:2424", "[2001:db8::1]:2424"},
        {"Store1.Example.COM:24", "store1.example.com:24"},
        {"localhost:65535", "localhost:65535"},
        {"my_store:24", "my_store:24"},
        {"unix:/run/dovecot/lmtp", "unix:/run/dovecot/lmtp"},
    };
    for (const auto& [written, canonical] : forms) {
        EXPECT_EQ(good(endpoint(written))->backends.at("s").endpoints.at(0).to_string(), canonical);
    }
}

TEST(Endpoints, EveryWrongFormHearsWhy) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"127.0.0.1", "expected HOST:PORT"},
        {":24", "expected HOST:PORT"},
        {"store:", "the port is a number from 1 to 65535"},
        {"store:0", "the port is a number from 1 to 65535"},
        {"store:65536", "the port is a number from 1 to 65535"},
        {"store:024", "the port is a number from 1 to 65535"},
        {"store:+24", "the port is a number from 1 to 65535"},
        {"store:smtp", "the port is a number from 1 to 65535"},
        {"::1:24", "an IPv6 address stands in brackets"},
        {"[127.0.0.1]:24", "what stands in brackets is not an IPv6 address"},
        {"[::1%lo]:24", "what stands in brackets is not an IPv6 address"},
        {"[]:24", "what stands in brackets is not an IPv6 address"},
        {"*:24", "for all addresses write 0.0.0.0:PORT"},
        {"300.1.1.1:24", "neither an IP address nor a host name"},
        {"127.1:24", "neither an IP address nor a host name"},
        {"a b:24", "neither an IP address nor a host name"},
        {"/run/lmtp", "a Unix socket is written \"unix:/path\""},
        {"unix:lmtp", "the path of a Unix socket begins with /"},
        {"unix:", "the path of a Unix socket begins with /"},
        {"unix:/" + std::string(107, 'x'), "at most 107 octets, this one 108"},
        {"127.0.0.1:25", "LMTP is not spoken on port 25 (RFC 2033 section 5)"},
        {"store.example.com:25", "LMTP is not spoken on port 25 (RFC 2033 section 5)"},
        {"[::1]:25", "LMTP is not spoken on port 25 (RFC 2033 section 5)"},
    };
    for (const auto& [written, why] : forms) {
        EXPECT_THAT(errors_of(endpoint(written)),
                    ElementsAre(testing::AllOf(HasSubstr("`endpoints`: "), HasSubstr(why))))
            << written;
    }
}

TEST(Listeners, TakeAnyAddressOfThisMachine) {
    for (const char* address : {"0.0.0.0:25", "[::]:25", "127.0.0.1:0", "unix:/run/postern/smtp"}) {
        EXPECT_EQ(good("listeners: [ { address: '" + std::string(address) + "' } ]\n" + needed)
                      ->listeners.at(0)
                      .address.to_string(),
                  address);
    }
}

TEST(Listeners, ANameIsNotListenedOn) {
    EXPECT_THAT(errors_of("listeners: [ { address: 'localhost:25' } ]\n" + needed),
                ElementsAre(HasSubstr("a listener needs an IP address")));
}

std::string trusted(const std::string& network) {
    return "listeners: [ { address: '127.0.0.1:2525', trusted: ['" + network + "'] } ]\n" + needed;
}

TEST(Trusted, NetworksHoldTheirAddresses) {
    struct Case {
        std::string network;
        std::string inside;
        std::string outside;
    };
    for (const Case& c :
         {Case{"192.0.2.0/24", "192.0.2.255", "192.0.3.0"}, Case{"192.0.2.7", "192.0.2.7", "192.0.2.8"},
          Case{"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"}, Case{"::1", "::1", "::2"},
          Case{"::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.0"}, Case{"10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1"},
          Case{"fe80::/10", "fe80::1%eth0", "fec0::1"}, Case{"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
          Case{"::/0", "2001:db8::1", "10.0.0.1"}, Case{"0.0.0.0/0", "1.2.3.4", "::1"}}) {
        const auto config = good(trusted(c.network));
        ASSERT_EQ(config->listeners.size(), 1U) << c.network;
        EXPECT_TRUE(config->listeners[0].trusted.at(0).contains(c.inside)) << c.network;
        EXPECT_FALSE(config->listeners[0].trusted.at(0).contains(c.outside)) << c.network;
        EXPECT_FALSE(config->listeners[0].trusted.at(0).contains("")) << c.network;
        EXPECT_FALSE(config->listeners[0].trusted.at(0).contains("mx.example.com")) << c.network;
    }
}

TEST(Trusted, EveryWrongFormHearsWhy) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"192.0.2.1/24", "bits are set behind the prefix; did you mean `192.0.2.0/24`?"},
        {"192.0.2.0/33", "the prefix length is a number from 0 to 32"},
        {"192.0.2.0/", "the prefix length is a number from 0 to 32"},
        {"192.0.2.0/-1", "the prefix length is a number from 0 to 32"},
        {"192.0.2.0/08", "the prefix length is a number from 0 to 32"},
        {"2001:db8::/129", "the prefix length is a number from 0 to 128"},
        {"::ffff:10.0.0.0/95", "the prefix length is a number from 96 to 128"},
        {"192.0.2", "expected an IP address or a network"},
        {"example.com", "expected an IP address or a network"},
        {"fe80::1%eth0", "expected an IP address or a network"},
        {"192.0.2.0/255.255.255.0", "the prefix length is a number from 0 to 32"},
    };
    for (const auto& [written, why] : forms) {
        EXPECT_THAT(errors_of(trusted(written)), ElementsAre(HasSubstr(why))) << written;
    }
    EXPECT_THAT(errors_of("listeners: [ { address: '127.0.0.1:2525', trusted: 10.0.0.0/8 } ]\n" + needed),
                ElementsAre(HasSubstr("`trusted`: expected a list of networks")));
}

}  // namespace
}  // namespace postern::config::tests
