#include "gateway/delivery/admission.hpp"

#include "tests/unit/gateway/delivery/fixture.hpp"

namespace postern::delivery::tests {
namespace {

class AdmissionTest : public SchedulerTest {
protected:
    AdmissionTest() {
        options.backends["stores"].refuse_after_down = 1h;
        add_backend("others", {"other:24"});
        routes["example.org"] = "others";
    }
    void stay_down(queue::Duration time) {
        const auto until = now.steady + time;
        while (now.steady < until) {
            pass_to_wake(std::chrono::ceil<queue::Duration>(until - now.steady));
            if (!probes.empty()) {
                answer_probe(false);
            }
        }
    }
    void go_down() {
        send({"a@example.com"});
        break_next(Fate::not_tried, Trouble::connect);
    }
    void come_back() {
        while (probes.empty()) {
            pass_to_wake(10s);
        }
        answer_probe(true);
    }
};

TEST_F(AdmissionTest, RefusesMailForABackendThatIsDownForLongAndForNoOther) {
    begin();
    go_down();
    stay_down(59min);
    EXPECT_TRUE(refused.empty());
    stay_down(1min);
    ASSERT_EQ(refused.count("stores"), 1U);
    EXPECT_EQ(refused.size(), 1U);
    EXPECT_EQ(events.count("refusing stores"), 1U);
    const auto id = send({"x@example.org"});
    reply_to_next({"250 ok"});
    EXPECT_EQ(row(id).state, RecipientState::delivered);
}

TEST_F(AdmissionTest, TakesMailForABackendThatIsPausedHoweverItWasThen) {
    begin();
    go_down();
    stay_down(1s);
    EXPECT_EQ(scheduler->order(BackendOrder::pause, "stores", "ann", "moves", now), Scheduler::Ordered::done);
    stay_down(5h);
    EXPECT_TRUE(refused.empty());
}

TEST_F(AdmissionTest, TakesMailAgainOnlyOnceTheBackendHasBeenWellForAWhile) {
    begin();
    go_down();
    stay_down(61min);
    come_back();
    pass(10s);
    EXPECT_EQ(refused.count("stores"), 1U);
    break_next(Fate::not_tried, Trouble::connect);  // it flaps
    stay_down(40s);
    EXPECT_EQ(refused.count("stores"), 1U);
    come_back();
    reply_to_next({"250 ok"});
    pass(29s);
    EXPECT_EQ(refused.count("stores"), 1U);
    const auto wake = scheduler->next_wake(now);
    ASSERT_TRUE(wake) << "somebody has to look again though nothing happens";
    pass(1s);
    EXPECT_TRUE(refused.empty());
    EXPECT_EQ(events.count("accepting stores"), 1U);
}

TEST_F(AdmissionTest, ZeroTurnsItOff) {
    options.backends["stores"].refuse_after_down = 0s;
    begin();
    go_down();
    stay_down(6h);
    EXPECT_TRUE(refused.empty());
}

TEST_F(AdmissionTest, RefusesAboveTheBacklogAndAgainBelowFourFifths) {
    options.backends["stores"].refuse_backlog = 10;
    options.backends["stores"].connections = 1;
    begin();
    for (int i = 0; i < 10; ++i) {
        send({"u" + std::to_string(i) + "@example.com"});
    }
    EXPECT_TRUE(refused.empty());
    send({"more@example.com"});
    EXPECT_EQ(refused.count("stores"), 1U);
    reply_to_next({"250 ok"});
    reply_to_next({"250 ok"});
    EXPECT_EQ(refused.count("stores"), 1U);
    reply_to_next({"250 ok"});
    EXPECT_TRUE(refused.empty());
}

TEST_F(AdmissionTest, CountsWhatLiesInTheStoreSinceBefore) {
    options.backends["stores"].refuse_backlog = 10;
    for (int i = 0; i < 30; ++i) {
        put({"u" + std::to_string(i) + "@example.com"});
    }
    begin();
    run();
    EXPECT_EQ(state().backlog, 30U);
    EXPECT_EQ(refused.count("stores"), 1U);
}

TEST_F(AdmissionTest, ABackendThatIsConfiguredAwayIsNotRefusedForEver) {
    begin();
    go_down();
    stay_down(61min);
    options.backends.erase("stores");
    routes.erase("example.com");
    scheduler->reconfigure(options, route(), now);
    run();
    EXPECT_TRUE(refused.empty());
}

TEST(RefusalBoard, SaysWhyFromAnyThread) {
    RefusalBoard board;
    EXPECT_EQ(board.why("stores"), std::nullopt);
    board.publish({{"stores", "down"}});
    EXPECT_EQ(board.why("stores"), "down");
    EXPECT_EQ(board.why("others"), std::nullopt);
    board.publish({});
    EXPECT_EQ(board.why("stores"), std::nullopt);
}

}  // namespace
}  // namespace postern::delivery::tests
