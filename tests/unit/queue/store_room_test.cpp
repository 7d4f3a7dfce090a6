// The store and the room it has: a disk that is full, the limits of the configuration, a reader that never ends.
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "queue/detail/disk_reserve.hpp"
#include "queue/detail/disk_room.hpp"
#include "queue/detail/log_readers.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

constexpr std::uint64_t page_octets = 4096;

using StoreRoomTest = StoreFixture;

TEST_F(StoreRoomTest, TheDeclaredSizeCounts) {
    open();
    const auto free = std::filesystem::space(folder_).available;
    store_->set_limits(free / 2, 1000);
    EXPECT_EQ(store_->admit(0), StoreStatus::stored);
    EXPECT_EQ(store_->admit(1000), StoreStatus::stored);
    EXPECT_EQ(store_->admit(free), StoreStatus::disk_full);
    EXPECT_EQ(store_->admit(UINT64_MAX), StoreStatus::disk_full);
}

TEST_F(StoreRoomTest, SaysWhatIsInTheWay) {
    open();
    EXPECT_EQ(store_->state().obstacle, Obstacle::none);
    (void)accept({"a@example.com"}, "1");
    const StoreState state = store_->state();
    EXPECT_EQ(state.messages, 1U);
    EXPECT_GT(state.log_octets, 0U);
    EXPECT_EQ(state.log_octets % page_octets, 0U);
    store_->set_limits(0, 1);
    EXPECT_EQ(store_->state().obstacle, Obstacle::many_messages);
    store_->set_limits(UINT64_MAX, 1);
    EXPECT_EQ(store_->state().obstacle, Obstacle::little_room);
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
    store_->set_limits(0, 2);
    EXPECT_EQ(store_->state().obstacle, Obstacle::none);
}

TEST_F(StoreRoomTest, TheNumberOfMessagesIsKeptOverARestart) {
    options_.maximum_messages = 2;
    open();
    (void)accept({"a@example.com"}, "1");
    const MessageId second = accept({"a@example.com"}, "2");
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
    reopen();
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
    record(second, 0, RecipientState::delivered);
    EXPECT_EQ(store_->admit(0), StoreStatus::stored);
}

// Many open messages: what they may still fill is not there for others, declared or not, and comes back when they go.
class PromisedRoom : public StoreFixture {
protected:
    static constexpr std::uint64_t room = 1 << 20;
    PromisedRoom() {
        options_.minimum_free_disk = 100 << 20;
        options_.free_disk = [this] { return std::optional<std::uint64_t>(free_.load()); };
    }
    std::atomic<std::uint64_t> free_{(100 << 20) + room};
};

TEST_F(PromisedRoom, WhatWasDeclaredIsPromised) {
    open();
    EXPECT_EQ(store_->admit(room), StoreStatus::stored);
    EXPECT_EQ(store_->admit(room + 1), StoreStatus::disk_full);
    auto first = store_->begin(room / 2);
    auto second = store_->begin(room / 2);
    EXPECT_EQ(store_->admit(1), StoreStatus::disk_full);
    EXPECT_EQ(store_->admit(UINT64_MAX), StoreStatus::disk_full);
    // Both asked before either began: the later one hears it at its end.
    auto third = store_->begin(room / 2);
    EXPECT_EQ(append(*third, "part"), StoreStatus::disk_full);
    EXPECT_EQ(commit(*third, {"a@example.com"}, "end"), StoreStatus::disk_full);
    EXPECT_EQ(commit(*first, {"a@example.com"}, std::string(room / 2, 'x')), StoreStatus::stored);
    EXPECT_EQ(store_->admit(1), StoreStatus::disk_full) << "what is written came back before it was measured";
    second.reset();
    EXPECT_EQ(store_->admit(room / 2), StoreStatus::stored);
    EXPECT_EQ(store_->admit(room / 2 + 1), StoreStatus::disk_full);
    store_->set_limits(100 << 20, 1000);  // measured anew
    EXPECT_EQ(store_->admit(room), StoreStatus::stored);
}

