// The store and the room it has: a disk that is full, the limits of the configuration, a reader that never ends.
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "queue/detail/disk_reserve.hpp"
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
