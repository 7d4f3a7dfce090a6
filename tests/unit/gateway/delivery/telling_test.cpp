// Of what senders have to hear: failures, expiry, successes that nobody else reports, delays; and the way out.
#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

using queue::Notice;

class TellingTest : public SchedulerTest {
protected:
    queue::MessageId send_with(mail::DsnNotify notify) {
        const auto id = put({"a@example.com"});
        rows.at({id.value(), 0}).recipient.dsn.notify = notify;
        scheduler->look("stores");
        run();
        return id;
    }
    void deliver(bool dsn_passed_on) {
        const auto plan = next_plan();
        Outcome outcome{Fate::replied, reply("250 2.0.0 ok")};
        outcome.dsn_passed_on = dsn_passed_on;
        scheduler->outcome(plan->number, 0, outcome, now);
        end(*plan);
    }
};

TEST_F(TellingTest, APermanentFailureIsTold) {
    begin();
    send({"a@example.com", "b@example.com"});
    reply_to_next({"550 5.1.1 unknown", "250 2.0.0 ok"});
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_EQ(tellings[0].first, "a@example.com");
    EXPECT_EQ(tellings[0].second.notice, Notice::failed);
    EXPECT_FALSE(tellings[0].second.expired);
    EXPECT_EQ(tellings[0].second.remote_mta, "") << "the stores' names are ours to know";
}

TEST_F(TellingTest, WhatTheBrakeKeepsIsNotTold) {
    options.backends["stores"].brake.failures = 1;
    options.backends["stores"].brake.recipients = 1;
    begin();
    send({"a@example.com"});
    reply_to_next({"550 5.1.1 unknown"});
    EXPECT_TRUE(tellings.empty());
}

TEST_F(TellingTest, ExpiryIsTold) {
    begin();
    put({"a@example.com"}, options.retry.expire + 1h);
    scheduler->look("stores");
    run();
    reply_to_next({"450 4.2.1 later"});
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_TRUE(tellings[0].second.expired);
}

TEST_F(TellingTest, WithoutRoomForReportsTheLateAreNotLookedAtAgainAndAgain) {
    options.retry.delay_notice = 4h;
    begin();
    std::vector<std::string> everybody;
    for (int i = 0; i < 600; ++i) {
        everybody.push_back("u" + std::to_string(i) + "@example.com");
    }
    put({"x@example.com"});
    scheduler->look("stores");
    run();
    break_next(Fate::not_tried, Trouble::connect);
    put(everybody, options.retry.delay_notice + 1h);
    no_room = true;
    for (int i = 0; i < 10; ++i) {
        scheduler->has_no_room(now);
        pass(1min);
        while (!probes.empty()) {
            answer_probe(false);
        }
    }
    no_room = false;
    for (int i = 0; i < 10; ++i) {
        pass(1min);
        while (!probes.empty()) {
            answer_probe(false);
        }
    }
    EXPECT_GE(tellings.size(), 600U) << "once there is room they are told";
}

TEST_F(TellingTest, ExpiryWithoutAStoreIsTold) {
    begin();
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect);
    pass(options.retry.expire + 2h);
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_TRUE(tellings[0].second.expired);
}

// Shows: RFC 3461 section 5.2.2
TEST_F(TellingTest, ASuccessIsToldWhenTheStoreWillNot) {
    begin();
    send_with(mail::DsnNotify::success);
    deliver(false);
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_EQ(tellings[0].second.notice, Notice::relayed);
    send_with(mail::DsnNotify::success);
    deliver(true);
    send_with(mail::DsnNotify::failure);
    deliver(false);
    send_with(mail::DsnNotify::unspecified);
    deliver(false);
    EXPECT_EQ(tellings.size(), 1U);
}

TEST_F(TellingTest, ADelayIsToldOnceAndOnlyWhenItIsOne) {
    options.retry.delay_notice = 4h;
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    EXPECT_TRUE(tellings.empty());
    for (int hours = 0; hours < 8; ++hours) {
        pass(1h);
        while (!plans.empty()) {
            reply_to_next({"450 4.2.1 later"});
        }
    }
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_EQ(tellings[0].second.notice, Notice::delayed);
    EXPECT_TRUE(tellings[0].second.changes_all);
    EXPECT_EQ(row(id).state, RecipientState::waiting);
}

