// The way to the domains of others: what is wrong with one of them is that one's.
#include "gateway/delivery/destinations.hpp"

#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class DestinationsTest : public SchedulerTest {
protected:
    DestinationsTest() {
        add_backend(outgoing_backend, {"smtp://*:25"});
        BackendOptions& out = options.backends[outgoing_backend];
        out.connections = 6;
        out.connections_per_domain = 2;
        out.brake.on = false;
        out.is_elsewhere = true;
        for (const char* domain : {"a.example", "b.example", "c.example", "dead.example"}) {
            routes[domain] = outgoing_backend;
        }
    }
    std::map<std::string, std::size_t> by_domain() {
        std::map<std::string, std::size_t> counts;
        for (const auto& plan : plans) {
            ++counts[plan->domain];
        }
        return counts;
    }
    std::shared_ptr<const Plan> plan_for(const std::string& domain) {
        const auto found =
            std::find_if(plans.begin(), plans.end(), [&](const auto& plan) { return plan->domain == domain; });
        if (found == plans.end()) {
            throw std::logic_error("nothing goes to " + domain);
        }
        auto plan = *found;
        plans.erase(found);
        return plan;
    }
    /// Nobody of the domain's servers could be reached.
    void unreachable(const Plan& plan) {
        answer(plan, {"451 4.4.1 mx.dead.example[192.0.2.1]:25: refused"});
        end(plan, Trouble::connect, "451 4.4.1 mx.dead.example[192.0.2.1]:25: refused");
    }
};

using testing::ElementsAre;
using testing::Pair;

TEST_F(DestinationsTest, ATransactionHasRecipientsOfOneDomain) {
    begin();
    send({"u@a.example", "v@b.example", "w@a.example"});
    ASSERT_EQ(plans.size(), 2U);
    EXPECT_THAT(addresses(*plan_for("a.example")), ElementsAre("u@a.example", "w@a.example"));
    const auto other = plan_for("b.example");
    EXPECT_THAT(addresses(*other), ElementsAre("v@b.example"));
    EXPECT_EQ(other->endpoint.to_string(), "smtp://b.example:25");
}

TEST_F(DestinationsTest, ADomainHasSoManyTransactionsAtOnceAndAllTogetherToo) {
    begin();
    for (int i = 0; i < 5; ++i) {
        send({"u@a.example"});
        send({"u@b.example"});
    }
    EXPECT_THAT(by_domain(), ElementsAre(Pair("a.example", 2), Pair("b.example", 2)));
    for (int i = 0; i < 5; ++i) {
        send({"u@c.example"});
        send({"u@dead.example"});
    }
    EXPECT_EQ(plans.size(), 6U);
    EXPECT_EQ(state(outgoing_backend).in_flight, 6U);
    EXPECT_EQ(state(outgoing_backend).queued, 14U);
    const auto plan = plan_for("a.example");
    answer(*plan, {"250 ok"});
    end(*plan);
    EXPECT_EQ(plans.size(), 6U) << "the next in turn";
}

// Shows: RFC 5321 4.5.4.1
TEST_F(DestinationsTest, ADomainWhoseServersAreGoneIsNotTriedForEachMessage) {
    begin();
    const auto first = send({"u@dead.example"});
    unreachable(*next_plan());
    EXPECT_EQ(row(first).state, RecipientState::waiting);
    EXPECT_EQ(row(first).attempts, 1U);
    const auto second = send({"v@dead.example"});
    const auto other = send({"u@a.example"});
    EXPECT_THAT(by_domain(), ElementsAre(Pair("a.example", 1)));
    EXPECT_EQ(row(second).last_reply, "(not tried: 451 4.4.1 mx.dead.example[192.0.2.1]:25: refused)");
    EXPECT_GE(until_next_attempt(second), 1min) << "not before the domain's rest is over";
    EXPECT_EQ(state(outgoing_backend).down_since, std::nullopt);
    EXPECT_TRUE(probes.empty()) << "strangers are not probed";
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(other).state, RecipientState::delivered);
    for (int i = 0; i < 200 && plans.empty(); ++i) {
        pass_to_wake(1min);
    }
    EXPECT_EQ(plans.size(), 1U) << "one goes ahead";
    reply_to_next({"250 ok"});
    pass(2h);
    while (!plans.empty()) {
        reply_to_next({"250 ok"});
    }
    EXPECT_EQ(row(first).state, RecipientState::delivered);
    EXPECT_EQ(row(second).state, RecipientState::delivered);
}