TEST_F(PromisedRoom, WordsAloneTakeNoDiskFromOthers) {
    free_ = (100 << 20) + 64 * room;
    open();
    std::vector<std::unique_ptr<IncomingMessage>> silent;
    for (int i = 0; i < 8; ++i) {
        silent.push_back(store_->begin(50 * room));
    }
    EXPECT_EQ(store_->admit(50 * room), StoreStatus::stored);
    EXPECT_EQ(store_->admit(56 * room), StoreStatus::stored);
    EXPECT_EQ(store_->admit(56 * room + 1), StoreStatus::disk_full) << "the first of each is promised";
    EXPECT_EQ(commit(*silent[0], {"a@example.com"}, std::string(2 * room, 'x')), StoreStatus::stored);
}

TEST_F(PromisedRoom, WhatIsNotDeclaredIsLookedAtAsItGrows) {
    open();
    const std::string part(64 << 10, 'p');
    std::vector<std::unique_ptr<IncomingMessage>> half;
    std::uint64_t taken = 0;
    for (int i = 0; i < 40; ++i) {
        half.push_back(store_->begin());
        const StoreStatus status = append(*half.back(), part);
        EXPECT_EQ(status, taken + part.size() <= room ? StoreStatus::stored : StoreStatus::disk_full) << i;
        taken += status == StoreStatus::stored ? part.size() : 0;
    }
    EXPECT_EQ(taken, room);
    EXPECT_EQ(store_->admit(0), StoreStatus::stored);
    EXPECT_EQ(store_->admit(1), StoreStatus::disk_full);
    EXPECT_EQ(append(*half[0], part), StoreStatus::disk_full);
    EXPECT_EQ(append(*half[0], "x"), StoreStatus::disk_full) << "parts are missing";
    EXPECT_EQ(store_->admit(part.size()), StoreStatus::stored) << "who was refused keeps his room";
    // A small one comes in one piece, and is looked at all the same.
    EXPECT_EQ(send({"a@example.com"}, part + "x").status, StoreStatus::disk_full);
    EXPECT_EQ(commit(*half[1], {"a@example.com"}, part), StoreStatus::stored);
    half.clear();
    EXPECT_EQ(store_->admit(room - 2 * part.size()), StoreStatus::stored) << "not all came back";
    drain();
    EXPECT_EQ(query("SELECT count(*) FROM message"), 1);
    EXPECT_EQ(query("SELECT count(DISTINCT message) FROM chunk"), 1) << "parts of what was refused are left";
}

TEST_F(PromisedRoom, ADiskThatSomebodyElseFillsRefusesWhatIsComingIn) {
    open();
    auto message = store_->begin();
    EXPECT_EQ(append(*message, "part"), StoreStatus::stored);
    free_ = 100 << 20;
    store_->set_limits(100 << 20, 1000);
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
    EXPECT_EQ(append(*message, "part"), StoreStatus::disk_full);
    free_ = 0;
    store_->set_limits(0, 1000);
    auto other = store_->begin(1 << 30);
    EXPECT_EQ(append(*other, "part"), StoreStatus::stored) << "without a minimum the disk itself says it";
}

TEST_F(PromisedRoom, ThreadsTogetherAreNotPromisedMoreThanThereIs) {
    detail::DiskRoom disk(options_.free_disk, clock_, options_.minimum_free_disk);
    constexpr std::uint64_t part = 50'000;
    std::atomic<std::uint64_t> held{0};
    std::atomic<std::uint64_t> most{0};
    std::atomic<int> refused{0};
    std::vector<std::thread> clients;
    for (int client = 0; client < 4; ++client) {
        clients.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) {
                detail::DiskRoom::Promise promise(disk);
                std::uint64_t mine = 0;
                for (; promise.grow_to(mine + part, 0); mine += part) {
                    const std::uint64_t now = held += part;
                    for (std::uint64_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {}
                }
                ++refused;
                held -= mine;
            }
        });
    }
    for (std::thread& client : clients) {
        client.join();
    }
    EXPECT_EQ(refused, 4000) << "each wants more than there is";
    EXPECT_LE(most, room);
    EXPECT_TRUE(disk.fits(room, 0)) << "not all came back";
    EXPECT_FALSE(disk.fits(room + 1, 0));
    EXPECT_TRUE(disk.fits(room + 1, 1)) << "free pages are room too";
}