TEST_F(TellingTest, WhoWaitsForADeadStoreIsToldToo) {
    options.retry.delay_notice = 4h;
    begin();
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect);
    std::vector<std::string> many;
    for (int i = 0; i < 1200; ++i) {
        many.push_back("r" + std::to_string(i) + "@example.com");
    }
    put(many);
    pass(3h);
    EXPECT_TRUE(tellings.empty());
    pass(2h);
    for (int i = 0; i < 10; ++i) {
        pass(1min);
    }
    EXPECT_EQ(tellings.size(), 1201U);
    for (const auto& [address, telling] : tellings) {
        EXPECT_EQ(telling.notice, Notice::delayed);
        EXPECT_FALSE(telling.changes_all);
    }
    pass(1h);
    EXPECT_EQ(tellings.size(), 1201U) << "once";
}

TEST_F(TellingTest, NoNoticeWhenNoneIsWanted) {
    options.retry.delay_notice = queue::Duration(0);
    begin();
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect);
    pass(48h);
    EXPECT_TRUE(tellings.empty());
}

TEST_F(TellingTest, AnOperatorReturnsWhatWaitsAndWhatIsParked) {
    begin();
    const auto waiting = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    ASSERT_TRUE(scheduler->order(Order::bounce, waiting, row(waiting), "root", now, "moved away"));
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_TRUE(tellings[0].second.by_hand);
    EXPECT_EQ(row(waiting).last_reply, "(returned by the operator: moved away)");
    EXPECT_EQ(history.back().event, "returned");
    EXPECT_EQ(history.back().actor, "root");
    pass(24h);
    EXPECT_TRUE(plans.empty()) << "it is not tried any more";

    const auto parked = send({"b@example.com"});
    reply_to_next({"550 5.1.1 unknown"});
    ASSERT_TRUE(scheduler->order(Order::bounce, parked, row(parked), "root", now, ""));
    EXPECT_EQ(row(parked).last_reply, "550 5.1.1 unknown") << "the store's words say more";
    EXPECT_TRUE(row(parked).failed);
    EXPECT_FALSE(tellings.back().second.expired);
}

TEST_F(TellingTest, WhatIsInFlightIsReturnedOnlyOnceItIsNotDelivered) {
    begin();
    const auto delivered = send({"a@example.com"});
    auto plan = next_plan();
    ASSERT_TRUE(scheduler->order(Order::bounce, delivered, row(delivered), "root", now, "moved away"));
    EXPECT_EQ(row(delivered).state, RecipientState::held) << "a crash now leaves it with the operator";
    EXPECT_TRUE(tellings.empty());
    answer(*plan, {"250 2.0.0 ok"});
    end(*plan);
    EXPECT_EQ(row(delivered).state, RecipientState::delivered);
    EXPECT_TRUE(tellings.empty());

    const auto deferred = send({"b@example.com"});
    plan = next_plan();
    ASSERT_TRUE(scheduler->order(Order::bounce, deferred, row(deferred), "root", now, "moved away"));
    answer(*plan, {"450 4.2.1 later"});
    end(*plan);
    EXPECT_EQ(row(deferred).state, RecipientState::parked);
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_TRUE(tellings[0].second.by_hand);

    const auto untried = send({"c@example.com"});
    ASSERT_TRUE(scheduler->order(Order::bounce, untried, row(untried), "root", now));
    break_next(Fate::not_tried, Trouble::connect);
    EXPECT_EQ(tellings.size(), 2U);
}

// ---- The way out ----

class OutgoingTest : public TellingTest {
protected:
    OutgoingTest() {
        add_backend(outgoing_backend, {"smtp://relay:25"});
        options.backends[outgoing_backend].is_elsewhere = true;
    }
    queue::MessageId send_out(const std::string& address, queue::Duration wait = {}) {
        const auto id = put({address});
        queue::Recipient& recipient = rows.at({id.value(), 0}).recipient;
        recipient.backend = outgoing_backend;
        recipient.next_attempt_at = now.wall + wait;
        auto message = std::make_shared<queue::CommittedMessage>();
        message->envelope.id = id;
        message->envelope.received_at = now.wall;
        message->recipients.push_back(recipient);
        scheduler->committed(message, now);
        run();
        return id;
    }
};

TEST_F(OutgoingTest, GoesToTheRelayWhichReportsName) {
    begin();
    const auto id = send_out("ann@elsewhere.example");
    EXPECT_EQ(plans.front()->endpoint.to_string(), "smtp://relay:25");
    reply_to_next({"550 5.1.1 unknown"});
    EXPECT_EQ(row(id).backend, outgoing_backend);
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_EQ(tellings[0].second.remote_mta, "relay");
}