TEST_F(DestinationsTest, ALoadThatDoesNotKnowYetWhoWasPutOffBringsNobodyBack) {
    options.window = 4;
    begin();
    send({"u@dead.example"});
    unreachable(*next_plan());
    // The line is full, so the store is asked behind the deferrals, and what it answers is older than those.
    hold_loads = true;
    scheduler->look(outgoing_backend);
    const auto id = send({"a@dead.example", "b@dead.example", "c@dead.example", "d@dead.example"});
    ASSERT_EQ(row(id).attempts, 1U);
    ASSERT_EQ(loads.size(), 1U);
    loads.clear();
    queue::DuePage page;
    for (queue::Ordinal ordinal = 0; ordinal < 4; ++ordinal) {
        queue::DueRecipient due{id, row(id, ordinal), now.wall};
        due.recipient.attempts = 0;
        due.recipient.next_attempt_at = now.wall;
        page.recipients.push_back(std::move(due));
    }
    scheduler->loaded(outgoing_backend, std::move(page), now);
    run();
    EXPECT_EQ(history.size(), 5U) << "each was deferred once";
    EXPECT_TRUE(plans.empty());
}

TEST_F(DestinationsTest, WhatWasLeftOutOfALargeMessageFollowsWhenTheRestIsOnItsWay) {
    options.window = 8;
    options.backends[outgoing_backend].recipients_per_transaction = 2;
    begin();
    std::vector<std::string> all;
    for (int i = 0; i < 12; ++i) {
        all.push_back("u" + std::to_string(i) + "@a.example");
    }
    send(all);
    std::size_t delivered = 0;
    while (!plans.empty()) {
        delivered += reply_to_next({"250 ok"})->recipients.size();
    }
    EXPECT_EQ(delivered, 12U);
}

TEST_F(DestinationsTest, WhatWasLeftOutOfALargeMessageFollowsWhenTheRestIsForADeadDomain) {
    options.window = 8;
    options.backends[outgoing_backend].recipients_per_transaction = 2;
    begin();
    send({"u@dead.example"});
    unreachable(*next_plan());
    send({"v@dead.example", "w@dead.example", "x@dead.example", "u@a.example"});
    ASSERT_EQ(plans.size(), 1U);
    EXPECT_EQ(next_plan()->domain, "a.example");
}

TEST_F(DestinationsTest, AnOperatorWhoIsImpatientEndsTheRest) {
    begin();
    const auto id = send({"u@dead.example"});
    unreachable(*next_plan());
    EXPECT_TRUE(scheduler->order(Order::retry, id, row(id), "somebody", now));
    run();
    ASSERT_EQ(plans.size(), 1U);
    unreachable(*next_plan());
    EXPECT_TRUE(scheduler->hurry(outgoing_backend, now));
    send({"v@dead.example"});
    EXPECT_EQ(plans.size(), 1U);
}

TEST_F(DestinationsTest, ADeadDomainIsAskedEverMoreSeldomHoweverMuchWaits) {
    begin();
    for (int i = 0; i < 50; ++i) {
        send({"u" + std::to_string(i) + "@dead.example"});
    }
    std::size_t asked = 0;
    const auto until = now.steady + 3h;
    while (now.steady < until) {
        while (!plans.empty()) {
            ++asked;
            unreachable(*next_plan());
        }
        pass_to_wake(5min);
    }
    EXPECT_LE(asked, 30U);
    EXPECT_GE(asked, 10U);
}

