// The promises of queue/store.hpp that need no failing disk (those are in store_fault_test.cpp): the order of
// completions, results that are never undone, what load_due() sees, and what is handed on in memory.
#include <set>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

/// Writes down what it is told, in order, with what the callers are told.
class Diary final : public StoreListener {
public:
    void committed(std::vector<std::shared_ptr<const CommittedMessage>> messages) override {
        for (const auto& message : messages) {
            add("committed " + message->envelope.id.to_string());
            contents_.push_back(message->content);
        }
    }
    void batch_done() override { add("batch"); }
    void health_changed(const std::string&) override { add("health"); }
    void add(const std::string& line) {
        const std::lock_guard lock(mutex_);
        lines_.push_back(line);
    }
    std::vector<std::string> lines() {
        const std::lock_guard lock(mutex_);
        return lines_;
    }
    std::vector<std::shared_ptr<const std::string>> contents_;

private:
    std::mutex mutex_;
    std::vector<std::string> lines_;
};

class StoreContractTest : public StoreFixture {
protected:
    void open_with_diary() {
        auto opened = SqliteStore::open(options_, clock_, diary_);
        ASSERT_TRUE(opened.has_value());
        store_ = std::move(*opened);
    }
    DuePage load(Instant until, std::optional<DueKey> after, std::size_t limit, const std::string& backend = "stores") {
        std::promise<DuePage> loaded;
        store_->load_due(backend, until, after, limit,
                         [&](Result<DuePage, StoreStatus> page) { loaded.set_value(std::move(*page)); });
        return loaded.get_future().get();
    }
    ~StoreContractTest() override { store_.reset(); }
    Diary diary_;
};

TEST_F(StoreContractTest, CompletionsComeInTheOrderOfTheCallsBehindWhatTheListenerHears) {
    open_with_diary();
    std::vector<std::string> expected;
    std::vector<std::unique_ptr<IncomingMessage>> messages;
    for (int i = 0; i < 200; ++i) {
        messages.push_back(store_->begin());
        IncomingMessage& message = *messages.back();
        const std::string id = message.id().to_string();
        const auto note = [this](const std::string& line) {
            return [this, line](StoreStatus status) { diary_.add(line + (status == StoreStatus::stored ? "" : "!")); };
        };
        message.commit(Envelope(), {recipient("a@example.com")}, "content", note("stored " + id));
        store_->record({update(message.id(), 0, i % 2 == 0 ? RecipientState::waiting : RecipientState::delivered)}, {},
                       note("recorded " + id));
        expected.insert(expected.end(), {"stored " + id, "recorded " + id});
    }
    drain();
    std::vector<std::string> told;
    std::set<std::string> committed;
    for (const std::string& line : diary_.lines()) {
        if (line.rfind("committed ", 0) == 0) {
            committed.insert(line.substr(10));
        } else if (line != "batch") {
            told.push_back(line);
            EXPECT_EQ(committed.count(line.substr(line.find(' ') + 1)), 1U)
                << line << " before the listener heard of it";
        }
    }
    EXPECT_EQ(told, expected);
    drain();  // in a flush of its own: the batch before it is told by now
    EXPECT_EQ(diary_.lines().back(), "batch");
}

TEST_F(StoreContractTest, LoadDueSeesWhatWasRecordedBeforeItWasCalled) {
    open();
    const MessageId id = accept({"a@example.com"}, "content");
    for (int i = 0; i < 50; ++i) {
        const Instant next = clock_.wall() + std::chrono::hours(i % 2);
        store_->record({update(id, 0, RecipientState::waiting, next)}, {}, [](StoreStatus) {});
        const DuePage page = load(clock_.wall(), std::nullopt, 10);
        EXPECT_EQ(page.recipients.size(), i % 2 == 0 ? 1U : 0U);
        EXPECT_EQ(page.earliest_later.has_value(), i % 2 == 1);
    }
}

TEST_F(StoreContractTest, PagesOfWhatIsDueHaveNoGapAndNothingTwice) {
    open();
    const Instant now = clock_.wall();
    std::vector<DueKey> expected;
    for (int i = 0; i < 40; ++i) {
        const MessageId id = accept({"a@example.com", "b@example.com", "c@example.com"}, "content");
        for (Ordinal ordinal = 0; ordinal < 3; ++ordinal) {
            const auto state = static_cast<RecipientState>((i + static_cast<int>(ordinal)) % 5);
            const Instant at = now - Duration(i % 4 * 10);  // many at the same moment
            record(id, ordinal, state, at);
            if (is_schedulable(state)) {
                expected.push_back({at, id, ordinal});
            }
        }
    }
    std::sort(expected.begin(), expected.end());
    for (const std::size_t limit : {1U, 2U, 7U, 1000U}) {
        std::vector<DueKey> loaded;
        std::optional<DueKey> after;
        do {
            const DuePage page = load(now, after, limit);
            EXPECT_LE(page.recipients.size(), limit);
            for (const DueRecipient& due : page.recipients) {
                loaded.push_back({due.recipient.next_attempt_at, due.message, due.recipient.ordinal});
            }
            after = page.next;
        } while (after);
        EXPECT_EQ(loaded, expected) << limit;
    }
    EXPECT_TRUE(load(now, std::nullopt, 10, "elsewhere").recipients.empty());
}

