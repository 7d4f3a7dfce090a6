// The ledger of results: nothing is let go of before its results are in the store, whatever the store says meanwhile.
#include "gateway/delivery/results_ledger.hpp"

#include <gtest/gtest.h>

namespace postern::delivery {
namespace {

using queue::StoreStatus;

class Store final : public ResultsLedger::Host {
public:
    void submit(const std::shared_ptr<Recording>& recording) override { submitted.push_back(recording); }
    void released(std::uint64_t plan) override { plans.push_back(plan); }
    std::vector<std::shared_ptr<Recording>> submitted;
    std::vector<std::uint64_t> plans;
};

class Ledger : public testing::Test {
protected:
    void record() { ledger_.record({}, {}); }
    Store store_;
    ResultsLedger ledger_{store_};
};

TEST_F(Ledger, ReleasesAPlanOnceItsResultsAreStored) {
    record();
    ledger_.release_after_records(7, nullptr);
    ledger_.send();
    ASSERT_EQ(store_.submitted.size(), 1U);
    EXPECT_TRUE(store_.plans.empty());
    ledger_.recorded(store_.submitted[0], StoreStatus::stored);
    EXPECT_EQ(store_.plans, std::vector<std::uint64_t>{7});
    EXPECT_TRUE(ledger_.is_idle());
}

TEST_F(Ledger, ReleasesAtOnceWhatHasNoResults) {
    ledger_.release_after_records(7, nullptr);
    ledger_.send();
    EXPECT_EQ(store_.plans, std::vector<std::uint64_t>{7});
}

/// The end of a transaction came after the store had refused its results, and let the plan go with nothing recorded.
TEST_F(Ledger, KeepsAPlanWhoseResultsWereRefusedBeforeItEnded) {
    record();
    ledger_.send();
    ledger_.recorded(store_.submitted[0], StoreStatus::disk_full);
    ledger_.release_after_records(7, nullptr);
    ledger_.send();
    EXPECT_TRUE(store_.plans.empty());
    EXPECT_FALSE(ledger_.is_idle());
    ledger_.again();
    ASSERT_EQ(store_.submitted.size(), 2U);
    EXPECT_TRUE(store_.plans.empty());
    ledger_.recorded(store_.submitted[1], StoreStatus::stored);
    EXPECT_EQ(store_.plans, std::vector<std::uint64_t>{7});
}

/// The first of two that was stored let deliveries go on, with the other still in doubt.
TEST_F(Ledger, RecordsAgainOnlyWhenAllThatWasRefusedIsStored) {
    record();
    ledger_.send();
    record();
    ledger_.send();
    ledger_.recorded(store_.submitted[0], StoreStatus::failed);
    ledger_.recorded(store_.submitted[1], StoreStatus::failed);
    EXPECT_FALSE(ledger_.is_recording());
    ledger_.again();
    ASSERT_EQ(store_.submitted.size(), 4U);
    ledger_.recorded(store_.submitted[2], StoreStatus::stored);
    EXPECT_FALSE(ledger_.is_recording());
    ledger_.recorded(store_.submitted[3], StoreStatus::stored);
    EXPECT_TRUE(ledger_.is_recording());
    EXPECT_TRUE(ledger_.is_idle());
}

queue::RecipientUpdate failure(queue::Ordinal ordinal) {
    queue::RecipientUpdate update;
    update.message = queue::MessageId(1);
    update.ordinal = ordinal;
    update.telling.emplace();
    return update;
}

TEST_F(Ledger, KeepsFailuresTogetherUntilTheirTransactionEnds) {
    ledger_.record_at_end(7, failure(0), {});
    ledger_.send();
    ledger_.record_at_end(7, failure(1), {});
    ledger_.record_at_end(8, failure(2), {});
    record();
    ledger_.send();
    ASSERT_EQ(store_.submitted.size(), 1U) << "what was recorded at once";
    EXPECT_EQ(store_.submitted[0]->updates.size(), 1U);
    ledger_.release_after_records(7, nullptr);
    ledger_.send();
    ASSERT_EQ(store_.submitted.size(), 2U);
    EXPECT_EQ(store_.submitted[1]->updates.size(), 2U);
    EXPECT_TRUE(store_.plans.empty());
    ledger_.recorded(store_.submitted[1], StoreStatus::stored);
    EXPECT_EQ(store_.plans, std::vector<std::uint64_t>{7});
}

TEST_F(Ledger, RecordsAFailureBeforeWhatAnOperatorSaysOfIt) {
    ledger_.record_at_end(7, failure(0), {});
    ledger_.record_at_end(7, failure(1), {});
    queue::RecipientUpdate order = failure(1);
    order.telling.reset();
    ledger_.record(order, {});
    ledger_.send();
    ASSERT_EQ(store_.submitted.size(), 1U);
    const auto& updates = store_.submitted[0]->updates;
    ASSERT_EQ(updates.size(), 2U);
    EXPECT_TRUE(updates[0].telling);
    EXPECT_EQ(updates[0].ordinal, 1U);
    EXPECT_FALSE(updates[1].telling);
    ledger_.release_after_records(7, nullptr);
    ledger_.send();
    EXPECT_EQ(store_.submitted[1]->updates.size(), 1U);
}

TEST_F(Ledger, TellsAnOperatorWhatBecameOfTheOrder) {
    std::vector<StoreStatus> told;
    record();
    ledger_.when_recorded([&told](StoreStatus status) { told.push_back(status); });
    ledger_.send();
    ledger_.recorded(store_.submitted[0], StoreStatus::failed);
    EXPECT_EQ(told, std::vector<StoreStatus>{StoreStatus::failed});
    ledger_.again();
    ledger_.recorded(store_.submitted[1], StoreStatus::stored);
    EXPECT_EQ(told.size(), 1U);
}

}  // namespace
}  // namespace postern::delivery
