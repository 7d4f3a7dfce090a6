// A queue whose file, or log, is taken away while it is open: nothing is acknowledged that the next start would not
// find, what is queued is still delivered, and a file that is back is taken up again.
#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/queue/fault_vfs.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

class StorePlaceTest : public StoreFixture {
protected:
    std::string log() const { return options_.path.string() + "-wal"; }
    std::filesystem::path aside() const { return folder_ / "aside"; }
    /// The store says that it takes in nothing, of which file, and what to do.
    void expect_closed_to_new(const std::string& file) {
        EXPECT_EQ(store_->admit(0), StoreStatus::failed);
        ASSERT_FALSE(ears_.health().empty());
        EXPECT_EQ(ears_.health().back().rfind(file + " ", 0), 0U) << ears_.health().back();
        EXPECT_NE(ears_.health().back().find("is back"), std::string::npos);
    }
    std::vector<DueRecipient> due() {
        std::promise<std::vector<DueRecipient>> loaded;
        store_->load_due("stores", clock_.wall(), std::nullopt, 100, [&](const Result<DuePage, StoreStatus>& page) {
            loaded.set_value(page.has_value() ? page->recipients : std::vector<DueRecipient>());
        });
        return loaded.get_future().get();
    }
};

TEST_F(StorePlaceTest, AFileThatWasMovedTakesInNothingAndIsTakenUpWhenItIsBack) {
    open();
    const MessageId kept = accept({"a@example.com", "b@example.com"}, "kept");
    std::filesystem::rename(options_.path, aside());
    const std::string part(10'000, 'p');
    EXPECT_EQ(send({"a@example.com"}, "noticed", {part}).status, StoreStatus::failed);
    expect_closed_to_new(options_.path.string());
    EXPECT_EQ(send({"a@example.com"}, "refused").status, StoreStatus::failed);
    EXPECT_EQ(send({"a@example.com"}, "refused", {part}).status, StoreStatus::failed);
    EXPECT_EQ(ears_.count(), 1U) << "a refused message was handed on";
    // What is in it is there, and what becomes of it is kept.
    EXPECT_EQ(due().size(), 2U);
    record(kept, 0, RecipientState::delivered);
    EXPECT_EQ(due().size(), 1U);

    std::filesystem::rename(aside(), options_.path);
    ASSERT_TRUE(ears_.await_health());
    const MessageId after = accept({"a@example.com"}, "after");
    drain();
    for (const bool again : {false, true}) {
        if (again) {
            reopen();
        }
        EXPECT_TRUE(reader()->verify(kept).has_value());
        EXPECT_TRUE(reader()->verify(after).has_value());
        EXPECT_EQ(query("SELECT count(*) FROM message"), 2);
        EXPECT_EQ(query("SELECT count(*) FROM chunk WHERE message NOT IN (SELECT id FROM message)"), 0);
        EXPECT_EQ(query("SELECT count(*) FROM recipient WHERE state = 5"), 1) << "a result is lost";
        expect_right_counts();
    }
}

TEST_F(StorePlaceTest, AFileThatWasDeletedIsDeliveredFromToItsEnd) {
    open();
    const MessageId first = accept({"a@example.com"}, "first");
    const MessageId second = accept({"b@example.com"}, "second");
    std::filesystem::remove(options_.path);
    EXPECT_EQ(send({"a@example.com"}, "noticed").status, StoreStatus::failed);
    expect_closed_to_new(options_.path.string());
    EXPECT_EQ(due().size(), 2U);
    record(first, 0, RecipientState::delivered);
    record(second, 0, RecipientState::delivered);
    EXPECT_TRUE(due().empty());
    EXPECT_FALSE(std::filesystem::exists(options_.path)) << "an empty one was made in its place";
    EXPECT_TRUE(ears_.is_closed());
}

TEST_F(StorePlaceTest, ALogThatWasMovedOrDeletedIsNoticedToo) {
    open();
    const MessageId kept = accept({"a@example.com"}, "kept");
    std::filesystem::rename(log(), aside());
    EXPECT_EQ(send({"a@example.com"}, "noticed").status, StoreStatus::failed);
    expect_closed_to_new(log());
    std::filesystem::rename(aside(), log());
    ASSERT_TRUE(ears_.await_health());
    (void)accept({"a@example.com"}, "after");
    std::filesystem::remove(log());
    EXPECT_EQ(send({"a@example.com"}, "noticed").status, StoreStatus::failed);
    expect_closed_to_new(log());
    record(kept, 0, RecipientState::delivered);
    // The file has it all, for the log went into it at the end.
    store_.reset();
    open();
    EXPECT_EQ(query("SELECT count(*) FROM message"), 1);
    (void)accept({"a@example.com"}, "after");
}

// The first thing that an operator does who restores a backup while the gateway runs.
TEST_F(StorePlaceTest, AnotherFileInItsPlaceIsLeftAlone) {
    open();
    const MessageId kept = accept({"a@example.com"}, "kept");
    for (const char* suffix : {"", "-wal"}) {
        const auto file = options_.path.string() + suffix;
        std::filesystem::copy_file(file, aside().string() + suffix);
        std::filesystem::rename(file, folder_ / ("old" + std::string(suffix)));
        std::filesystem::rename(aside().string() + suffix, file);
    }
    const auto size = std::filesystem::file_size(log());
    EXPECT_EQ(send({"a@example.com"}, "noticed").status, StoreStatus::failed);
    expect_closed_to_new(options_.path.string());
    EXPECT_NE(ears_.health().back().find("another file"), std::string::npos);
    store_.reset();
    EXPECT_EQ(std::filesystem::file_size(log()), size) << "the other's log was touched";
    open();
    EXPECT_TRUE(reader()->verify(kept).has_value());
    EXPECT_EQ(query("SELECT count(*) FROM message"), 1);
}

TEST_F(StorePlaceTest, AStoreThatEndsLeavesTheLogOfTheFileInItsPlace) {
    open();
    (void)accept({"a@example.com"}, "kept");
    std::filesystem::rename(options_.path, aside());
    std::filesystem::rename(log(), aside().string() + "-wal");
    std::ofstream(log()) << "another's";
    store_.reset();  // nobody came since: it has not noticed
    EXPECT_TRUE(std::filesystem::exists(log()));
    detail::Connection moved(aside(), detail::OpenMode::read_only);
    EXPECT_EQ(moved.query_integer("SELECT count(*) FROM message"), 1);
}

TEST_F(StorePlaceTest, OneThatIsClosedIsNotOpenedAnewInAnEmptyFile) {
    options_.vfs = testing_faults::name();
    open();
    const MessageId kept = accept({"a@example.com"}, "kept");
    testing_faults::plan.arm(testing_faults::sync_operation, 1, false, false);
    EXPECT_EQ(send({"a@example.com"}, "doubtful").status, StoreStatus::doubtful);
    std::filesystem::rename(options_.path, aside());
    testing_faults::plan.disarm();
    ASSERT_TRUE(ears_.await(
        [&] { return ears_.is_closed() && ears_.health().back().find("moved away") != std::string::npos; }));
    EXPECT_FALSE(std::filesystem::exists(options_.path));
    std::filesystem::rename(aside(), options_.path);
    ASSERT_TRUE(ears_.await_health());
    (void)accept({"a@example.com"}, "after");
    EXPECT_TRUE(reader()->verify(kept).has_value());
    EXPECT_EQ(query("SELECT count(*) FROM message"), 2);
}

// Found and not removable: neither yes nor no is true, and it is gone once the file is back.
TEST_F(StorePlaceTest, WhatCannotBeTakenBackIsDoubtful) {
    options_.vfs = testing_faults::name();
    for (int nth = 1;; ++nth) {
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            std::filesystem::remove(entry.path());
        }
        open();
        const MessageId kept = accept({"a@example.com"}, "kept");
        std::filesystem::rename(options_.path, aside());
        testing_faults::plan.arm(testing_faults::write_operation | testing_faults::sync_operation, nth, false, false);
        const Sent sent = send({"a@example.com"}, "refused");
        EXPECT_TRUE(sent.status == StoreStatus::failed || sent.status == StoreStatus::doubtful) << nth;
        drain();
        const bool fired = testing_faults::plan.fired > 0;
        testing_faults::plan.disarm();
        std::filesystem::rename(aside(), options_.path);
        EXPECT_TRUE(ears_.await([&] { return store_->admit(0) == StoreStatus::stored; })) << nth;
        const MessageId after = accept({"a@example.com"}, "after");
        EXPECT_TRUE(reader()->verify(kept).has_value()) << nth;
        EXPECT_TRUE(reader()->verify(after).has_value()) << nth;
        EXPECT_EQ(query("SELECT count(*) FROM message"), 2) << nth;
        expect_right_counts(std::to_string(nth));
        store_.reset();
        if (!fired || HasFailure()) {
            EXPECT_GT(nth, 5) << "nothing was tried";
            return;
        }
    }
}

}  // namespace
}  // namespace postern::queue
