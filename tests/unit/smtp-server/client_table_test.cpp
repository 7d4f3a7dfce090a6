// Who is connected and how fast each client may go, with a clock of the test's own.
#include "smtp-server/detail/client_table.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace postern::smtp_server::detail {
namespace {

using namespace std::chrono_literals;
using Verdict = ClientTable::Verdict;
using What = ClientTable::What;

class ClientTableTest : public testing::Test {
protected:
    ClientTableTest() {
        limits_.connections = 10;
        limits_.connections_per_client = 3;
        limits_.connections_per_minute = 6;
        limits_.messages_per_minute = 2;
        limits_.recipients_per_minute = 4;
        limits_.errors_per_minute = 3;
    }
    ClientTable::Entered enter(const std::string& ip, ClientTable::Standing standing = {}) {
        return table_.enter(client_key(ip), limits_, standing, now_);
    }
    /// How many of these the client is given before it is refused; at most 1000.
    int taken(ClientTable::Place& place, What what) {
        int count = 0;
        while (count < 1000 && place.take(what, limits_, now_)) {
            ++count;
        }
        return count;
    }
    Limits limits_;
    ClientTable table_;
    ClientTable::Instant now_ = std::chrono::steady_clock::now();
};

TEST_F(ClientTableTest, CountsConnectionsOfEachClientAndOfAll) {
    std::vector<ClientTable::Entered> in;
    for (int i = 0; i < 3; ++i) {
        in.push_back(enter("192.0.2.1"));
        EXPECT_EQ(in.back().verdict, Verdict::admitted);
    }
    EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::too_many_from_client);
    EXPECT_EQ(table_.current(), 3U);
    in.pop_back();
    EXPECT_EQ(table_.current(), 2U);
    in.push_back(enter("192.0.2.1"));
    EXPECT_EQ(in.back().verdict, Verdict::admitted);
    for (int i = 2; i < 9; ++i) {
        in.push_back(enter("192.0.2." + std::to_string(i)));
    }
    EXPECT_EQ(enter("192.0.2.200").verdict, Verdict::too_many);
    EXPECT_EQ(enter("").verdict, Verdict::too_many);
    EXPECT_EQ(table_.refused(), 3U);
    EXPECT_EQ(table_.total(), 11U);
}

TEST_F(ClientTableTest, AClientIsAnAddressOrA64) {
    EXPECT_EQ(client_key("2001:db8:1:2::1"), client_key("2001:db8:1:2:ffff::9"));
    EXPECT_NE(client_key("2001:db8:1:2::1"), client_key("2001:db8:1:3::1"));
    EXPECT_EQ(client_key("fe80::1%eth0"), client_key("fe80::2%eth1"));
    EXPECT_NE(client_key("192.0.2.1"), client_key("192.0.2.2"));
}

TEST_F(ClientTableTest, AMinutesWorthIsThereAtOnceAndComesBackSteadily) {
    auto one = enter("192.0.2.1");
    EXPECT_EQ(taken(one.place, What::message), 2);
    EXPECT_EQ(taken(one.place, What::recipient), 4);
    now_ += 15s;
    EXPECT_EQ(taken(one.place, What::message), 0);
    EXPECT_EQ(taken(one.place, What::recipient), 1);
    now_ += 15s;
    EXPECT_EQ(taken(one.place, What::message), 1);
    now_ += 1h;
    EXPECT_EQ(taken(one.place, What::message), 2);
    auto other = enter("192.0.2.2");
    EXPECT_EQ(taken(other.place, What::message), 2);
}

TEST_F(ClientTableTest, NeighboursInA64ShareAndSessionsToo) {
    auto one = enter("2001:db8::1");
    EXPECT_EQ(taken(one.place, What::message), 2);
    auto two = enter("2001:db8::2");
    EXPECT_EQ(taken(two.place, What::message), 0);
}

TEST_F(ClientTableTest, WhoConnectsTooOftenIsTurnedAway) {
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::admitted);  // and goes at once
    }
    EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::too_fast);
    EXPECT_EQ(enter("192.0.2.2").verdict, Verdict::admitted);
    now_ += 10s;
    EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::admitted);
    EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::too_fast);
}

