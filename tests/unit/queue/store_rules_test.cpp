// What the rules of delivery ask of the store beside results: calling waiting mail early, routes, what is old, and what
// was decided about backends.
#include <gmock/gmock.h>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

using namespace std::chrono_literals;

class StoreRulesTest : public StoreFixture {
protected:
    StoreRulesTest() { open(); }

    std::size_t call_waiting(const std::string& address, std::size_t limit, const std::string& backend = "stores") {
        std::promise<std::size_t> called;
        store_->call_waiting(backend, address, clock_.wall(), limit, [&](Result<std::size_t, StoreStatus> count) {
            called.set_value(count.has_value() ? *count : 0);
        });
        return called.get_future().get();
    }
    std::size_t reassign(const std::string& domain, const std::string& from, const std::string& to) {
        std::promise<std::size_t> reassigned;
        store_->reassign(from, {{domain, to}}, [&](Result<std::size_t, StoreStatus> count) {
            reassigned.set_value(count.has_value() ? *count : 0);
        });
        return reassigned.get_future().get();
    }
    std::vector<MessageId> old(MessageId before, std::size_t limit = 100, const std::string& backend = "stores") {
        std::promise<std::vector<MessageId>> loaded;
        store_->load_old(backend, before, limit, [&](Result<DuePage, StoreStatus> page) {
            std::vector<MessageId> ids;
            if (page.has_value()) {
                for (const DueRecipient& due : page->recipients) {
                    ids.push_back(due.message);
                }
            }
            loaded.set_value(ids);
        });
        return loaded.get_future().get();
    }
    void mark(BackendMark mark, bool set = true) {
        std::promise<StoreStatus> marked;
        store_->mark_backend(std::move(mark), set, [&](StoreStatus status) { marked.set_value(status); });
        EXPECT_EQ(marked.get_future().get(), StoreStatus::stored);
    }
    std::vector<std::string> marks() {
        std::promise<std::vector<std::string>> loaded;
        store_->load_marks([&](Result<std::vector<BackendMark>, StoreStatus> found) {
            std::vector<std::string> lines;
            for (const BackendMark& each : *found) {
                lines.push_back(each.backend + (each.kind == BackendMark::Kind::paused ? " paused " : " brake ") +
                                each.actor + ' ' + each.reason);
            }
            loaded.set_value(lines);
        });
        return loaded.get_future().get();
    }
    std::vector<std::string> backlog() {
        std::vector<std::string> lines;
        const auto survey = reader()->backlog();
        EXPECT_TRUE(survey->miscount.is_none()) << survey->miscount.describe();
        for (const BacklogCell& cell : survey->cells) {
            lines.push_back(cell.backend + ' ' + cell.domain + ' ' + std::to_string(cell.recipients));
        }
        return lines;
    }
};

TEST_F(StoreRulesTest, CallsOfAMailboxWhatWaitsOldestFirst) {
    const auto later = clock_.wall() + 1h;
    std::vector<MessageId> waiting;
    for (int i = 0; i < 3; ++i) {
        waiting.push_back(accept({"a@example.com", "b@example.com"}, "x"));
        record(waiting.back(), 0, RecipientState::waiting, later);
        record(waiting.back(), 1, RecipientState::waiting, later);
    }
    const MessageId held = accept({"a@example.com"}, "x");
    record(held, 0, RecipientState::held, later);
    EXPECT_EQ(call_waiting("a@example.com", 2, "other"), 0U);
    EXPECT_EQ(call_waiting("A@example.com", 2), 0U) << "the local part is the store's to fold";
    EXPECT_EQ(call_waiting("a@example.com", 2), 2U);
    const auto read = reader();
    for (int i = 0; i < 3; ++i) {
        const auto message = read->find(waiting[static_cast<std::size_t>(i)]);
        EXPECT_EQ(message->recipients[0].next_attempt_at < later, i < 2) << i;
        EXPECT_EQ(message->recipients[1].next_attempt_at, later) << "another mailbox";
    }
    EXPECT_EQ(read->find(held)->recipients[0].next_attempt_at, later);
    EXPECT_EQ(call_waiting("a@example.com", 2), 1U);
    EXPECT_EQ(call_waiting("a@example.com", 2), 0U) << "who was called waits no more";
}

