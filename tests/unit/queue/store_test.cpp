// The store's promises, on a real file: what was answered `stored` is there after a restart, what was not never
// appears, a message goes with its last recipient, and one process at a time holds the lock.
#include <sys/wait.h>

#include <atomic>
#include <fstream>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

using StoreTest = StoreFixture;

TEST_F(StoreTest, KeepsEnvelopeAndContentOverARestart) {
    open();
    const MessageId small = accept({"a@example.com", "b@example.com"}, "small content\r\n");
    const MessageId large =
        accept({"c@example.com"}, "the end\r\n", {std::string(300'000, 'x'), std::string(300'000, 'y')});
    EXPECT_EQ(ears_.count(), 2U);
    store_.reset();
    open();
    const auto read = reader();
    const auto message = read->find(small);
    ASSERT_TRUE(message.has_value());
    ASSERT_EQ(message->recipients.size(), 2U);
    EXPECT_EQ(message->recipients[1].address.to_string(), "b@example.com");
    EXPECT_EQ(content(*read, small), "small content\r\n");
    EXPECT_EQ(content(*read, large), std::string(300'000, 'x') + std::string(300'000, 'y') + "the end\r\n");
    EXPECT_TRUE(read->verify(small).has_value());
    EXPECT_TRUE(read->verify(large).has_value());
}

TEST_F(StoreTest, AnAbortedMessageLeavesNothing) {
    open();
    {
        auto message = store_->begin();
        std::promise<StoreStatus> appended;
        message->append(std::string(1000, 'x'), [&](StoreStatus status) { appended.set_value(status); });
        EXPECT_EQ(appended.get_future().get(), StoreStatus::stored);
    }
    std::promise<void> drained;
    store_->drain([&] { drained.set_value(); });
    drained.get_future().get();
    store_.reset();
    detail::Connection file(options_.path, detail::OpenMode::read_only);
    EXPECT_EQ(file.query_integer("SELECT count(*) FROM chunk"), 0);
    EXPECT_EQ(file.query_integer("SELECT count(*) FROM incoming"), 0);
}

TEST_F(StoreTest, AMessageGoesWithItsLastRecipient) {
    open();
    const MessageId id = accept({"a@example.com", "b@example.com"}, "content");
    record(id, 0, RecipientState::delivered);
    const auto read = reader();
    ASSERT_TRUE(read->find(id).has_value());
    EXPECT_EQ(read->find(id)->recipients[0].state, RecipientState::delivered);
    record(id, 0, RecipientState::waiting);  // a done recipient never comes back
    EXPECT_EQ(read->find(id)->recipients[0].state, RecipientState::delivered);
    record(id, 1, RecipientState::removed);
    EXPECT_EQ(read->find(id).error(), ReadError::not_found);
    const auto totals = read->totals();
    ASSERT_TRUE(totals.has_value());
    EXPECT_EQ(totals->messages, 0U);
}

TEST_F(StoreTest, LoadsWhatIsDueInOrderAndTellsWhatComesLater) {
    open();
    const MessageId first = accept({"a@example.com"}, "1");
    const MessageId second = accept({"b@example.com"}, "2");
    RecipientUpdate later;
    later.message = first;
    later.state = RecipientState::waiting;
    later.backend = "stores";
    later.next_attempt_at = clock_.wall() + std::chrono::hours(1);
    std::promise<StoreStatus> recorded;
    store_->record({later}, {}, [&](StoreStatus status) { recorded.set_value(status); });
    EXPECT_EQ(recorded.get_future().get(), StoreStatus::stored);
    std::promise<DuePage> loaded;
    store_->load_due("stores", clock_.wall(), std::nullopt, 10,
                     [&](Result<DuePage, StoreStatus> page) { loaded.set_value(*page); });
    const DuePage page = loaded.get_future().get();
    ASSERT_EQ(page.recipients.size(), 1U);
    EXPECT_EQ(page.recipients[0].message, second);
    EXPECT_FALSE(page.next);
    EXPECT_EQ(page.earliest_later, later.next_attempt_at);
}

TEST_F(StoreTest, FindsADamagedMessage) {
    open();
    const MessageId id = accept({"a@example.com"}, "the content");
    store_.reset();
    {
        detail::Connection file(options_.path, detail::OpenMode::read_write);
        file.execute("UPDATE message SET content = CAST('thE content' AS BLOB)");
    }
    const auto read = reader();
    EXPECT_EQ(read->verify(id).error(), ReadError::damaged);
}

