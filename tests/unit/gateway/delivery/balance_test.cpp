// Which endpoint of a backend gets what.
#include "gateway/delivery/balance.hpp"

#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class BalanceTest : public SchedulerTest {
protected:
    void use(Balance balance, std::uint32_t connections = 100) {
        options.backends.clear();
        add_backend("stores", {"one:24", "two:24", "three:24"});
        options.backends["stores"].balance = balance;
        options.backends["stores"].connections = connections;
    }
    std::map<std::string, std::size_t> by_endpoint() {
        std::map<std::string, std::size_t> counts;
        for (const auto& plan : plans) {
            ++counts[plan->endpoint.to_string()];
        }
        return counts;
    }
    /// Where each of `count` recipients goes; everything is delivered.
    std::map<std::string, std::string> homes(int count) {
        std::map<std::string, std::string> found;
        for (int i = 0; i < count; ++i) {
            send({"u" + std::to_string(i) + "@example.com"});
            const auto plan = reply_to_next({"250 ok"});
            found[addresses(*plan)[0]] = plan->endpoint.to_string();
        }
        return found;
    }
};

TEST_F(BalanceTest, LeastBusySpreadsAlsoWhatComesOneByOne) {
    use(Balance::least_busy);
    begin();
    for (int i = 0; i < 9; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
    }
    EXPECT_THAT(by_endpoint(), testing::ElementsAre(testing::Pair("one:24", 3), testing::Pair("three:24", 3),
                                                    testing::Pair("two:24", 3)));
    rows.clear();
    restart();
    std::set<std::string> used;
    for (const auto& [address, endpoint] : homes(6)) {
        used.insert(endpoint);
    }
    EXPECT_EQ(used.size(), 3U);
}

TEST_F(BalanceTest, LeastBusyAvoidsAnEndpointThatIsSilent) {
    use(Balance::least_busy, 10);
    begin();
    // "one" has accepted and says nothing; the others deliver.
    for (int i = 0; i < 3; ++i) {
        send({"first" + std::to_string(i) + "@example.com"});
    }
    const auto silent = std::find_if(plans.begin(), plans.end(),
                                     [](const auto& plan) { return plan->endpoint.to_string() == "one:24"; });
    ASSERT_NE(silent, plans.end());
    plans.erase(silent);
    std::size_t to_silent = 0;
    for (int i = 0; i < 100; ++i) {
        while (!plans.empty()) {
            const auto plan = next_plan();
            if (plan->endpoint.to_string() == "one:24") {
                ++to_silent;
                continue;
            }
            answer(*plan, {"250 ok"});
            end(*plan);
        }
        pass(1s);
        send({"u" + std::to_string(i) + "@example.com"});
    }
    EXPECT_LT(to_silent, 10U);
}

TEST_F(BalanceTest, FailoverUsesTheFirstThatIsWell) {
    use(Balance::failover);
    begin();
    send({"a@example.com"});
    EXPECT_EQ(break_next(Fate::not_tried, Trouble::connect)->endpoint.to_string(), "one:24");
    ASSERT_EQ(plans.size(), 1U) << "it goes on to the second at once";
    EXPECT_EQ(reply_to_next({"250 ok"})->endpoint.to_string(), "two:24");
    pass(1s);
    answer_probe(true);
    send({"b@example.com"});
    EXPECT_EQ(reply_to_next({"250 ok"})->endpoint.to_string(), "one:24");
}

TEST_F(BalanceTest, FailoverGoesOnWithoutAFirstThatHangs) {
    use(Balance::failover, 1);
    begin();
    send({"a@example.com"});
    const auto hung = next_plan();
    EXPECT_EQ(hung->endpoint.to_string(), "one:24");
    send({"b@example.com"});
    pass(29s);
    EXPECT_TRUE(plans.empty()) << "slow, perhaps";
    pass(1s);
    ASSERT_EQ(plans.size(), 1U) << "without anything new";
    EXPECT_EQ(reply_to_next({"250 ok"})->endpoint.to_string(), "two:24");
    answer(*hung, {"250 ok"});
    end(*hung);
    send({"c@example.com"});
    EXPECT_EQ(reply_to_next({"250 ok"})->endpoint.to_string(), "one:24");
}

TEST_F(BalanceTest, StickyKeepsARecipientAtItsHomeAlsoAfterARestart) {
    use(Balance::sticky);
    begin();
    const auto first = homes(60);
    restart();
    EXPECT_EQ(homes(60), first);
    std::map<std::string, int> spread;
    for (const auto& [address, endpoint] : first) {
        ++spread[endpoint];
    }
    ASSERT_EQ(spread.size(), 3U);
    for (const auto& [endpoint, count] : spread) {
        EXPECT_GT(count, 8) << endpoint;
    }
}