TEST_F(ClientTableTest, WhoErrsTooOftenIsTurnedAwayForAWhile) {
    {
        auto one = enter("192.0.2.1");
        EXPECT_EQ(taken(one.place, What::error), 3);
    }
    EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::too_many_errors);
    now_ += 20s;
    EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::admitted);
}

TEST_F(ClientTableTest, TheTrustedAndTheUnmeteredAreSpared) {
    auto one = enter("192.0.2.1", {true, true});
    EXPECT_EQ(taken(one.place, What::message), 1000);
    EXPECT_EQ(taken(one.place, What::error), 1000);
    std::vector<ClientTable::Entered> in;
    for (int i = 0; i < 9; ++i) {
        in.push_back(enter("192.0.2.1", {true, true}));
        EXPECT_EQ(in.back().verdict, Verdict::admitted);
    }
    EXPECT_EQ(enter("192.0.2.1", {true, true}).verdict, Verdict::too_many);
}

TEST_F(ClientTableTest, ZeroIsNoLimit) {
    limits_.messages_per_minute = 0;
    limits_.errors_per_minute = 0;
    limits_.connections_per_minute = 0;
    auto one = enter("192.0.2.1");
    EXPECT_EQ(taken(one.place, What::message), 1000);
    EXPECT_EQ(taken(one.place, What::error), 1000);
    EXPECT_EQ(enter("192.0.2.1").verdict, Verdict::admitted);
}

TEST_F(ClientTableTest, AClientIsForgottenOnceNothingIsLeftToRemember) {
    {
        auto one = enter("192.0.2.1");
        EXPECT_EQ(taken(one.place, What::message), 2);
    }
    EXPECT_EQ(table_.idle(), 1U);
    now_ += 2min;
    auto other = enter("192.0.2.2");
    EXPECT_EQ(table_.idle(), 0U);
    auto again = enter("192.0.2.1");
    EXPECT_EQ(taken(again.place, What::message), 2);
}

TEST_F(ClientTableTest, AFloodOfAddressesIsBounded) {
    for (std::size_t i = 0; i < ClientTable::idle_max + 100; ++i) {
        const auto in = table_.enter("client-" + std::to_string(i), limits_, {}, now_);
        ASSERT_EQ(in.verdict, Verdict::admitted);
    }
    EXPECT_EQ(table_.idle(), ClientTable::idle_max);
    EXPECT_EQ(table_.current(), 0U);
}

TEST_F(ClientTableTest, IsStressedWhenFourFifthsAreTaken) {
    std::vector<ClientTable::Entered> in;
    EXPECT_FALSE(table_.stressed());
    for (int i = 0; i < 8; ++i) {
        EXPECT_FALSE(table_.stressed());
        in.push_back(enter("192.0.2." + std::to_string(i)));
    }
    EXPECT_TRUE(table_.stressed());
    in.pop_back();
    EXPECT_FALSE(table_.stressed());
}

TEST_F(ClientTableTest, AClientThatTurnsOutToBeAnotherIsCountedOnce) {
    auto balancer = table_.enter("", limits_, {}, now_);
    auto client = table_.rename(std::move(balancer.place), client_key("192.0.2.1"), limits_, {}, now_);
    EXPECT_EQ(client.verdict, Verdict::admitted);
    EXPECT_EQ(table_.current(), 1U);
    EXPECT_EQ(table_.total(), 1U);
    limits_.connections_per_client = 1;
    auto second = table_.enter("", limits_, {}, now_);
    EXPECT_EQ(table_.rename(std::move(second.place), client_key("192.0.2.1"), limits_, {}, now_).verdict,
              Verdict::too_many_from_client);
    EXPECT_EQ(table_.current(), 1U);
    EXPECT_EQ(table_.total(), 2U) << "it came, and a counter never falls";
    EXPECT_EQ(table_.refused(), 1U);
}

TEST_F(ClientTableTest, APlaceThatMovesIsLeftOnce) {
    {
        auto one = enter("192.0.2.1");
        ClientTable::Place moved = std::move(one.place);
        ClientTable::Place again;
        again = std::move(moved);
        EXPECT_EQ(table_.current(), 1U);
        again.leave();
        EXPECT_EQ(table_.current(), 0U);
    }
    EXPECT_EQ(table_.current(), 0U);
}

}  // namespace
}  // namespace postern::smtp_server::detail
