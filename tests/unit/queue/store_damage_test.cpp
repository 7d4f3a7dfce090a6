// A queue that closes itself again and again: it is tried at growing intervals, what changes is told once, and who
// reads it learns what to do.
#include <climits>
#include <fstream>

#include "tests/unit/queue/fault_vfs.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

using namespace testing_faults;

class HandClock final : public Clock {
public:
    Instant wall() const override { return Instant(std::chrono::hours(500'000)) + passed; }
    SteadyInstant steady() const override { return SteadyInstant(std::chrono::hours(1) + passed); }
    Duration passed{};
};

class StoreDamageTest : public StoreFixture {
protected:
    StoreDamageTest() {
        options_.vfs = name();
        options_.history = Duration(0);
        options_.by_hand = true;
        options_.try_again_after = std::chrono::seconds(1);
        options_.try_again_max = std::chrono::seconds(60);
    }
    ~StoreDamageTest() override { plan.disarm(); }

    void open_by_hand() {
        auto opened = SqliteStore::open(options_, hand_, ears_);
        ASSERT_TRUE(opened.has_value()) << opened.error().text;
        store_ = std::move(*opened);
    }
    StoreStatus accept_by_hand(MessageId* id = nullptr) {
        auto message = store_->begin();
        if (id != nullptr) {
            *id = message->id();
        }
        StoreStatus told = StoreStatus::failed;
        message->commit(Envelope(), {recipient("a@example.com")}, "content",
                        [&told](StoreStatus status) { told = status; });
        store_->work(true);
        return told;
    }
    StoreStatus hold_by_hand(MessageId id) {
        StoreStatus told = StoreStatus::failed;
        store_->record({update(id, 0, RecipientState::held)}, {}, [&told](StoreStatus status) { told = status; });
        store_->work(true);
        return told;
    }
    bool is_open() { return store_->admit(0) == StoreStatus::stored; }
    /// Seconds until it is open again.
    int seconds_closed() {
        int seconds = 0;
        while (!is_open() && seconds < 1000) {
            hand_.passed += std::chrono::seconds(1);
            store_->work(true);
            ++seconds;
        }
        return seconds;
    }

    /// Overwrites the last leaf of the recipients.
    void damage() {
        constexpr std::streamoff page = 4096;
        const std::int64_t root = query("SELECT rootpage FROM sqlite_schema WHERE name = 'recipient'");
        std::fstream file(options_.path, std::ios::in | std::ios::out | std::ios::binary);
        unsigned char header[12] = {};
        file.seekg((root - 1) * page);
        file.read(reinterpret_cast<char*>(header), sizeof(header));
        ASSERT_EQ(header[0], 2) << "no inner page: too few rows";
        const std::streamoff leaf = header[8] << 24 | header[9] << 16 | header[10] << 8 | header[11];
        file.seekp((leaf - 1) * page);
        file << std::string(page, '\xff');
    }

    HandClock hand_;
};

TEST_F(StoreDamageTest, ADamagedQueueIsTriedLessAndLessOftenAndToldOnce) {
    MessageId last;
    open_by_hand();
    for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(accept_by_hand(&last), StoreStatus::stored);
    }
    store_.reset();
    const auto copy = folder_ / "copy";
    std::filesystem::copy_file(options_.path, copy);
    damage();

    open_by_hand();
    ASSERT_TRUE(is_open()) << "nobody has come across it yet";
    EXPECT_EQ(hold_by_hand(last), StoreStatus::failed);
    EXPECT_FALSE(is_open());
    plan.arm(open_operation, INT_MAX, false, false);
    std::vector<int> tried;
    for (int second = 1; second <= 200; ++second) {
        const int before = plan.countdown;
        hand_.passed += std::chrono::seconds(1);
        store_->work(true);
        store_->work(true);
        if (plan.countdown != before) {
            tried.push_back(second);
        }
        ASSERT_FALSE(is_open());
    }
    EXPECT_EQ(tried, (std::vector<int>{1, 3, 7, 15, 31, 63, 123, 183}));
    const auto told = ears_.health();
    ASSERT_EQ(told.size(), 2U) << "what went wrong, and what the check found";
    for (const std::string& text : told) {
        EXPECT_NE(text.find(options_.path.string()), std::string::npos) << text;
        EXPECT_NE(text.find("restore a backup"), std::string::npos) << text;
    }
    EXPECT_EQ(accept_by_hand(), StoreStatus::failed);

    // Put right, it opens by itself.
    std::filesystem::copy_file(copy, options_.path, std::filesystem::copy_options::overwrite_existing);
    EXPECT_LE(seconds_closed(), 60);
    EXPECT_EQ(ears_.health().back(), "");
    EXPECT_EQ(ears_.health().size(), 3U);
    EXPECT_EQ(hold_by_hand(last), StoreStatus::stored);
    expect_right_counts();
}

TEST_F(StoreDamageTest, OneThatClosesAgainSoonIsOpenedLater) {
    open_by_hand();
    std::vector<int> closed;
    for (int i = 0; i < 8; ++i) {
        plan.arm(sync_operation, 1, false, false);
        EXPECT_EQ(accept_by_hand(), StoreStatus::doubtful);
        closed.push_back(seconds_closed());
    }
    EXPECT_EQ(closed, (std::vector<int>{1, 2, 4, 8, 16, 32, 60, 60}));
    EXPECT_EQ(accept_by_hand(), StoreStatus::stored);
    // After a minute without a fault it is a new one.
    hand_.passed += std::chrono::minutes(1);
    plan.arm(sync_operation, 1, false, false);
    EXPECT_EQ(accept_by_hand(), StoreStatus::doubtful);
    EXPECT_EQ(seconds_closed(), 1);
}

}  // namespace
}  // namespace postern::queue
