// Reports in the transaction of the result that caused them: there with it, gone without it, whatever the disk does.
#include <gmock/gmock.h>

#include <map>

#include "queue/returning.hpp"
#include "tests/unit/queue/fault_vfs.hpp"
#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

using namespace testing_faults;

/// Reports to every sender, unless told otherwise, in a message that names what it was shown.
class PlainReporter final : public Reporter {
public:
    Answer decide(const Case& about) override {
        ++asked;
        Answer answer;
        std::string text;
        for (const Told& told : about.recipients) {
            answer.verdicts.push_back({ruling, ruling == Ruling::report ? "" : "(because)"});
            text += told.recipient.address.to_string() + ' ' + told.recipient.last_reply + '\n';
        }
        if (ruling != Ruling::report) {
            return answer;
        }
        CommittedMessage& report = answer.report.emplace();
        report.envelope.id = about.report_id;
        report.envelope.received_at = about.recipients.front().telling.at;
        report.envelope.origin = Origin::gateway;
        report.envelope.about = about.envelope.id;
        text += about.content_is_whole ? "whole: " : "cut: ";
        text += about.content;
        report.envelope.size = text.size();
        report.content = std::make_shared<const std::string>(text);
        report.recipients.emplace_back(*about.envelope.sender.mailbox());
        report.recipients.front().backend = "stores";
        return answer;
    }
    [[nodiscard]] std::size_t content_octets_max() const override { return 20; }

    Ruling ruling = Ruling::report;
    int asked = 0;
};

class StoreReportTest : public StoreFixture {
protected:
    StoreReportTest() { options_.reporter = &reporter_; }

    RecipientUpdate failure(MessageId message, Ordinal ordinal = 0) {
        RecipientUpdate made = update(message, ordinal, RecipientState::parked);
        made.failed = true;
        made.last_reply = "550 5.1.1 No such user";
        made.telling.emplace().at = clock_.wall();
        return made;
    }
    /// The reports in the queue.
    std::vector<QueuedMessage> reports() {
        std::vector<QueuedMessage> found;
        const auto read = reader();
        EXPECT_TRUE(read->list({}, clock_.wall(), [&](const QueuedMessage& message) {
            if (message.envelope.origin == Origin::gateway) {
                EXPECT_TRUE(read->verify(message.envelope.id).has_value());
                found.push_back(message);
            }
            return true;
        }));
        return found;
    }

    PlainReporter reporter_;
};

TEST_F(StoreReportTest, TheReportComesWithTheResultAndTheMessageGoes) {
    open();
    const MessageId id = accept({"gone@example.com"}, "content");
    EXPECT_EQ(try_record({failure(id)}), StoreStatus::stored);
    EXPECT_EQ(reader()->find(id).error(), ReadError::not_found);
    const auto made = reports();
    ASSERT_EQ(made.size(), 1U);
    EXPECT_TRUE(made[0].envelope.sender.is_null());
    EXPECT_EQ(made[0].envelope.about, id);
    EXPECT_EQ(made[0].recipients.at(0).address.to_string(), "sender@example.org");
    const auto read = reader();
    EXPECT_EQ(content(*read, made[0].envelope.id), "gone@example.com 550 5.1.1 No such user\nwhole: content");
    EXPECT_EQ(ears_.count(), 2U) << "the scheduler hears of it as of any other";
    expect_right_counts();
    reopen();
    EXPECT_EQ(reports().size(), 1U);
    EXPECT_GT(accept({"a@example.com"}, "later"), made[0].envelope.id) << "its id is not given out again";
}

TEST_F(StoreReportTest, OneReportForAllThatFailTogether) {
    open();
    const MessageId id = accept({"a@example.com", "b@example.com", "c@example.com"}, "content");
    const MessageId other = accept({"d@example.com"}, "content");
    EXPECT_EQ(try_record({failure(id, 0), failure(other), failure(id, 2)}), StoreStatus::stored);
    EXPECT_EQ(reports().size(), 2U);
    const auto left = reader()->find(id);
    ASSERT_TRUE(left.has_value());
    EXPECT_EQ(left->recipients[0].state, RecipientState::returned);
    EXPECT_EQ(left->recipients[1].state, RecipientState::ready);
    EXPECT_EQ(left->recipients[2].state, RecipientState::returned);
    EXPECT_TRUE(left->recipients[2].failed);
    // What is done with is not told again.
    EXPECT_EQ(try_record({failure(id, 0)}), StoreStatus::stored);
    EXPECT_EQ(reports().size(), 2U);
    expect_right_counts();
}

