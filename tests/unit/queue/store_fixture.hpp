// What the tests of the store share: a folder of its own for each, a listener that remembers, and calls that wait for
// their completion.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <future>
#include <mutex>
#include <optional>

#include "queue/detail/sqlite.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::queue {

class Ears final : public StoreListener {
public:
    void committed(std::vector<std::shared_ptr<const CommittedMessage>> messages) override {
        const std::lock_guard lock(mutex_);
        for (auto& message : messages) {
            messages_.push_back(std::move(message));
        }
    }
    void batch_done() override {}
    void health_changed(const std::string& error) override {
        const std::lock_guard lock(mutex_);
        health_.push_back(error);
        changed_.notify_all();
    }
    void warning(const std::string& text) override {
        const std::lock_guard lock(mutex_);
        warnings_.push_back(text);
        changed_.notify_all();
    }
    void put_off() override { ++put_offs; }
    std::size_t count() {
        const std::lock_guard lock(mutex_);
        return messages_.size();
    }
    std::vector<std::string> health() {
        const std::lock_guard lock(mutex_);
        return health_;
    }
    std::vector<std::string> warnings() {
        const std::lock_guard lock(mutex_);
        return warnings_;
    }
    bool is_closed() { return !health().empty() && !health().back().empty(); }
    /// Waits for what follows a change of health or a warning. False: not within a minute.
    bool await(const std::function<bool()>& condition) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        for (;;) {
            if (condition()) {
                return true;
            }
            std::unique_lock lock(mutex_);
            const std::size_t seen = health_.size() + warnings_.size();
            if (std::chrono::steady_clock::now() > until) {
                return false;
            }
            changed_.wait_for(lock, std::chrono::milliseconds(20),
                              [&] { return health_.size() + warnings_.size() != seen; });
        }
    }
    /// Waits until the store is open, if it closed itself.
    bool await_health() {
        return await([this] { return !is_closed(); });
    }
    std::atomic<int> put_offs = 0;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::shared_ptr<const CommittedMessage>> messages_;
    std::vector<std::string> health_;
    std::vector<std::string> warnings_;
};

inline Recipient recipient(const std::string& address, Ordinal ordinal = 0) {
    Recipient made(*mail::Mailbox::parse(address, mail::Utf8::allowed));
    made.ordinal = ordinal;
    made.backend = "stores";
    return made;
}

class StoreFixture : public testing::Test {
protected:
    StoreFixture()
        : folder_(std::filesystem::temp_directory_path() /
                  ("postern-queue-" + std::to_string(::getpid()) + "-" +
                   testing::UnitTest::GetInstance()->current_test_info()->name())) {
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directories(folder_);
        options_.path = folder_ / "queue.db";
        options_.minimum_free_disk = 0;
        options_.try_again_after = Duration(5);
        options_.try_again_max = Duration(20);
    }
    ~StoreFixture() override {
        store_.reset();
        std::filesystem::remove_all(folder_);
    }

    void open() {
        auto opened = SqliteStore::open(options_, clock_, ears_);
        ASSERT_TRUE(opened.has_value()) << opened.error().text;
        store_ = std::move(*opened);
    }
    void reopen() {
        store_.reset();
        open();
    }

    struct Sent {
        MessageId id;
        StoreStatus status = StoreStatus::failed;
    };
    /// Sends a message whatever comes: parts first, then the commit, unless a part is refused.
    Sent send(const std::vector<std::string>& addresses, const std::string& content,
              const std::vector<std::string>& parts = {}) {
        auto message = store_->begin();
        for (const std::string& part : parts) {
            const StoreStatus status = append(*message, part);
            if (status != StoreStatus::stored) {
                return {message->id(), status};
            }
        }
        const StoreStatus status = commit(*message, addresses, content);
        return {message->id(), status};
    }
    static StoreStatus append(IncomingMessage& message, const std::string& part) {
        std::promise<StoreStatus> appended;
        message.append(part, [&](StoreStatus status) { appended.set_value(status); });
        return appended.get_future().get();
    }
    StoreStatus commit(IncomingMessage& message, const std::vector<std::string>& addresses,
                       const std::string& content) {
        Envelope envelope;
        envelope.received_at = clock_.wall();
        envelope.sender = mail::ReversePath(*mail::Mailbox::parse("sender@example.org", mail::Utf8::allowed));
        envelope.client.address = "192.0.2.1";
        envelope.client.helo = "client.example.org";
        std::vector<Recipient> recipients;
        for (const std::string& address : addresses) {
            recipients.push_back(recipient(address, static_cast<Ordinal>(recipients.size())));
        }
        std::promise<StoreStatus> committed;
        message.commit(envelope, recipients, content, [&](StoreStatus status) { committed.set_value(status); });
        return committed.get_future().get();
    }
    MessageId accept(const std::vector<std::string>& addresses, const std::string& content,
                     const std::vector<std::string>& parts = {}) {
        const Sent sent = send(addresses, content, parts);
        EXPECT_EQ(sent.status, StoreStatus::stored);
        return sent.id;
    }

    static RecipientUpdate update(MessageId message, Ordinal ordinal, RecipientState state, Instant next = {}) {
        RecipientUpdate made;
        made.message = message;
        made.ordinal = ordinal;
        made.state = state;
        made.backend = "stores";
        made.next_attempt_at = next;
        return made;
    }
    StoreStatus try_record(std::vector<RecipientUpdate> updates) {
        std::promise<StoreStatus> recorded;
        store_->record(std::move(updates), {}, [&](StoreStatus status) { recorded.set_value(status); });
        return recorded.get_future().get();
    }
    void record(MessageId message, Ordinal ordinal, RecipientState state, Instant next = {}) {
        EXPECT_EQ(try_record({update(message, ordinal, state, next)}), StoreStatus::stored);
    }
    void drain() {
        std::promise<void> drained;
        store_->drain([&] { drained.set_value(); });
        drained.get_future().get();
    }

    std::unique_ptr<Reader> reader() {
        auto opened = open_reader(options_.path);
        if (!opened.has_value()) {
            ADD_FAILURE() << opened.error().text;
            return nullptr;
        }
        return std::move(*opened);
    }
    static std::string content(Reader& reader, MessageId id) {
        std::string all;
        for (std::uint32_t number = 0;; ++number) {
            auto part = reader.content_part(id, number);
            if (!part.has_value() || part->empty()) {
                return all;
            }
            all += *part;
        }
    }
    std::int64_t query(const char* sql) {
        detail::Connection file(options_.path, detail::OpenMode::read_only);
        return file.query_integer(sql);
    }

    /// I8: what is counted along is what is there.
    void expect_right_counts(const std::string& when = {}) {
        detail::Connection file(options_.path, detail::OpenMode::read_only);
        EXPECT_EQ(file.query_integer("SELECT value FROM meta WHERE key = 'messages'"),
                  file.query_integer("SELECT count(*) FROM message"))
            << when;
        EXPECT_EQ(file.query_integer("SELECT count(*) FROM (SELECT state, count(*) FROM recipient GROUP BY state "
                                     "EXCEPT SELECT state, recipients FROM recipient_count)"),
                  0)
            << when;
        EXPECT_EQ(file.query_integer("SELECT sum(recipients) FROM recipient_count"),
                  file.query_integer("SELECT count(*) FROM recipient"))
            << when;
    }

    const std::filesystem::path folder_;
    const SystemClock clock_;
    SqliteStoreOptions options_;
    Ears ears_;
    std::unique_ptr<SqliteStore> store_;
};

}  // namespace postern::queue