TEST_F(StoreTest, IdsGrowOverARestartWithTheClockSetBack) {
    open();
    const MessageId before = accept({"a@example.com"}, "1");
    store_.reset();
    class PastClock final : public Clock {
    public:
        Instant wall() const override { return Instant(std::chrono::hours(24 * 365 * 51)); }
        SteadyInstant steady() const override { return std::chrono::steady_clock::now(); }
    } const past;
    auto opened = SqliteStore::open(options_, past, ears_);
    ASSERT_TRUE(opened.has_value());
    store_ = std::move(*opened);
    EXPECT_GT(store_->begin()->id(), before);
    store_.reset();  // before its clock
}

TEST_F(StoreTest, RefusesASecondGatewayAndNamesTheFirst) {
    open();
    const auto second = SqliteStore::open(options_, clock_, ears_);
    ASSERT_TRUE(second.has_error());
    EXPECT_EQ(second.error().kind, OpenError::Kind::in_use);
    EXPECT_EQ(second.error().pid, ::getpid());
}

TEST_F(StoreTest, RefusesAForeignFileAndALink) {
    {
        detail::Connection other(options_.path, detail::OpenMode::create);
        other.execute("CREATE TABLE other (x)");
    }
    EXPECT_EQ(SqliteStore::open(options_, clock_, ears_).error().kind, OpenError::Kind::damaged);
    std::filesystem::rename(options_.path, folder_ / "else.db");
    std::filesystem::create_symlink(folder_ / "else.db", options_.path);
    EXPECT_EQ(SqliteStore::open(options_, clock_, ears_).error().kind, OpenError::Kind::refused);
}

TEST_F(StoreTest, SaysDiskFullAtTheLimitsOfTheConfiguration) {
    options_.maximum_messages = 1;
    open();
    EXPECT_EQ(store_->admit(0), StoreStatus::stored);
    const MessageId id = accept({"a@example.com"}, "1");
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
    record(id, 0, RecipientState::delivered);
    EXPECT_EQ(store_->admit(0), StoreStatus::stored);
    store_->set_limits(UINT64_MAX / 2, 10);
    EXPECT_EQ(store_->admit(0), StoreStatus::disk_full);
}

TEST_F(StoreTest, ManyCommitsShareAFlush) {
    open();
    constexpr int count = 400;
    std::atomic<int> left{count};
    std::promise<void> all;
    std::vector<std::unique_ptr<IncomingMessage>> messages;
    for (int i = 0; i < count; ++i) {
        messages.push_back(store_->begin());
        Envelope envelope;
        envelope.received_at = clock_.wall();
        messages.back()->commit(envelope, {recipient("a@example.com", 0)}, "content", [&](StoreStatus status) {
            EXPECT_EQ(status, StoreStatus::stored);
            if (--left == 0) {
                all.set_value();
            }
        });
    }
    all.get_future().get();
    EXPECT_LT(store_->counters().commits, static_cast<std::uint64_t>(count));
    EXPECT_EQ(store_->counters().messages, static_cast<std::uint64_t>(count));
}

// A process that is killed at any moment has in its queue whatever it reported, and nothing that cannot be read.
TEST_F(StoreTest, WhatWasReportedSurvivesAKill) {
    const auto reported = folder_ / "reported";
    for (int round = 0; round < 5; ++round) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            std::ofstream report(reported, std::ios::app);
            auto opened = SqliteStore::open(options_, clock_, ears_);
            for (int i = 0; opened.has_value(); ++i) {
                auto message = (*opened)->begin();
                Envelope envelope;
                envelope.received_at = clock_.wall();
                std::promise<StoreStatus> committed;
                message->commit(envelope, {recipient("a@example.com", 0)}, std::string(5000, 'x'),
                                [&](StoreStatus status) { committed.set_value(status); });
                if (committed.get_future().get() == StoreStatus::stored) {
                    report << message->id().value() << std::endl;
                }
                if (i == 40 + round * 7) {
                    ::kill(::getpid(), SIGKILL);
                }
            }
            ::_exit(1);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status));
    }
    open();
    const auto read = reader();
    std::ifstream report(reported);
    std::int64_t id = 0;
    int count = 0;
    while (report >> id) {
        ++count;
        EXPECT_TRUE(read->verify(MessageId(id)).has_value());
    }
    EXPECT_GT(count, 200);
}

}  // namespace
}  // namespace postern::queue