TEST_F(OutgoingTest, MailWhoseOwnBackendIsGoneNeverGoesOut) {
    begin();
    const auto id = send({"a@example.com"});
    reply_to_next({"450 4.2.1 later"});
    routes.clear();
    scheduler->reconfigure(options, route(), now);
    run();
    pass(48h);
    EXPECT_TRUE(plans.empty());
    EXPECT_EQ(row(id).backend, "");
}

TEST_F(OutgoingTest, WaitsForAWayOutWhileThereIsNone) {
    begin();
    const auto id = send_out("ann@elsewhere.example");
    reply_to_next({"450 4.2.1 later"});
    options.backends.erase(outgoing_backend);
    scheduler->reconfigure(options, route(), now);
    pass(48h);
    EXPECT_TRUE(plans.empty());
    EXPECT_EQ(row(id).backend, outgoing_backend);
    EXPECT_EQ(row(id).state, RecipientState::waiting);
    add_backend(outgoing_backend, {"smtp://other:25"});
    scheduler->reconfigure(options, route(), now);
    run();
    ASSERT_EQ(plans.size(), 1U);
    EXPECT_EQ(plans.front()->endpoint.to_string(), "smtp://other:25");
}

TEST_F(OutgoingTest, ADomainThatBecomesOursStaysAtHome) {
    begin();
    send_out("ann@elsewhere.example");
    reply_to_next({"450 4.2.1 later"});
    routes["elsewhere.example"] = "stores";
    scheduler->reconfigure(options, route(), now);
    pass(1h);
    ASSERT_EQ(plans.size(), 1U);
    EXPECT_EQ(plans.front()->endpoint.to_string(), "store1:24");
}

// No operator can mend a stranger's server: what it never answers for is not held, but expires, and is told.
TEST_F(OutgoingTest, WhatIsNeverAnsweredForExpires) {
    begin();
    const auto id = send_out("ann@elsewhere.example");
    std::uint32_t times = 0;
    while (row(id).state != RecipientState::parked) {
        ASSERT_LT(++times, 200U) << "each may be a duplicate";
        while (plans.empty()) {
            pass_to_wake(1h);
            if (!probes.empty()) {
                answer_probe(true);
            }
        }
        break_next(Fate::unknown, Trouble::broken);
        ASSERT_NE(row(id).state, RecipientState::held);
        EXPECT_EQ(row(id).attempts, times < 5 ? 0U : times - 4);
    }
    EXPECT_GT(times, 5U);
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_EQ(tellings[0].second.notice, Notice::failed);
    EXPECT_TRUE(tellings[0].second.expired);
    EXPECT_EQ(row(id).last_reply, "(the store did not answer for this recipient: perhaps delivered)");
}

TEST_F(OutgoingTest, AnUnknownOfWhatIsTooOldIsTheLast) {
    begin();
    const auto id = send_out("ann@elsewhere.example");
    const auto plan = next_plan();
    now.wall += options.retry.expire + 1h;
    now.steady += options.retry.expire + 1h;
    scheduler->outcome(plan->number, 0, {Fate::unknown, {}}, now);
    end(*plan, Trouble::broken);
    EXPECT_EQ(row(id).state, RecipientState::parked);
    ASSERT_EQ(tellings.size(), 1U);
    EXPECT_TRUE(tellings[0].second.expired);
}

TEST_F(OutgoingTest, AReportWaitsForItsTurn) {
    begin();
    send_out("ann@elsewhere.example", 90s);
    EXPECT_TRUE(plans.empty());
    pass(89s);
    EXPECT_TRUE(plans.empty());
    pass_to_wake();
    EXPECT_EQ(plans.size(), 1U);
}

TEST_F(OutgoingTest, ALineOfReportsDelaysNoLocalDelivery) {
    options.backends[outgoing_backend].connections = 1;
    begin();
    for (int i = 0; i < 10'000; ++i) {
        put({"r" + std::to_string(i) + "@elsewhere.example"});
        rows.rbegin()->second.recipient.backend = outgoing_backend;
    }
    scheduler->look(outgoing_backend);
    run();
    EXPECT_LE(scheduler->in_memory(), options.window);
    const auto id = send({"a@example.com"});
    const auto local = std::find_if(plans.begin(), plans.end(), [id](const auto& plan) { return plan->message == id; });
    ASSERT_NE(local, plans.end()) << "it has begun, whatever waits for the relay";
}

}  // namespace
}  // namespace postern::delivery::tests
