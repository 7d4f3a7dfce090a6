// Endpoint faults against recipient faults, and the way back after an outage.
#include "gateway/delivery/circuit.hpp"

#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class CircuitTest : public SchedulerTest {};

// Shows: RFC 5321 4.2.3 (421), design: the endpoint's fault is never charged to a recipient
TEST_F(CircuitTest, WhatIsTheEndpointsFaultNeverReturnsMailNorChargesIt) {
    for (const Trouble trouble : {Trouble::connect, Trouble::greeting, Trouble::shutting_down}) {
        begin();
        const auto id = send({"a@example.com", "b@example.com"});
        break_next(Fate::not_tried, trouble, "554 5.3.2 no service here");
        for (int outage = 0; outage < 10; ++outage) {
            pass_to_wake(10s);
            if (!probes.empty()) {
                answer_probe(true);
                break_next(Fate::not_tried, trouble);
            }
        }
        for (queue::Ordinal ordinal = 0; ordinal < 2; ++ordinal) {
            EXPECT_EQ(row(id, ordinal).state, RecipientState::ready);
            EXPECT_EQ(row(id, ordinal).attempts, 0U);
        }
        EXPECT_TRUE(history.empty());
        rows.clear();
        plans.clear();
        probes.clear();
        loads.clear();
        scheduler.reset();
    }
}

TEST_F(CircuitTest, OneProbeAtATimeAtGrowingIntervals) {
    begin();
    send({"a@example.com"});
    const auto began = now.steady;
    break_next(Fate::not_tried, Trouble::connect);
    std::vector<queue::Duration> at;
    for (int i = 0; i < 5; ++i) {
        while (probes.empty()) {
            pass_to_wake(10s);
        }
        at.push_back(std::chrono::duration_cast<queue::Duration>(now.steady - began));
        pass(500ms);
        ASSERT_EQ(probes.size(), 1U) << "a second probe beside the first";
        answer_probe(false);
    }
    EXPECT_THAT(at, testing::ElementsAre(1s, 3s, 5s, 7s, 9s));
    EXPECT_TRUE(plans.empty());
}

TEST_F(CircuitTest, AfterAnOutageWhatWaitedGoesAtOnceRampingUp) {
    begin();
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect);
    for (int i = 0; i < 100; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
    }
    pass(1s);
    answer_probe(true);
    EXPECT_EQ(events.count("up store1:24"), 1U);
    EXPECT_EQ(plans.size(), 2U) << "few at first";
    std::size_t most = 0;
    for (int i = 0; i < 60; ++i) {
        reply_to_next({"250 ok"});
        most = std::max(most, plans.size());
    }
    EXPECT_EQ(most, options.backends["stores"].connections);
}

TEST_F(CircuitTest, ASingleBrokenConnectionMayBeAboutOneMessage) {
    begin();
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::broken);
    EXPECT_EQ(state().endpoints[0].circuit, Circuit::State::closed);
    break_next(Fate::not_tried, Trouble::broken);
    EXPECT_EQ(state().endpoints[0].circuit, Circuit::State::open);
    EXPECT_EQ(events.count("down store1:24"), 1U);
}

TEST_F(CircuitTest, AMessageThatBreaksTheStoreTimeAfterTimeWaits) {
    begin();
    const auto bad = send({"bad@example.com"});
    for (int turn = 0; row(bad).state == RecipientState::ready; ++turn) {
        ASSERT_LT(turn, 50);
        const auto good = send({"good@example.com"});
        while (row(good).state != RecipientState::delivered && row(bad).state == RecipientState::ready) {
            if (plans.empty()) {
                pass_to_wake();
                answer_probe(true);
            } else if (plans.front()->message == bad) {
                break_next(Fate::not_tried, Trouble::broken);
            } else {
                reply_to_next({"250 ok"});
            }
        }
    }
    EXPECT_EQ(row(bad).state, RecipientState::waiting);
    EXPECT_EQ(row(bad).attempts, 1U);
}