class SmallDisk : public StoreFixture {
protected:
    void SetUp() override {
        if (::geteuid() != 0 || ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=120m") != 0) {
            GTEST_SKIP() << "cannot mount a small file system here";
        }
        mounted_ = true;
        options_.minimum_free_disk = 1;
    }
    void TearDown() override {
        store_.reset();
        if (mounted_) {
            ::umount2(folder_.c_str(), MNT_DETACH);
        }
    }
    /// Leaves `octets` free.
    void fill_but(std::uint64_t octets) {
        std::ofstream stranger(folder_ / "stranger", std::ios::app);
        const std::string block(64 << 10, 'x');
        while (std::filesystem::space(folder_).available > octets + block.size() && stranger.good()) {
            stranger << block << std::flush;
        }
    }
    bool mounted_ = false;
};

TEST_F(SmallDisk, AFullDiskRefusesMailAndGoesOnDelivering) {
    open();
    EXPECT_TRUE(std::filesystem::exists(folder_ / "queue.db-reserve"));
    fill_but(6 << 20);
    std::vector<MessageId> taken;
    std::vector<MessageId> refused;
    while (refused.empty() && taken.size() < 1000) {
        const Sent sent =
            send({"a@example.com", "b@example.com"}, std::string(20'000, 'x'), {std::string(20'000, 'y')});
        (sent.status == StoreStatus::stored ? taken : refused).push_back(sent.id);
        EXPECT_NE(sent.status, StoreStatus::failed);
    }
    ASSERT_FALSE(refused.empty());
    ASSERT_GT(taken.size(), 10U);
    fill_but(0);  // and what the reserve freed is gone as well, but for what the queue itself needed of it
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
    EXPECT_EQ(send({"a@example.com"}, "small").status, StoreStatus::disk_full);
    EXPECT_EQ(reader()->find(refused[0]).error(), ReadError::not_found);
    EXPECT_TRUE(ears_.health().empty()) << "the store closed itself";
    ASSERT_FALSE(ears_.warnings().empty());
    // Each a flush of its own.
    for (const MessageId id : taken) {
        EXPECT_TRUE(reader()->verify(id).has_value());
        record(id, 0, RecipientState::waiting, clock_.wall());
        record(id, 0, RecipientState::delivered);
        record(id, 1, RecipientState::delivered);
    }
    EXPECT_EQ(query("SELECT count(*) FROM message"), 0);
    EXPECT_EQ(query("SELECT count(*) FROM chunk"), 0) << "parts of what was refused are left";
    std::filesystem::remove(folder_ / "stranger");
    EXPECT_TRUE(ears_.await([&] { return store_->admit(0) == StoreStatus::stored; }));
    EXPECT_TRUE(std::filesystem::exists(folder_ / "queue.db-reserve"));
    (void)accept({"a@example.com"}, "again");
}

TEST_F(SmallDisk, TheQueueOpensOnAFullDisk) {
    open();
    const MessageId id = accept({"a@example.com"}, "kept");
    store_.reset();
    std::filesystem::remove(folder_ / "queue.db-reserve");
    fill_but(200 << 10);
    open();
    EXPECT_TRUE(reader()->verify(id).has_value());
    record(id, 0, RecipientState::delivered);
    ASSERT_FALSE(ears_.warnings().empty());
}