TEST_F(StoreReportTest, WhoMayNotBeToldIsParkedAndWhoNeedNotIsDoneWith) {
    open();
    const MessageId parked = accept({"a@example.com"}, "content");
    reporter_.ruling = Reporter::Ruling::park;
    EXPECT_EQ(try_record({failure(parked)}), StoreStatus::stored);
    EXPECT_EQ(reader()->find(parked)->recipients[0].state, RecipientState::parked);
    reporter_.ruling = Reporter::Ruling::silence;
    const MessageId silent = accept({"a@example.com"}, "content");
    EXPECT_EQ(try_record({failure(silent)}), StoreStatus::stored);
    EXPECT_EQ(reader()->find(silent).error(), ReadError::not_found);
    EXPECT_TRUE(reports().empty());
    drain();
    std::vector<std::string> events;
    EXPECT_TRUE(reader()->history({}, clock_.wall(), [&](const HistoryEvent& event) {
        if (event.event != "accepted") {
            events.push_back(event.event + ' ' + event.reply);
        }
        return true;
    }));
    EXPECT_EQ(events, (std::vector<std::string>{"parked (because)", "not_reported (because)"}));
}

TEST_F(StoreReportTest, WithoutAReporterWhatFailedIsParked) {
    options_.reporter = nullptr;
    open();
    const MessageId id = accept({"a@example.com"}, "content");
    EXPECT_EQ(try_record({failure(id)}), StoreStatus::stored);
    EXPECT_EQ(reader()->find(id)->recipients[0].state, RecipientState::parked);
}

TEST_F(StoreReportTest, AnOrderThatWasRecordedBeforeHolds) {
    open();
    const MessageId id = accept({"a@example.com"}, "content");
    EXPECT_EQ(try_record({update(id, 0, RecipientState::removed), failure(id)}), StoreStatus::stored);
    EXPECT_EQ(reporter_.asked, 0);
    EXPECT_TRUE(reports().empty());
}

TEST_F(StoreReportTest, ADelayIsToldOnceAndLeavesTheRecipientAsItIs) {
    open();
    const MessageId id = accept({"a@example.com"}, "content");
    RecipientUpdate late = update(id, 0, RecipientState::held, Instant(Duration(77)));
    late.telling.emplace().notice = Notice::delayed;
    late.telling->changes_all = false;
    EXPECT_EQ(try_record({late}), StoreStatus::stored);
    EXPECT_EQ(try_record({late}), StoreStatus::stored);
    EXPECT_EQ(reports().size(), 1U);
    const auto found = reader()->find(id);
    EXPECT_EQ(found->recipients[0].state, RecipientState::ready);
    EXPECT_TRUE(found->recipients[0].delay_told);
    // With a deferral it changes as any other.
    const MessageId second = accept({"b@example.com"}, "content");
    late = update(second, 0, RecipientState::waiting, Instant(Duration(77)));
    late.telling.emplace().notice = Notice::delayed;
    EXPECT_EQ(try_record({late}), StoreStatus::stored);
    EXPECT_EQ(reader()->find(second)->recipients[0].state, RecipientState::waiting);
    EXPECT_EQ(reports().size(), 2U);
}

