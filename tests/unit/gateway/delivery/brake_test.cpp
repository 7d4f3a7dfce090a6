#include "gateway/delivery/brake.hpp"

#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class BrakeTest : public SchedulerTest {
protected:
    BrakeTest() {
        options.backends["stores"].brake = {true, 10min, 10, 5, 0.8};
        options.backends["stores"].connections = 1;
    }
    void deliver(int count) {
        for (int i = 0; i < count; ++i) {
            send({"well" + std::to_string(++users) + "@example.com"});
            reply_to_next({"250 ok"});
        }
    }
    std::vector<queue::MessageId> refuse_all(int count, const std::string& user = {}) {
        std::vector<queue::MessageId> ids;
        for (int i = 0; i < count; ++i) {
            ids.push_back(send({(user.empty() ? "gone" + std::to_string(++users) : user) + "@example.com"}));
            reply_to_next({"550 5.1.1 no such user"});
        }
        return ids;
    }
    int users = 0;
};

TEST_F(BrakeTest, KeepsSuddenPermanentFailuresWithALoudEvent) {
    begin();
    deliver(20);
    pass(20min);
    const auto first = refuse_all(10);
    EXPECT_EQ(row(first[8]).state, RecipientState::parked) << "until it bites, they are believed";
    EXPECT_EQ(events.count("brake_on stores"), 1U);
    const auto kept = refuse_all(20);
    for (const auto id : kept) {
        EXPECT_EQ(row(id).state, RecipientState::waiting);
        EXPECT_FALSE(row(id).failed);
        EXPECT_THAT(row(id).last_reply, testing::HasSubstr("550 5.1.1 no such user"));
    }
    EXPECT_EQ(events.count("brake_on stores"), 1U) << "said once";
    EXPECT_TRUE(state().brake);
}

TEST_F(BrakeTest, KeepsThemBeyondTheirTimeAndLetsDeliveriesThrough) {
    begin();
    refuse_all(10);
    const auto kept = refuse_all(1).front();
    for (int day = 0; day < 10; ++day) {
        now.wall += 24h;
        now.steady += 24h;
        run();
        ASSERT_EQ(plans.size(), 1U);
        reply_to_next({"550 5.1.1 no such user"});
        ASSERT_EQ(row(kept).state, RecipientState::waiting);
    }
    pass(24h);
    reply_to_next({"250 2.0.0 ok"});
    EXPECT_EQ(row(kept).state, RecipientState::delivered);
}

TEST_F(BrakeTest, WhatItKeptDoesNotExpireByALaterDeferral) {
    options.retry.delay_notice = 4h;
    begin();
    refuse_all(10);
    const auto kept = refuse_all(1).front();
    const std::size_t told = tellings.size();
    pass(options.retry.expire + 24h);
    while (!plans.empty()) {  // the one at which it began to bite was kept too
        reply_to_next({"451 4.3.0 later"});
    }
    EXPECT_EQ(row(kept).state, RecipientState::waiting);
    ASSERT_EQ(tellings.size(), told + 2);
    EXPECT_EQ(tellings.back().second.notice, queue::Notice::delayed);
    pass(2h);
    while (!plans.empty()) {
        reply_to_next({"250 2.0.0 ok"});
    }
    EXPECT_EQ(row(kept).state, RecipientState::delivered);
}

TEST_F(BrakeTest, OfAStoreThatIsDownLetsTheGatewaySleep) {
    begin();
    refuse_all(10);
    pass(10min);
    send({"a@example.com"});
    break_next(Fate::not_tried, Trouble::connect);
    for (int i = 0; i < 100; ++i) {
        ASSERT_GT(*scheduler->next_wake(now), now.steady);
        pass_to_wake();
        while (!probes.empty()) {
            answer_probe(false);
        }
    }
}

TEST_F(BrakeTest, HoldsAfterARestartUntilItIsReleased) {
    begin();
    refuse_all(10);
    restart();
    EXPECT_TRUE(state().brake);
    EXPECT_EQ(row(refuse_all(1).front()).state, RecipientState::waiting);
    EXPECT_EQ(scheduler->order(BackendOrder::release_brake, "stores", "root", "mended", now), Scheduler::Ordered::done);
    EXPECT_EQ(events.count("brake_off stores"), 1U);
    EXPECT_EQ(row(refuse_all(1).front()).state, RecipientState::parked);
    restart();
    EXPECT_FALSE(state().brake);
    EXPECT_EQ(scheduler->order(BackendOrder::release_brake, "stores", "root", "", now),
              Scheduler::Ordered::nothing_to_do);
}

TEST_F(BrakeTest, NeedsManyDifferentRecipients) {
    begin();
    refuse_all(100, "gone");
    EXPECT_EQ(events.count("brake_on stores"), 0U);
}

TEST_F(BrakeTest, NeedsThemWithinTheWindow) {
    begin();
    for (int i = 0; i < 100; ++i) {
        refuse_all(1);
        pass(2min);
    }
    EXPECT_EQ(events.count("brake_on stores"), 0U);
}

TEST_F(BrakeTest, NeedsThemToBeMostOfWhatIsSaid) {
    begin();
    for (int i = 0; i < 50; ++i) {
        deliver(1);
        refuse_all(2);
    }
    EXPECT_EQ(events.count("brake_on stores"), 0U);
}

TEST_F(BrakeTest, WhatIsUsualForABackendIsNotSudden) {
    begin();
    // Three quarters of its mail are refused, day after day; one hour it is a little more.
    options.backends["stores"].brake.ratio = 0.7;
    scheduler->reconfigure(options, route(), now);
    deliver(60);
    for (int i = 0; i < 60; ++i) {
        deliver(10);
        for (int j = 0; j < 20; ++j) {
            refuse_all(1);
        }
        pass(4min);
    }
    EXPECT_EQ(events.count("brake_on stores"), 0U);
    refuse_all(30);
    EXPECT_EQ(events.count("brake_on stores"), 0U) << "30 of 50 and more: not far above what is usual";
    refuse_all(400);
    EXPECT_EQ(events.count("brake_on stores"), 1U) << "no delivery at all any more";
}

TEST_F(BrakeTest, CanBeTurnedOff) {
    options.backends["stores"].brake.on = false;
    begin();
    const auto ids = refuse_all(100);
    EXPECT_EQ(row(ids.back()).state, RecipientState::parked);
    EXPECT_EQ(events.count("brake_on stores"), 0U);
}

TEST_F(BrakeTest, OurOwnRefusalsAreNotTheStores) {
    begin();
    for (int i = 0; i < 30; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
        const auto plan = next_plan();
        scheduler->outcome(plan->number, 0, {Fate::unable, reply("550 5.6.7 needs SMTPUTF8")}, now);
        end(*plan);
    }
    EXPECT_EQ(events.count("brake_on stores"), 0U);
}

TEST_F(BrakeTest, OneBackendsBrakeIsNotAnothers) {
    add_backend("others", {"other:24"});
    routes["example.org"] = "others";
    begin();
    refuse_all(10);
    const auto id = send({"gone@example.org"});
    reply_to_next({"550 5.1.1 no such user"});
    EXPECT_EQ(row(id).state, RecipientState::parked);
}

TEST_F(BrakeTest, ASmallSiteNeverNoticesTheDefaults) {
    options.backends["stores"].brake = {};
    begin();
    for (int hour = 0; hour < 48; ++hour) {
        deliver(2);
        refuse_all(40);  // a dictionary attack that is not even small
        pass(1h);
    }
    EXPECT_EQ(events.count("brake_on stores"), 0U);
}

}  // namespace
}  // namespace postern::delivery::tests