TEST_F(StoreContractTest, ADoneRecipientStaysDoneAndTheMessageGoesOnlyWithTheLast) {
    open();
    const MessageId id = accept({"a@example.com", "b@example.com", "c@example.com"}, "content", {"part"});
    record(id, 1, RecipientState::delivered);
    for (const RecipientState state : {RecipientState::ready, RecipientState::held, RecipientState::removed}) {
        record(id, 1, state);
        EXPECT_EQ(reader()->find(id)->recipients[1].state, RecipientState::delivered);
    }
    // Twice the same, and one that never was, end nothing.
    EXPECT_EQ(try_record({update(id, 1, RecipientState::delivered), update(id, 7, RecipientState::delivered)}),
              StoreStatus::stored);
    EXPECT_TRUE(reader()->verify(id).has_value());
    EXPECT_EQ(try_record({update(id, 0, RecipientState::delivered), update(id, 2, RecipientState::removed)}),
              StoreStatus::stored);
    EXPECT_EQ(reader()->find(id).error(), ReadError::not_found);
    // Nor does a result for what is gone bring anything back.
    EXPECT_EQ(try_record({update(id, 0, RecipientState::waiting)}), StoreStatus::stored);
    EXPECT_EQ(query("SELECT count(*) FROM recipient") + query("SELECT count(*) FROM chunk"), 0);
    EXPECT_EQ(reader()->totals()->messages, 0U);
}

TEST_F(StoreContractTest, ResultsOfSeveralMessagesAreRecordedTogether) {
    open();
    const MessageId first = accept({"a@example.com"}, "1");
    const MessageId second = accept({"a@example.com", "b@example.com"}, "2");
    EXPECT_EQ(try_record({update(first, 0, RecipientState::delivered), update(second, 1, RecipientState::waiting),
                          update(second, 0, RecipientState::parked)}),
              StoreStatus::stored);
    EXPECT_EQ(reader()->find(first).error(), ReadError::not_found);
    EXPECT_EQ(reader()->find(second)->recipients[0].state, RecipientState::parked);
    EXPECT_EQ(reader()->totals()->messages, 1U);
}

TEST_F(StoreContractTest, AnEmptyPartDoesNotEndTheContent) {
    open();
    const MessageId id = accept({"a@example.com"}, "end", {"first ", "", "second ", ""});
    const auto read = reader();
    EXPECT_TRUE(read->verify(id).has_value());
    EXPECT_EQ(content(*read, id), "first second end");
    const MessageId nothing = accept({"a@example.com"}, "", {""});
    EXPECT_TRUE(read->verify(nothing).has_value());
    EXPECT_EQ(content(*read, nothing), "");
}

TEST_F(StoreContractTest, HandsOnContentsWithinTheBudgetAlone) {
    options_.hand_over_size = 1000;
    options_.hand_over_budget = 2500;
    open_with_diary();
    (void)accept({"a@example.com"}, std::string(1001, 'x'));
    (void)accept({"a@example.com"}, std::string(1000, 'x'));
    (void)accept({"a@example.com"}, std::string(1000, 'x'));
    (void)accept({"a@example.com"}, std::string(1000, 'x'));
    (void)accept({"a@example.com"}, std::string(400, 'x'), {std::string(10, 'y')});
    drain();
    ASSERT_EQ(diary_.contents_.size(), 5U);
    EXPECT_FALSE(diary_.contents_[0]);
    EXPECT_TRUE(diary_.contents_[1] && diary_.contents_[2]);
    EXPECT_FALSE(diary_.contents_[3]);
    EXPECT_FALSE(diary_.contents_[4]) << "what came in parts is not in memory as a whole";
    diary_.contents_.clear();  // gives it back
    (void)accept({"a@example.com"}, std::string(1000, 'x'));
    drain();
    EXPECT_TRUE(diary_.contents_.at(0));
    diary_.contents_.clear();
}

TEST_F(StoreContractTest, WhatWasPushedBeforeTheEndIsDoneAtTheEnd) {
    open();
    std::vector<StoreStatus> told(500, StoreStatus::failed);
    for (auto& status : told) {
        store_->begin()->commit(Envelope(), {recipient("a@example.com")}, "content",
                                [&status](StoreStatus how) { status = how; });
    }
    store_.reset();
    EXPECT_EQ(std::count(told.begin(), told.end(), StoreStatus::stored), 500);
    EXPECT_EQ(query("SELECT count(*) FROM message"), 500);
}

}  // namespace
}  // namespace postern::queue