TEST_F(StoreReportTest, ADelayThatCannotBeToldChangesNothing) {
    options_.log_octets_max = 64 << 10;
    options_.checkpoint_pages = 4;
    options_.try_again_after = std::chrono::hours(1);  // it stays full while this looks
    open();
    const MessageId id = accept({"a@example.com", "c@example.com"}, "content");
    EXPECT_EQ(try_record({update(id, 1, RecipientState::held)}), StoreStatus::stored);
    RecipientUpdate waits = update(id, 0, RecipientState::waiting, Instant(Duration(77)));
    waits.attempts = 3;
    waits.backend = "stores";
    waits.last_reply = "451 4.3.0 later";
    EXPECT_EQ(try_record({waits}), StoreStatus::stored);
    // Nothing new fits while somebody reads and the log cannot be emptied.
    auto shell = std::make_unique<detail::Connection>(options_.path, detail::OpenMode::read_only);
    shell->execute("BEGIN");
    EXPECT_GT(shell->query_integer("SELECT count(*) FROM message"), 0);
    for (int i = 0; i < 100 && store_->admit(0) == StoreStatus::stored; ++i) {
        static_cast<void>(send({"b@example.com"}, std::string(9'000, 'x')));
    }
    ASSERT_EQ(store_->admit(0), StoreStatus::disk_full);
    // What an operator wants returned is never delivered for want of room.
    RecipientUpdate back = update(id, 1, RecipientState::parked);
    return_by_hand(back, reader()->find(id)->recipients[1], "a virus", Instant(Duration(78)));
    EXPECT_EQ(try_record({back}), StoreStatus::stored);
    EXPECT_EQ(reader()->find(id)->recipients[1].state, RecipientState::held);
    EXPECT_THAT(reader()->find(id)->recipients[1].last_reply, testing::HasSubstr("a virus"));
    ears_.put_offs = 0;
    RecipientUpdate late;
    late.message = id;
    late.state = RecipientState::waiting;
    late.telling.emplace().notice = Notice::delayed;
    late.telling->changes_all = false;
    EXPECT_EQ(try_record({late}), StoreStatus::stored);
    EXPECT_EQ(ears_.put_offs, 1) << "who believes that it was told must hear of it";
    EXPECT_TRUE(reports().empty());
    const auto found = reader()->find(id);
    EXPECT_EQ(found->recipients[0].next_attempt_at, Instant(Duration(77)));
    EXPECT_EQ(found->recipients[0].attempts, 3U);
    EXPECT_EQ(found->recipients[0].backend, "stores");
    EXPECT_EQ(found->recipients[0].last_reply, "451 4.3.0 later");
    EXPECT_FALSE(found->recipients[0].delay_told);
    shell.reset();
    store_.reset();
    open();
    EXPECT_EQ(try_record({late}), StoreStatus::stored);
    EXPECT_EQ(reports().size(), 1U);
}

TEST(ReturnByHand, DoesNotSayThatItExpiredWhenAnotherReturnFoundNoWay) {
    Recipient recipient(*mail::Mailbox::parse("a@example.com", mail::Utf8::refused));
    recipient.state = RecipientState::held;
    RecipientUpdate update;
    return_by_hand(update, recipient, "a virus", Instant());
    recipient.state = RecipientState::parked;
    recipient.last_reply = update.last_reply;
    return_by_hand(update, recipient, "", Instant());
    EXPECT_FALSE(update.telling->expired);
    recipient.last_reply = "(expired)";
    return_by_hand(update, recipient, "", Instant());
    EXPECT_TRUE(update.telling->expired);
}

TEST_F(StoreReportTest, OneNoticeTellsOfAllThatWait) {
    open();
    const MessageId id = accept({"a@example.com", "b@example.com", "c@example.com", "d@example.com"}, "content");
    const MessageId other = accept({"e@example.com"}, "content");
    EXPECT_EQ(try_record({update(id, 1, RecipientState::waiting), update(other, 0, RecipientState::waiting),
                          update(id, 2, RecipientState::waiting)}),
              StoreStatus::stored);
    // d is taken together with the deferral that tells.
    const auto late = [&](Ordinal ordinal) {
        RecipientUpdate made = update(id, ordinal, RecipientState::waiting);
        made.telling.emplace().notice = Notice::delayed;
        return made;
    };
    EXPECT_EQ(try_record({update(id, 3, RecipientState::delivered), late(0)}), StoreStatus::stored);
    EXPECT_EQ(try_record({late(1), late(2)}), StoreStatus::stored);
    const auto made = reports();
    ASSERT_EQ(made.size(), 1U);
    const auto read = reader();
    const std::string told = content(*read, made[0].envelope.id);
    for (const char* const name : {"a@", "b@", "c@"}) {
        EXPECT_NE(told.find(name), std::string::npos) << name;
    }
    for (const char* const name : {"d@", "e@"}) {
        EXPECT_EQ(told.find(name), std::string::npos) << name;
    }
    const auto found = read->find(id);
    ASSERT_EQ(found->recipients.size(), 4U);
    EXPECT_TRUE(found->recipients[1].delay_told);
}

TEST_F(StoreReportTest, WhoIsLateIsFoundUntilItWasTold) {
    open();
    const MessageId first = accept({"a@example.com"}, "1");
    const MessageId second = accept({"b@example.com"}, "2");
    const auto late = [&](MessageId after) {
        std::promise<std::vector<MessageId>> answer;
        store_->load_late("stores", after, MessageId::first_at(clock_.wall() + Duration(1000)), 10,
                          [&](Result<DuePage, StoreStatus> page) {
                              std::vector<MessageId> ids;
                              for (const DueRecipient& due : page->recipients) {
                                  ids.push_back(due.message);
                              }
                              answer.set_value(ids);
                          });
        return answer.get_future().get();
    };
    EXPECT_EQ(late(MessageId()), (std::vector{first, second}));
    EXPECT_EQ(late(first), std::vector{second});
    RecipientUpdate told = update(first, 0, RecipientState::ready);
    told.telling.emplace().notice = Notice::delayed;
    told.telling->changes_all = false;
    EXPECT_EQ(try_record({told}), StoreStatus::stored);
    const auto left = late(MessageId());
    EXPECT_EQ(std::count(left.begin(), left.end(), first), 0);
    EXPECT_EQ(std::count(left.begin(), left.end(), second), 1);
}

TEST_F(StoreReportTest, AReportShowsTheBeginningOfWhatCameInParts) {
    open();
    const MessageId id = accept({"a@example.com"}, "end", {std::string(15, 'x'), std::string(15, 'y')});
    EXPECT_EQ(try_record({failure(id)}), StoreStatus::stored);
    const auto read = reader();
    const std::string text = content(*read, reports().at(0).envelope.id);
    EXPECT_NE(text.find("cut: " + std::string(15, 'x') + std::string(15, 'y')), std::string::npos) << text;
}

/// As StoreFaultTest: the n-th operation of the disk fails, for each n.
class StoreReportFaultTest : public StoreReportTest {
protected:
    StoreReportFaultTest() {
        options_.vfs = name();
        options_.history = Duration(0);
    }
    ~StoreReportFaultTest() override { plan.disarm(); }

    /// Records until it is recorded, as the ledger of results does.
    void record_for_sure(const std::vector<RecipientUpdate>& updates) {
        for (int tries = 0; try_record(updates) != StoreStatus::stored; ++tries) {
            ASSERT_LT(tries, 10'000);
            plan.disarm();
            ASSERT_TRUE(ears_.await_health());
        }
    }

    bool run(unsigned operations, int nth, bool no_space) {
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            std::filesystem::remove(entry.path());
        }
        plan.disarm();
        open();
        const MessageId whole = accept({"a@example.com"}, std::string(30'000, 'c'));
        const MessageId half = accept({"b@example.com", "c@example.com"}, "content");
        plan.arm(operations, nth, false, no_space);
        record_for_sure({failure(whole)});
        record_for_sure({failure(half, 1)});
        const bool fired = plan.fired > 0;
        plan.disarm();
        EXPECT_TRUE(ears_.await_health());
        for (const bool again : {false, true}) {
            if (again) {
                reopen();
            }
            check(whole, half,
                  "operation " + std::to_string(operations) + " number " + std::to_string(nth) +
                      (no_space ? ", no space" : "") + (again ? ", reopened" : ""));
        }
        return fired && !HasFailure();
    }
    /// A report for each that is returned, and for nobody else.
    void check(MessageId whole, MessageId half, const std::string& when) {
        std::map<MessageId, int> about;
        for (const QueuedMessage& report : reports()) {
            ++about[*report.envelope.about];
        }
        const auto read = reader();
        const auto first = read->find(whole);
        const bool is_put_off = first.has_value() && first->recipients[0].state == RecipientState::waiting;
        EXPECT_EQ(about[whole], is_put_off ? 0 : 1) << when;
        EXPECT_TRUE(is_put_off || first.has_error()) << when;
        const auto second = read->find(half);
        ASSERT_TRUE(second.has_value()) << when;
        const RecipientState state = second->recipients[1].state;
        EXPECT_EQ(about[half], state == RecipientState::returned ? 1 : 0) << when << ' ' << to_string(state);
        EXPECT_TRUE(state == RecipientState::returned || state == RecipientState::waiting) << when;
        expect_right_counts(when);
    }
    void run_all(unsigned operations, bool no_space) {
        int nth = 1;
        while (run(operations, nth, no_space)) {
            ++nth;
        }
        EXPECT_GT(nth, 2) << "nothing was tried";
    }
};

TEST_F(StoreReportFaultTest, AWriteFails) { run_all(write_operation, false); }
TEST_F(StoreReportFaultTest, AWriteFindsNoSpace) { run_all(write_operation, true); }
TEST_F(StoreReportFaultTest, AFlushFails) { run_all(sync_operation, false); }

/// Version 1 of the file had no reports: what is in it goes on.
TEST_F(StoreReportTest, AQueueOfTheFirstVersionIsTakenUp) {
    open();
    const MessageId waiting = accept({"a@example.com"}, "waits");
    const MessageId parked = accept({"b@example.com", "c@example.com"}, "parked");
    record(waiting, 0, RecipientState::waiting, Instant(Duration(4711)));
    options_.reporter = nullptr;
    record(parked, 1, RecipientState::parked);
    store_.reset();
    {
        detail::Connection file(options_.path, detail::OpenMode::create);
        file.execute(R"sql(
            DROP VIEW report_recipient; DROP VIEW report_state; DROP TABLE origin;
            CREATE TABLE old AS SELECT * FROM recipient; DROP TABLE recipient;
            CREATE TABLE recipient (message INTEGER NOT NULL, ordinal INTEGER NOT NULL, address TEXT NOT NULL, domain TEXT NOT NULL,
                backend TEXT NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6), attempts INTEGER NOT NULL,
                unknowns INTEGER NOT NULL, next_attempt_at INTEGER NOT NULL, last_reply TEXT NOT NULL, dsn_notify INTEGER NOT NULL,
                dsn_orcpt TEXT NOT NULL, failed INTEGER NOT NULL, PRIMARY KEY (message, ordinal)) STRICT, WITHOUT ROWID;
            INSERT INTO recipient SELECT message, ordinal, address, domain, backend, state, attempts, unknowns, next_attempt_at,
                last_reply, dsn_notify, dsn_orcpt, failed FROM old;
            DROP TABLE old;
            CREATE INDEX recipient_due ON recipient (backend, next_attempt_at, message, ordinal) WHERE state <= 2;
            CREATE INDEX recipient_waiting ON recipient (address) WHERE state = 1;
            CREATE VIEW report_state (state, name) AS VALUES (0, 'ready');
            CREATE VIEW report_recipient (id) AS SELECT message FROM recipient;
            PRAGMA user_version = 1;
        )sql");
    }
    {
        const auto refused = open_reader(options_.path);
        ASSERT_TRUE(refused.has_error());
        EXPECT_NE(refused.error().text.find("older version"), std::string::npos) << refused.error().text;
    }
    options_.reporter = &reporter_;
    open();
    const auto read = reader();
    EXPECT_EQ(read->find(waiting)->recipients[0].next_attempt_at, Instant(Duration(4711)));
    EXPECT_EQ(read->find(parked)->recipients[1].state, RecipientState::parked);
    EXPECT_TRUE(read->verify(parked).has_value());
    expect_right_counts();
    EXPECT_EQ(try_record({failure(parked, 1)}), StoreStatus::stored);
    EXPECT_EQ(reports().size(), 1U);
    EXPECT_EQ(query("SELECT count(*) FROM report_recipient WHERE state = 'returned'"), 1);
}

}  // namespace
}  // namespace postern::queue