TEST_F(StoreRulesTest, ReassignsADomainOfABackend) {
    const MessageId id = accept({"a@Example.com", "b@example.com", "c@example.net", "d@example.com"}, "x");
    record(id, 1, RecipientState::held);
    record(id, 3, RecipientState::waiting, clock_.wall() + 1h);
    EXPECT_EQ(reassign("example.com", "elsewhere", "new"), 0U);
    EXPECT_EQ(reassign("example.com", "stores", "new"), 2U) << "who is held finds its route when it is released";
    const auto message = reader()->find(id);
    EXPECT_EQ(message->recipients[0].backend, "new");
    EXPECT_EQ(message->recipients[1].backend, "stores");
    EXPECT_EQ(message->recipients[2].backend, "stores");
    EXPECT_EQ(message->recipients[3].backend, "new");
    EXPECT_EQ(reassign("example.net", "stores", ""), 1U);
    EXPECT_THAT(backlog(), testing::ElementsAre(" example.net 1", "new example.com 2"));
}

TEST_F(StoreRulesTest, CountsTheBacklogByBackendAndDomain) {
    EXPECT_THAT(backlog(), testing::IsEmpty());
    const MessageId id = accept({"a@example.com", "b@example.com", "c@example.net"}, "x");
    static_cast<void>(accept({"d@example.com"}, "x"));
    record(id, 1, RecipientState::delivered);
    EXPECT_THAT(backlog(), testing::ElementsAre("stores example.com 2", "stores example.net 1"));
}

TEST_F(StoreRulesTest, WhatWasCountedWrongIsFoundAndPutRight) {
    const MessageId id = accept({"a@example.com", "b@example.com", "c@example.net"}, "x");
    static_cast<void>(accept({"d@example.com"}, "x"));
    record(id, 1, RecipientState::held);
    record(id, 2, RecipientState::delivered);
    store_.reset();
    {
        detail::Connection file(options_.path, detail::OpenMode::read_write);
        file.execute(
            "UPDATE meta SET value = 5 WHERE key = 'messages'; DELETE FROM recipient_count WHERE state = 3;"
            "UPDATE recipient_count SET recipients = 17 WHERE state = 0; INSERT INTO recipient_count VALUES (4, 2);"
            "INSERT OR REPLACE INTO recipient_count VALUES (7, 3)");
    }
    open();
    const auto found = reader()->backlog();
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->miscount.describe(), "messages -3, ready -15, held +1, parked -2, returned -3");
    static_cast<void>(accept({"e@example.com"}, "x"));  // what happens between finding and mending is no matter
    std::promise<StoreStatus> mended;
    store_->mend_counts(found->miscount, [&](StoreStatus status) { mended.set_value(status); });
    EXPECT_EQ(mended.get_future().get(), StoreStatus::stored);
    expect_right_counts();
    EXPECT_TRUE(reader()->backlog()->miscount.is_none());
    EXPECT_EQ(reader()->totals()->messages, 3U);
    static_cast<void>(accept({"f@example.com"}, "x"));
    expect_right_counts("and they stay so");
}

TEST_F(StoreRulesTest, LoadsWhatIsOldDueOrNot) {
    const MessageId first = accept({"a@example.com"}, "x");
    const MessageId second = accept({"a@example.com", "b@example.com"}, "x");
    const MessageId third = accept({"a@example.com"}, "x");
    record(first, 0, RecipientState::waiting, clock_.wall() + 1h);
    record(second, 0, RecipientState::parked);
    EXPECT_THAT(old(third), testing::ElementsAre(first, second));
    EXPECT_THAT(old(third, 1), testing::ElementsAre(first));
    EXPECT_THAT(old(third, 100, "other"), testing::IsEmpty());
    EXPECT_THAT(old(first), testing::IsEmpty());
}

TEST_F(StoreRulesTest, WhatWasDecidedAboutABackendSurvivesARestart) {
    EXPECT_THAT(marks(), testing::IsEmpty());
    mark({"stores", BackendMark::Kind::paused, clock_.wall(), "root", "moving house"});
    mark({"stores", BackendMark::Kind::brake, clock_.wall(), "gateway", "too many refusals"});
    mark({"other", BackendMark::Kind::paused, clock_.wall(), "root", ""});
    reopen();
    EXPECT_THAT(marks(), testing::UnorderedElementsAre("stores paused root moving house",
                                                       "stores brake gateway too many refusals", "other paused root "));
    mark({"stores", BackendMark::Kind::paused, clock_.wall(), "root", "still moving"});
    mark({"other", BackendMark::Kind::paused, {}, {}, {}}, false);
    mark({"stores", BackendMark::Kind::brake, {}, {}, {}}, false);
    reopen();
    EXPECT_THAT(marks(), testing::ElementsAre("stores paused root still moving"));
}

}  // namespace
}  // namespace postern::queue