TEST_F(BalanceTest, StickyMovesOnlyWhatItMust) {
    use(Balance::sticky);
    begin();
    const auto before = homes(60);
    std::string lost = "two:24";
    for (int i = 0; state().endpoints[1].circuit == Circuit::State::closed; ++i) {
        send({"probe" + std::to_string(i) + "@example.com"});
        if (plans.front()->endpoint.to_string() == lost) {
            break_next(Fate::not_tried, Trouble::connect);
        }
        reply_to_next({"250 ok"});
    }
    for (const auto& [address, endpoint] : homes(60)) {
        if (before.at(address) == lost) {
            EXPECT_NE(endpoint, lost);
        } else {
            EXPECT_EQ(endpoint, before.at(address)) << address << " moved though its home is well";
        }
    }
    pass(1s);
    answer_probe(true);
    EXPECT_EQ(homes(60), before) << "and back";
}

TEST_F(BalanceTest, StickyLeavesAHomeThatHangsUntilItSpeaks) {
    use(Balance::sticky, 1);
    begin();
    const auto before = homes(30);
    const std::string hanging = before.at("u0@example.com");
    send({"u0@example.com"});
    const auto hung = next_plan();
    send({"u0@example.com"});
    pass(29s);
    EXPECT_TRUE(plans.empty()) << "slow, perhaps";
    pass(1s);
    ASSERT_EQ(plans.size(), 1U) << "without anything new";
    EXPECT_NE(reply_to_next({"250 ok"})->endpoint.to_string(), hanging);
    for (const auto& [address, endpoint] : homes(30)) {
        if (before.at(address) == hanging) {
            EXPECT_NE(endpoint, hanging);
        } else {
            EXPECT_EQ(endpoint, before.at(address)) << address << " moved though its home is well";
        }
    }
    answer(*hung, {"250 ok"});
    end(*hung);
    EXPECT_EQ(homes(30), before) << "and back";
}

TEST_F(BalanceTest, StickyStaysWhenEveryHomeHangs) {
    use(Balance::sticky, 1);
    begin();
    std::map<std::string, std::shared_ptr<const Plan>> hung;
    for (int i = 0; hung.size() < 3; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
        while (!plans.empty()) {
            const auto plan = next_plan();
            hung[plan->endpoint.to_string()] = plan;
        }
    }
    pass(31s);
    send({"last@example.com"});
    EXPECT_TRUE(plans.empty());
    for (const auto& [endpoint, plan] : hung) {
        answer(*plan, {"250 ok"});
        end(*plan);
    }
    std::size_t delivered = 0;
    for (; !plans.empty(); ++delivered) {
        reply_to_next({"250 ok"});
    }
    EXPECT_GE(delivered, 1U);
}

TEST_F(BalanceTest, StickyMakesDifferentTransactionsOfOneMessage) {
    use(Balance::sticky);
    begin();
    std::vector<std::string> everybody;
    for (int i = 0; i < 30; ++i) {
        everybody.push_back("u" + std::to_string(i) + "@example.com");
    }
    const auto id = send(everybody);
    EXPECT_EQ(plans.size(), 3U);
    std::set<std::string> seen;
    while (!plans.empty()) {
        for (const std::string& address : addresses(*reply_to_next({"250 ok"}))) {
            EXPECT_TRUE(seen.insert(address).second) << address << " twice";
        }
    }
    EXPECT_EQ(seen.size(), 30U);
    EXPECT_EQ(row(id, 29).state, RecipientState::delivered);
}

TEST_F(BalanceTest, StickyWaitsForAFullHomeAndOthersGoOn) {
    use(Balance::sticky, 1);
    begin();
    for (int i = 0; i < 30; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
    }
    EXPECT_EQ(plans.size(), 3U);
    EXPECT_EQ(by_endpoint().size(), 3U);
}

TEST_F(BalanceTest, StickyMailWaitsInMemoryWhileNoEndpointIsWell) {
    use(Balance::sticky);
    begin();
    for (int i = 0; i < 12; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
    }
    while (!plans.empty()) {
        break_next(Fate::not_tried, Trouble::connect);
    }
    EXPECT_EQ(state().queued, 12U);
    pass(1s);
    while (!probes.empty()) {
        answer_probe(true);
    }
    std::size_t delivered = 0;
    for (; !plans.empty(); ++delivered) {
        reply_to_next({"250 ok"});
    }
    EXPECT_EQ(delivered, 12U);
}

TEST(StickyKey, IgnoresTheCaseOfTheDomainAndOfNothingElse) {
    EXPECT_EQ(sticky_key(mailbox("a@Example.COM")), sticky_key(mailbox("a@example.com")));
    EXPECT_NE(sticky_key(mailbox("A@example.com")), sticky_key(mailbox("a@example.com")));
}

}  // namespace
}  // namespace postern::delivery::tests
