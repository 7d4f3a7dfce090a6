// Another process holds the queue's write lock, as a shell does that began to write: for a while, and for too long.
#include <unistd.h>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

class StoreBusyTest : public StoreFixture {
protected:
    class Stranger {
    public:
        explicit Stranger(const std::filesystem::path& file) : file_(file, detail::OpenMode::read_write) {
            file_.execute("BEGIN IMMEDIATE");
        }

    private:
        detail::Connection file_;
    };
    std::future<StoreStatus> commit_later(IncomingMessage& message) {
        auto told = std::make_shared<std::promise<StoreStatus>>();
        message.commit(Envelope(), {recipient("a@example.com")}, "content",
                       [told](StoreStatus status) { told->set_value(status); });
        return told->get_future();
    }
};

TEST_F(StoreBusyTest, ALockThatGoesInTimeOnlyTakesTime) {
    options_.busy_time_max = std::chrono::hours(1);
    open();
    const MessageId before = accept({"a@example.com"}, "before");
    auto stranger = std::make_unique<Stranger>(options_.path);
    auto message = store_->begin();
    auto answer = commit_later(*message);
    EXPECT_EQ(answer.wait_for(std::chrono::milliseconds(30)), std::future_status::timeout);
    EXPECT_EQ(store_->admit(0), StoreStatus::stored);
    stranger.reset();
    EXPECT_EQ(answer.get(), StoreStatus::stored);
    record(before, 0, RecipientState::delivered);
    EXPECT_TRUE(ears_.health().empty());
    EXPECT_EQ(query("SELECT count(*) FROM message"), 1);
}

TEST_F(StoreBusyTest, ALockThatStaysClosesTheStoreUntilItGoes) {
    options_.busy_time_max = Duration(20);
    open();
    const MessageId before = accept({"a@example.com"}, "before");
    const MessageId whole = accept({"a@example.com"}, "whole", {"parts of it, "});
    auto half = store_->begin();
    EXPECT_EQ(append(*half, "half"), StoreStatus::stored);
    drain();
    auto stranger = std::make_unique<Stranger>(options_.path);
    auto first = store_->begin();
    auto second = store_->begin();
    auto told = commit_later(*first);
    auto told_too = commit_later(*second);
    EXPECT_EQ(told.get(), StoreStatus::failed) << "451; it was never written, so it is no doubt";
    ASSERT_TRUE(ears_.await([&] { return ears_.is_closed(); }));
    EXPECT_EQ(store_->admit(0), StoreStatus::failed);
    const std::string why = ears_.health().back();
    EXPECT_NE(why.find("write lock is held by process " + std::to_string(::getpid())), std::string::npos) << why;
    stranger.reset();
    EXPECT_NE(told_too.get(), StoreStatus::doubtful);
    ASSERT_TRUE(ears_.await_health());
    EXPECT_EQ(commit(*half, {"a@example.com"}, "end"), StoreStatus::failed) << "its first half went with the file";
    record(before, 0, RecipientState::delivered);
    const MessageId after = accept({"a@example.com"}, "after");
    drain();
    EXPECT_TRUE(reader()->verify(whole).has_value());
    EXPECT_TRUE(reader()->verify(after).has_value());
    EXPECT_EQ(reader()->find(first->id()).error(), ReadError::not_found);
    EXPECT_EQ(reader()->find(half->id()).error(), ReadError::not_found);
    expect_right_counts();
    reopen();
    EXPECT_EQ(reader()->find(before).error(), ReadError::not_found);
    EXPECT_TRUE(reader()->verify(whole).has_value());
    EXPECT_TRUE(reader()->verify(after).has_value());
    EXPECT_EQ(query("SELECT count(*) FROM chunk WHERE message NOT IN (SELECT id FROM message)"), 0);
}

// A result that cannot be kept is tried again by who brought it.
TEST_F(StoreBusyTest, AResultIsRefusedAndKeptTheNextTime) {
    options_.busy_time_max = Duration(20);
    open();
    const MessageId id = accept({"a@example.com"}, "content");
    auto stranger = std::make_unique<Stranger>(options_.path);
    EXPECT_EQ(try_record({update(id, 0, RecipientState::delivered)}), StoreStatus::failed);
    EXPECT_EQ(query("SELECT count(*) FROM message"), 1);
    stranger.reset();
    ASSERT_TRUE(ears_.await([&] { return ears_.health().size() > 1 && !ears_.is_closed(); }));
    record(id, 0, RecipientState::delivered);
    EXPECT_EQ(query("SELECT count(*) FROM message"), 0);
}

}  // namespace
}  // namespace postern::queue