TEST_F(DestinationsTest, WhatWaitsForADeadDomainExpiresAndItsSenderHearsBefore) {
    options.retry.expire = 10h;
    options.retry.delay_notice = 1h;
    begin();
    const auto id = send({"u@dead.example"});
    const auto until = now.steady + 12h;
    while (now.steady < until && row(id).state != RecipientState::parked) {
        while (!plans.empty()) {
            unreachable(*next_plan());
        }
        pass_to_wake(1h);
    }
    EXPECT_EQ(row(id).state, RecipientState::parked);
    ASSERT_EQ(tellings.size(), 2U);
    EXPECT_EQ(tellings[0].second.notice, queue::Notice::delayed);
    EXPECT_TRUE(tellings[1].second.expired);
}

TEST_F(DestinationsTest, OneTransactionThatBreaksOffIsNoReasonToRest) {
    begin();
    send({"u@a.example"});
    const auto plan = next_plan();
    answer(*plan, {"451 4.4.2 mx.a.example: reset"});
    end(*plan, Trouble::broken, "reset");
    send({"v@a.example"});
    send({"w@a.example"});
    ASSERT_EQ(plans.size(), 1U) << "one goes ahead";
    reply_to_next({"250 ok"});
    send({"x@a.example"});
    EXPECT_EQ(plans.size(), 2U);
}

TEST_F(DestinationsTest, AFloodForASlowDomainDoesNotKeepOthersOut) {
    options.window = 100;
    options.window_total = 1000;
    options.backends[outgoing_backend].recipients_per_transaction = 10;
    for (int i = 0; i < 600; ++i) {
        put({"u" + std::to_string(i) + "@a.example"}, 1h);
    }
    for (int i = 0; i < 5; ++i) {
        put({"v@b.example"}, 30min);
    }
    begin();
    // a.example's two transactions hang.
    std::size_t others = 0;
    for (int i = 0; i < 200 && others < 5; ++i) {
        while (by_domain().count("b.example") != 0) {
            const auto plan = plan_for("b.example");
            answer(*plan, {"250 ok"});
            end(*plan);
            ++others;
        }
        pass_to_wake(1s);
    }
    EXPECT_EQ(others, 5U);
    EXPECT_LE(scheduler->in_memory(), 300U);
    // And none of the flood is lost.
    std::size_t delivered = 0;
    for (int i = 0; i < 100'000 && delivered < 600; ++i) {
        while (!plans.empty()) {
            delivered += reply_to_next({"250 ok"})->recipients.size();
        }
        pass_to_wake(1min);
    }
    EXPECT_EQ(delivered, 600U);
}

TEST_F(DestinationsTest, SomeSlowDomainsWithTheirShareEachDoNotKeepOthersOut) {
    options.window = 40;
    options.backends[outgoing_backend].recipients_per_transaction = 10;
    options.backends[outgoing_backend].connections = 8;
    for (const char* domain : {"a.example", "b.example", "c.example"}) {
        for (int i = 0; i < 40; ++i) {
            put({"u" + std::to_string(i) + '@' + domain}, 1h);
        }
    }
    const auto other = put({"v@dead.example"}, 30min);
    begin();
    for (int i = 0; i < 200 && by_domain().count("dead.example") == 0; ++i) {
        pass_to_wake(1s);
    }
    EXPECT_EQ(by_domain()["dead.example"], 1U);
    EXPECT_EQ(plans.size(), 7U);
    EXPECT_EQ(row(other).attempts, 0U);
}

TEST_F(DestinationsTest, OperatorsReachWhatWaitsInTheLines) {
    options.backends[outgoing_backend].connections_per_domain = 1;
    begin();
    send({"u@a.example"});
    const auto id = send({"v@a.example"});
    EXPECT_TRUE(scheduler->order(Order::hold, id, row(id), "somebody", now));
    run();
    reply_to_next({"250 ok"});
    EXPECT_TRUE(plans.empty());
    EXPECT_EQ(row(id).state, RecipientState::held);
}