TEST_F(StoreRoomTest, TheReserveIsThatLarge) {
    detail::FileReserve reserve(options_.path, 1 << 20);
    EXPECT_TRUE(reserve.restore());
    EXPECT_EQ(std::filesystem::file_size(folder_ / "queue.db-reserve"), 1U << 20);
    detail::FileReserve smaller(options_.path, 1 << 16);
    EXPECT_TRUE(smaller.restore());
    EXPECT_EQ(std::filesystem::file_size(folder_ / "queue.db-reserve"), 1U << 16);
    detail::FileReserve too_large(options_.path, 1ULL << 62);
    EXPECT_FALSE(too_large.restore());
    EXPECT_FALSE(std::filesystem::exists(folder_ / "queue.db-reserve"));
}

/// Somebody with a shell who began a transaction and went home.
class LongReader {
public:
    explicit LongReader(const std::filesystem::path& file) : file_(file, detail::OpenMode::read_only) {
        file_.execute("BEGIN");
        (void)file_.query_integer("SELECT count(*) FROM message");
    }
    detail::Connection file_;
};

TEST_F(StoreRoomTest, TheLogIsWrittenOverAndOver) {
    options_.history = Duration(0);
    open();
    std::uintmax_t largest = 0;
    for (int i = 0; i < 1200; ++i) {
        const MessageId id = accept({"a@example.com"}, std::string(100'000, 'x'));
        record(id, 0, RecipientState::delivered);
        largest = std::max(largest, std::filesystem::file_size(folder_ / "queue.db-wal"));
    }
    EXPECT_GT(store_->counters().checkpoints, 2U);
    EXPECT_LT(largest, 40U << 20);
    EXPECT_LT(std::filesystem::file_size(options_.path), 60U << 20);
}

TEST_F(StoreRoomTest, AReaderThatNeverEndsStopsAcceptanceAtTheLimitAndNotBefore) {
    options_.history = Duration(0);
    options_.log_octets_max = 80ULL << 20;
    open();
    (void)accept({"a@example.com"}, "first");
    auto reader = std::make_unique<LongReader>(options_.path);
    std::vector<MessageId> taken;
    StoreStatus status = StoreStatus::stored;
    while (status == StoreStatus::stored && taken.size() < 2000) {
        const Sent sent = send({"a@example.com"}, std::string(200'000, 'x'));
        status = sent.status;
        if (status == StoreStatus::stored) {
            taken.push_back(sent.id);
        }
    }
    EXPECT_EQ(status, StoreStatus::disk_full);
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
    const auto size = std::filesystem::file_size(folder_ / "queue.db-wal");
    EXPECT_GT(size, 80U << 20);
    EXPECT_LT(size, 100U << 20);
    ASSERT_FALSE(ears_.warnings().empty());
    EXPECT_NE(ears_.warnings().back().find("process " + std::to_string(::getpid())), std::string::npos)
        << ears_.warnings().back();
    EXPECT_TRUE(ears_.health().empty());
    // What is queued goes out all the same.
    for (const MessageId id : taken) {
        record(id, 0, RecipientState::delivered);
    }
    reader.reset();
    EXPECT_TRUE(ears_.await([&] { return store_->admit(0) == StoreStatus::stored; }));
    EXPECT_LT(std::filesystem::file_size(folder_ / "queue.db-wal"), page_octets);
    (void)accept({"a@example.com"}, "after");
}

TEST_F(StoreRoomTest, NamesWhoReads) {
    open();
    (void)accept({"a@example.com"}, "content");
    EXPECT_TRUE(detail::log_readers(options_.path).empty());
    {
        const LongReader reader(options_.path);
        EXPECT_EQ(detail::log_readers(options_.path), std::vector<long>{::getpid()});
        EXPECT_NE(detail::describe_processes(detail::log_readers(options_.path)).find("(queue_disk_test"),
                  std::string::npos);
    }
    EXPECT_TRUE(detail::log_readers(options_.path).empty());
    EXPECT_EQ(detail::describe_processes({}), "a process that cannot be found");
}

}  // namespace
}  // namespace postern::queue
