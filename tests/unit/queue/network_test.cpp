// Clients of the filters: addresses and networks, and what is neither.
#include "queue/network.hpp"

#include <gtest/gtest.h>

namespace postern::queue {
namespace {

bool holds(std::string_view network, std::string_view client) {
    return ClientNetworkSet({std::string(network)}).contains(client);
}

TEST(ClientNetwork, HoldsTheAddressItIs) {
    EXPECT_TRUE(holds("192.0.2.1", "192.0.2.1"));
    EXPECT_FALSE(holds("192.0.2.1", "192.0.2.2"));
    EXPECT_TRUE(holds("2001:db8::1", "2001:0DB8:0::1"));
    EXPECT_FALSE(holds("2001:db8::1", "2001:db8::2"));
}

TEST(ClientNetwork, HoldsWhatBeginsWithItsBits) {
    EXPECT_TRUE(holds("192.0.2.0/24", "192.0.2.255"));
    EXPECT_FALSE(holds("192.0.2.0/24", "192.0.3.0"));
    EXPECT_TRUE(holds("192.0.2.128/25", "192.0.2.129"));
    EXPECT_FALSE(holds("192.0.2.128/25", "192.0.2.127"));
    EXPECT_TRUE(holds("10.0.0.0/8", "10.255.0.1"));
    EXPECT_TRUE(holds("0.0.0.0/0", "198.51.100.7"));
    EXPECT_TRUE(holds("192.0.2.7/32", "192.0.2.7"));
    EXPECT_TRUE(holds("2001:db8::/33", "2001:db8:7fff::"));
    EXPECT_FALSE(holds("2001:db8::/33", "2001:db8:8000::"));
    EXPECT_TRUE(holds("::/0", "2001:db8::1"));
}

TEST(ClientNetwork, IgnoresBitsBehindThePrefix) { EXPECT_TRUE(holds("192.0.2.77/24", "192.0.2.1")); }

TEST(ClientNetwork, KeepsTheFamiliesApartButForMappedAddresses) {
    EXPECT_FALSE(holds("0.0.0.0/0", "2001:db8::1"));
    EXPECT_TRUE(holds("192.0.2.0/24", "::ffff:192.0.2.9"));
    EXPECT_TRUE(holds("::ffff:192.0.2.0/120", "192.0.2.9"));
}

TEST(ClientNetwork, DropsAZone) { EXPECT_TRUE(holds("fe80::/10", "fe80::1%eth0")); }

TEST(ClientNetwork, RefusesWhatIsNone) {
    for (const std::string_view text : {"",
                                        "/",
                                        "/8",
                                        "example.com",
                                        "192.0.2",
                                        "192.0.2.1/",
                                        "192.0.2.1/33",
                                        "192.0.2.1/-1",
                                        "192.0.2.1/+8",
                                        "192.0.2.1/08",
                                        "192.0.2.1/8 ",
                                        " 192.0.2.1",
                                        "192.0.2.1/8/8",
                                        "192.0.2.256",
                                        "2001:db8::/129",
                                        "2001:db8::g",
                                        "1:2:3",
                                        "[::1]",
                                        "192.0.2.1%eth0",
                                        "192.0.2.1/4294967304"}) {
        EXPECT_FALSE(ClientNetwork::parse(text)) << text;
    }
    EXPECT_FALSE(ClientNetwork::parse(std::string_view("192.0.2.1\0/8", 12)));
}

TEST(ClientNetworkSet, HoldsNobodyWhenNothingInItIsANetwork) {
    EXPECT_FALSE(holds("nonsense", "192.0.2.1"));
    EXPECT_FALSE(holds("192.0.2.0/99", "192.0.2.1"));
}

TEST(ClientNetworkSet, HoldsNoClientWithoutAnAddress) { EXPECT_FALSE(holds("0.0.0.0/0", "")); }

}  // namespace
}  // namespace postern::queue