TEST_F(DestinationsTest, AReloadThatBringsARelayTakesAllAlong) {
    options.backends[outgoing_backend].connections_per_domain = 1;
    begin();
    send({"u@a.example"});
    const auto id = send({"v@a.example"});
    Options with_relay = options;
    with_relay.backends[outgoing_backend].connections_per_domain = 0;
    with_relay.backends[outgoing_backend].endpoints = {*lmtp_client::parse_endpoint("smtp://relay.example:25")};
    scheduler->reconfigure(with_relay, route(), now);
    run();
    ASSERT_EQ(plans.size(), 2U);
    reply_to_next({"250 ok"});
    EXPECT_EQ(reply_to_next({"250 ok"})->endpoint.to_string(), "smtp://relay.example:25");
    EXPECT_EQ(row(id).state, RecipientState::delivered);
    EXPECT_EQ(state(outgoing_backend).in_flight, 0U);
}

TEST_F(DestinationsTest, WhatIsOnItsWayKeepsItsPlaceWhileTheWayOutIsGoneForAMoment) {
    begin();
    send({"u@a.example"});
    send({"v@a.example"});
    const auto first = next_plan();
    const auto second = next_plan();
    const Options with = options;
    options.backends.erase(outgoing_backend);
    scheduler->reconfigure(options, route(), now);
    run();
    options = with;
    scheduler->reconfigure(options, route(), now);
    run();
    send({"w@a.example"});
    send({"x@a.example"});
    EXPECT_TRUE(plans.empty()) << "two are on their way still";
    answer(*first, {"250 ok"});
    end(*first);
    EXPECT_EQ(plans.size(), 1U);
    answer(*second, {"250 ok"});
    end(*second);
    EXPECT_EQ(plans.size(), 2U);
}

TEST_F(DestinationsTest, ReportsNameWhoAnsweredAndNobodyWhenNobodyDid) {
    begin();
    send({"u@a.example", "v@a.example"});
    const auto plan = next_plan();
    Outcome told;
    told.fate = Fate::replied;
    told.peer = "mx1.a.example[192.0.2.1]:25";
    told.reply = reply("550 5.1.1 unknown");
    scheduler->outcome(plan->number, 0, told, now);
    told.reply = reply("250 ok");
    scheduler->outcome(plan->number, 1, told, now);
    end(*plan);
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_EQ(tellings[0].second.remote_mta, "mx1.a.example");
    EXPECT_EQ(history.back().endpoint, "mx1.a.example[192.0.2.1]:25");
    send({"u@b.example"});
    const auto nobody = next_plan();
    scheduler->outcome(nobody->number, 0, {Fate::unable, reply("556 5.1.10 null MX")}, now);
    end(*nobody);
    ASSERT_EQ(tellings.size(), 2U);
    EXPECT_EQ(tellings[1].second.remote_mta, "");
}

TEST(Destinations, ForgetAtOnceWhereNothingFailed) {
    Destinations destinations;
    const queue::SteadyInstant shortly_after_boot(10s);
    destinations.began("a.example");
    destinations.ended("a.example", Trouble::none, "", shortly_after_boot);
    destinations.released("a.example");
    destinations.tidy(shortly_after_boot);
    EXPECT_EQ(destinations.find("a.example"), nullptr);
}

TEST(Destinations, ForgetWhatIsOver) {
    Destinations destinations;
    queue::SteadyInstant now(1000h);
    destinations.began("a.example");
    destinations.ended("a.example", Trouble::connect, "refused", now);
    destinations.tidy(now + 3h);
    EXPECT_NE(destinations.find("a.example"), nullptr) << "at work";
    destinations.released("a.example");
    destinations.hurry("a.example", now + 1s);
    destinations.tidy(now + 30min);
    EXPECT_NE(destinations.find("a.example"), nullptr) << "it may fail again";
    destinations.tidy(now + 3h);
    EXPECT_EQ(destinations.find("a.example"), nullptr);
}

}  // namespace
}  // namespace postern::delivery::tests
