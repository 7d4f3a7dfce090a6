#include "gateway/screening/suspicion.hpp"

#include <gtest/gtest.h>

namespace postern::screening {
namespace {

ClientFacts client(std::string helo, ReverseName reverse = ReverseName::unknown, std::string name = {},
                   std::string address = "203.0.113.7") {
    return {std::move(address), std::move(helo), reverse, std::move(name), 0};
}
std::string why(const ClientFacts& facts) {
    return std::string(suspicion(facts, "mx.example.com", 1).value_or("honest"));
}

TEST(Suspicion, FallsOnAHeloThatNamesNoHost) {
    EXPECT_EQ(why(client("mail.example.org")), "honest");
    for (const char* helo : {"localhost", "user", "192.0.2.1", "a..b", ".", "mail_", "example.org.", "mail.example.1",
                             "a b.example.org", "-"}) {
        EXPECT_EQ(why(client(helo)), "HELO is not the full name of a host") << helo;
    }
    EXPECT_EQ(why(client("[203.0.113.7]")), "HELO is an address, not a name");
    EXPECT_EQ(why(client("MX.example.COM")), "HELO gives our name as yours");
    EXPECT_EQ(why(client("host-203-0-113-7.isp.example")), "HELO is one of many names like it");
}

TEST(Suspicion, FallsOnAReverseNameThatIsMissingOrLeadsElsewhereOrIsOneOfMany) {
    EXPECT_EQ(why(client("mail.example.org", ReverseName::none)), "your address has no name");
    EXPECT_EQ(why(client("mail.example.org", ReverseName::unconfirmed, "mail.example.org")),
              "the name of your address does not lead back to it");
    EXPECT_EQ(why(client("mail.example.org", ReverseName::confirmed, "dyn-17.isp.example")),
              "the name of your address is one of many like it");
    EXPECT_EQ(why(client("mail.example.org", ReverseName::confirmed, "mail.example.org")), "honest");
    // Who has a good name may call himself what he likes, as long as it is one.
    EXPECT_EQ(why(client("host-203-0-113-7.isp.example", ReverseName::confirmed, "mail.example.org")), "honest");
}

TEST(Suspicion, FallsOnWhoIsOnAList) {
    ClientFacts facts = client("mail.example.org", ReverseName::confirmed, "mail.example.org");
    facts.score = 2;
    EXPECT_FALSE(suspicion(facts, "mx.example.com", 3));
    EXPECT_EQ(*suspicion(facts, "mx.example.com", 2), "your address is on a list");
}

TEST(GenericName, IsMadeFromTheAddressByARule) {
    for (const char* name : {"203-0-113-7.isp.example", "host203-0-113-7.isp.example", "7.113.0.203.isp.example",
                             "113.7.203.isp.example", "203000113007.isp.example", "cb007107.isp.example",
                             "ip-cb-cb007107-x.isp.example", "p203.0.113.7.DIP0.isp.example",
                             "ec2-203-0-113-7.compute-1.cloud.example", "static-203-000-113-007.isp.example"}) {
        EXPECT_TRUE(is_generic(name, "203.0.113.7")) << name;
    }
    for (const char* name : {"mail7.example.org", "mail-7-0.example.org", "mx1.example.org", "a203.mail113.example.org",
                             "203-0-113-7.example", "example.org", "mx", ""}) {
        const bool is_all_of_it = std::string_view(name) == "203-0-113-7.example";
        EXPECT_EQ(is_generic(name, "203.0.113.7"), is_all_of_it) << name;
    }
    EXPECT_TRUE(is_generic("p200300c1020304050a0b0c0d0e0f1011.isp.example", "2003:c1:203:405:a0b:c0d:e0f:1011"));
    EXPECT_TRUE(is_generic("0a0b-0c0d-0e0f-1011.v6.isp.example", "2003:c1:203:405:a0b:c0d:e0f:1011"));
    EXPECT_FALSE(is_generic("mail.example.org", "2003:c1:203:405:a0b:c0d:e0f:1011"));
}

TEST(GenericName, SaysThatItIsACustomers) {
    for (const char* name : {"dyn17.isp.example", "pool-17.isp.example", "dsl-a1.isp.example", "17.dhcp.isp.example"}) {
        EXPECT_TRUE(is_generic(name, "203.0.113.7")) << name;
    }
    for (const char* name : {"pool.example.org", "dynamite17.example.org", "mail.dsl.example", "home.example.org"}) {
        EXPECT_FALSE(is_generic(name, "203.0.113.7")) << name;
    }
}

}  // namespace
}  // namespace postern::screening