TEST_F(CircuitTest, AStoreThatHasEnoughConnectionsIsNotDown) {
    begin();
    for (int i = 0; i < 40; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
    }
    for (int i = 0; i < 10; ++i) {
        reply_to_next({"250 ok"});
    }
    const std::uint32_t before = state().endpoints[0].allowed;
    break_next(Fate::not_tried, Trouble::greeting, "421 4.3.2 too many connections");
    EXPECT_EQ(state().endpoints[0].circuit, Circuit::State::closed);
    EXPECT_LT(state().endpoints[0].allowed, before);
    // Refused again without a success in between, it is down.
    break_next(Fate::not_tried, Trouble::greeting, "421 4.3.2 too many connections");
    EXPECT_EQ(state().endpoints[0].circuit, Circuit::State::open);
}

TEST_F(CircuitTest, AStoreThatOnlyGreetsWellIsTriedEverMoreSeldom) {
    begin();
    send({"a@example.com"});
    const auto began = now.wall;
    break_next(Fate::not_tried, Trouble::shutting_down, "421 4.3.2 no");
    std::vector<queue::Duration> pauses;
    for (int relapse = 0; relapse < 7; ++relapse) {
        const auto down = now.steady;
        while (probes.empty()) {
            pass_to_wake(10s);
        }
        pauses.push_back(std::chrono::duration_cast<queue::Duration>(now.steady - down));
        EXPECT_EQ(state().down_since, began) << "it is the same outage";
        answer_probe(true);
        break_next(Fate::not_tried, Trouble::shutting_down, "421 4.3.2 no");
        EXPECT_EQ(state().endpoints[0].since, began);
    }
    EXPECT_THAT(pauses, testing::ElementsAre(1s, 2s, 4s, 8s, 16s, 30s, 30s));
    pass(30s);
    answer_probe(true);
    reply_to_next({"250 ok"});
    send({"b@example.com"});
    break_next(Fate::not_tried, Trouble::connect);
    pass(1s);
    EXPECT_EQ(probes.size(), 1U) << "what has worked is trusted again";
}

TEST_F(CircuitTest, WhatHungBeforeAnOutageTakesNoPlaceAfterIt) {
    options.backends["stores"].connections = 8;
    begin();
    for (int i = 0; i < 20; ++i) {
        send({"warm@example.com"});
        reply_to_next({"250 ok"});
    }
    for (int i = 0; i < 7; ++i) {
        send({"hung" + std::to_string(i) + "@example.com"});
    }
    std::vector<std::shared_ptr<const Plan>> hung(plans.begin(), plans.end());
    ASSERT_EQ(hung.size(), 7U);
    plans.clear();
    send({"last@example.com"});
    send({"one-more@example.com"});
    pass(10s);
    break_next(Fate::not_tried, Trouble::connect);
    pass(1s);
    answer_probe(true);
    EXPECT_EQ(plans.size(), 1U) << "all of its connections, and none beyond";
    reply_to_next({"250 ok"});
    reply_to_next({"250 ok"});
    EXPECT_TRUE(plans.empty());
    for (const auto& plan : hung) {
        break_up(*plan);
    }
    EXPECT_EQ(state().in_flight, plans.size());
}

TEST_F(CircuitTest, OwnContentThatCannotBeReadIsNotTheStoresFault) {
    begin();
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::content);
    break_next(Fate::not_tried, Trouble::content);
    break_next(Fate::not_tried, Trouble::content);
    EXPECT_EQ(state().endpoints[0].circuit, Circuit::State::closed);
}

TEST_F(CircuitTest, WhatExpiresWhileTheStoreIsDownIsParkedInMemoryOrNot) {
    options.window = 10;
    begin();
    const auto fresh = send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect, "connection refused");
    // The window is full of what is not old; what is old has a later turn.
    for (int i = 0; i < 20; ++i) {
        send({"young" + std::to_string(i) + "@example.com"});
    }
    const auto old = put({"old@example.com"}, options.retry.expire + 1h);
    rows.at({old.value(), 0}).recipient.next_attempt_at = now.wall + 1h;
    for (int i = 0; i < 40; ++i) {
        pass(2s);
        if (!probes.empty()) {
            answer_probe(false);
        }
    }
    EXPECT_EQ(row(old).state, RecipientState::parked);
    EXPECT_FALSE(row(old).failed);
    EXPECT_EQ(row(fresh).state, RecipientState::ready);
}

}  // namespace
}  // namespace postern::delivery::tests
