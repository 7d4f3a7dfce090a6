// A scheduler in virtual time over a Host that only writes down what it is asked, and a queue of rows that answers like
// the store. Nothing happens by itself: a test says what the stores answer, and moves the clock.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "gateway/delivery/scheduler.hpp"

namespace postern::delivery::tests {

using namespace std::chrono_literals;
using lmtp_client::Fate;
using lmtp_client::Outcome;
using lmtp_client::Trouble;
using queue::RecipientState;

inline mail::Mailbox mailbox(const std::string& text) { return *mail::Mailbox::parse(text, mail::Utf8::allowed); }

inline mail::Reply reply(const std::string& text) {
    const auto code = static_cast<std::uint16_t>(std::stoi(text.substr(0, 3)));
    const std::string rest = text.size() > 4 ? text.substr(4) : std::string();
    const std::string first = rest.substr(0, rest.find(' '));
    if (const auto status = mail::EnhancedStatus::parse(first)) {
        return {code, *status, rest.size() > first.size() ? rest.substr(first.size() + 1) : std::string()};
    }
    return {code, rest};
}

/// What the log was told, one line each.
class NotedEvents final : public Events {
public:
    void recipient(const RecipientEvent& event) override {
        lines.push_back(std::string(event.event) + ' ' + event.recipient.address.to_string());
    }
    void endpoint_down(const std::string&, const std::string& endpoint, const std::string&) override {
        lines.push_back("down " + endpoint);
    }
    void endpoint_up(const std::string&, const std::string& endpoint) override { lines.push_back("up " + endpoint); }
    void backend(const BackendEvent& event) override {
        lines.push_back(std::string(to_string(event.kind)) + ' ' + event.backend + event.about);
    }
    void damaged(queue::MessageId, const std::string&) override { lines.emplace_back("damaged"); }
    void recounted(const std::string& changes) override { lines.push_back("recounted " + changes); }
    void problem(const std::string& text) override { lines.push_back("problem " + text); }
    [[nodiscard]] std::size_t count(const std::string& line) const {
        return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), line));
    }
    std::vector<std::string> lines;
};

class SchedulerTest : public testing::Test, protected Host {
protected:
    struct Row {
        queue::Recipient recipient;
        queue::Instant received_at{};
    };
    using RowKey = std::pair<std::int64_t, queue::Ordinal>;

    SchedulerTest() {
        options.retry.first = 1min;
        add_backend("stores", {"store1:24"});
        routes["example.com"] = "stores";
    }

    void add_backend(const std::string& name, const std::vector<std::string>& endpoints) {
        for (const std::string& endpoint : endpoints) {
            options.backends[name].endpoints.push_back(*lmtp_client::parse_endpoint(endpoint));
        }
    }
    Route route() {
        return [this](const mail::Mailbox& address) -> std::optional<std::string> {
            const auto found = routes.find(address.domain_key());
            return found == routes.end() ? std::nullopt : std::optional(found->second);
        };
    }
    /// A scheduler that waits for the marks.
    void make() { scheduler.emplace(static_cast<Host&>(*this), events, options, route()); }
    /// Options are set: from now on the scheduler is there.
    void begin(const std::vector<queue::BackendMark>& with = {}) {
        make();
        scheduler->begin(with, now);
        run();
    }
    /// The process ends, and the next one finds what was recorded.
    void restart() {
        plans.clear();
        probes.clear();
        loads.clear();
        scheduler.reset();
        begin(marks);
    }

    void run() {
        // The store answers at once, in the order in which it was asked.
        for (int rounds = 0; rounds < 1000; ++rounds) {
            scheduler->run(now);
            if (!answer_loads()) {
                return;
            }
        }
        FAIL() << "the scheduler asks for ever";
    }
    void pass(queue::Duration time) {
        now.wall += time;
        now.steady += time;
        run();
    }
    /// To where the scheduler wants to be woken, at most `most` later.
    void pass_to_wake(queue::Duration most = 24h) {
        const auto wake = scheduler->next_wake(now);
        const auto time = wake ? std::chrono::ceil<queue::Duration>(*wake - now.steady) : most;
        pass(std::clamp<queue::Duration>(time, 1ms, most));
    }

    queue::MessageId put(const std::vector<std::string>& addresses, queue::Duration age = {}) {
        const queue::MessageId id(queue::MessageId::first_at(now.wall - age).value() + ++messages_put);
        for (const std::string& address : addresses) {
            queue::Recipient recipient(mailbox(address));
            recipient.ordinal = static_cast<queue::Ordinal>(&address - addresses.data());
            const auto found = routes.find(recipient.address.domain_key());
            recipient.backend = found == routes.end() ? "stores" : found->second;
            recipient.next_attempt_at = now.wall - age;
            rows.emplace(RowKey(id.value(), recipient.ordinal), Row{recipient, now.wall - age});
        }
        return id;
    }
    /// As the store tells of a fresh message.
    queue::MessageId send(const std::vector<std::string>& addresses) {
        const queue::MessageId id = put(addresses);
        auto message = std::make_shared<queue::CommittedMessage>();
        message->envelope.id = id;
        message->envelope.received_at = now.wall;
        for (queue::Ordinal i = 0; i < addresses.size(); ++i) {
            message->recipients.push_back(rows.at({id.value(), i}).recipient);
        }
        scheduler->committed(message, now);
        run();
        return id;
    }

    std::shared_ptr<const Plan> next_plan() {
        if (plans.empty()) {
            throw std::logic_error("no transaction was started");
        }
        auto plan = plans.front();
        plans.pop_front();
        return plan;
    }
    void answer(const Plan& plan, const std::vector<std::string>& replies) {
        for (std::size_t slot = 0; slot < plan.recipients.size(); ++slot) {
            scheduler->outcome(plan.number, slot, {Fate::replied, reply(replies[std::min(slot, replies.size() - 1)])},
                               now);
        }
    }
    void end(const Plan& plan, Trouble trouble = Trouble::none, const std::string& detail = {}) {
        scheduler->transaction_ended(plan.number, trouble, detail, now);
        scheduler->release(plan.number);
        run();
    }
    /// The next transaction is answered so, slot by slot (the last for all further ones), and is over.
    std::shared_ptr<const Plan> reply_to_next(const std::vector<std::string>& replies) {
        auto plan = next_plan();
        answer(*plan, replies);
        end(*plan);
        return plan;
    }
    /// Everybody in it gets this fate, and it ends in this trouble.
    std::shared_ptr<const Plan> break_next(Fate fate, Trouble trouble, const std::string& detail = "broken") {
        auto plan = next_plan();
        for (std::size_t slot = 0; slot < plan->recipients.size(); ++slot) {
            scheduler->outcome(plan->number, slot, {fate, {}}, now);
        }
        end(*plan, trouble, detail);
        return plan;
    }
    void break_up(const Plan& plan) {
        for (std::size_t slot = 0; slot < plan.recipients.size(); ++slot) {
            scheduler->outcome(plan.number, slot, {Fate::unknown, {}}, now);
        }
        end(plan, Trouble::broken, "broken");
    }
    void answer_probe(bool well) {
        ASSERT_FALSE(probes.empty());
        const auto [backend, endpoint] = probes.front();
        probes.erase(probes.begin());
        scheduler->probe_ended(backend, endpoint, well, well ? "" : "refused", now);
        run();
    }

    const queue::Recipient& row(queue::MessageId id, queue::Ordinal ordinal = 0) {
        return rows.at({id.value(), ordinal}).recipient;
    }
    queue::Duration until_next_attempt(queue::MessageId id, queue::Ordinal ordinal = 0) {
        return row(id, ordinal).next_attempt_at - now.wall;
    }
    BackendState state(const std::string& name = "stores") {
        for (const BackendState& each : scheduler->backends(now)) {
            if (each.name == name) {
                return each;
            }
        }
        ADD_FAILURE() << "no backend " << name;
        return {};
    }
    std::vector<std::string> addresses(const Plan& plan) {
        std::vector<std::string> list;
        for (const queue::Recipient& recipient : plan.recipients) {
            list.push_back(recipient.address.to_string());
        }
        return list;
    }

    // Host
    void start(std::shared_ptr<const Plan> plan) override { plans.push_back(std::move(plan)); }
    void probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) override {
        probes.emplace_back(backend, endpoint);
    }
    void load(const std::string& backend, queue::Instant until, std::optional<queue::DueKey> after,
              std::size_t limit) override {
        loads.push_back({Load::Kind::due, backend, until, after, {}, limit});
    }
    void load_old(const std::string& backend, queue::MessageId before, std::size_t limit) override {
        loads.push_back({Load::Kind::old, backend, {}, {}, before, limit});
    }
    void load_late(const std::string& backend, queue::MessageId after, queue::MessageId before,
                   std::size_t limit) override {
        loads.push_back({Load::Kind::late, backend, {}, queue::DueKey{{}, after, 0}, before, limit});
    }
    void record_at_end(std::uint64_t plan, queue::RecipientUpdate update, queue::HistoryEvent event) override {
        EXPECT_NE(plan, 0U);
        record(std::move(update), std::move(event));
    }
    void record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) override {
        const auto found = rows.find({update.message.value(), update.ordinal});
        ASSERT_NE(found, rows.end()) << "a result for what is not in the queue";
        queue::Recipient& recipient = found->second.recipient;
        ASSERT_FALSE(queue::is_done(recipient.state)) << "a recorded result is never undone";
        if (update.telling && !update.telling->changes_all && no_room) {
            return;
        }
        if (update.telling) {
            tellings.emplace_back(recipient.address.to_string(), *update.telling);
            recipient.delay_told = recipient.delay_told || update.telling->notice == queue::Notice::delayed;
            if (!update.telling->changes_all) {
                return;
            }
        }
        recipient.state = update.state;
        recipient.attempts = update.attempts;
        recipient.unknowns = update.unknowns;
        recipient.next_attempt_at = update.next_attempt_at;
        recipient.backend = update.backend;
        recipient.last_reply = update.last_reply;
        recipient.failed = update.failed;
        if (event) {
            history.push_back(*event);
        }
    }
    void call_waiting(const std::string& backend, const std::string& address, queue::Instant at,
                      std::size_t limit) override {
        calls.push_back(address);
        std::size_t count = 0;
        for (auto& [key, each] : rows) {
            queue::Recipient& recipient = each.recipient;
            if (count < limit && recipient.address.to_string() == address && recipient.backend == backend &&
                recipient.state == RecipientState::waiting && recipient.next_attempt_at > at) {
                recipient.next_attempt_at = at;
                ++count;
            }
        }
        loads.push_back({Load::Kind::called, backend, {}, {}, {}, limit, address, count});
    }
    void survey() override { loads.push_back({Load::Kind::survey, {}, {}, {}, {}, 0}); }
    void reassign(const std::string& from, const queue::DomainMoves& moves) override {
        ++reassignments;
        loads.push_back({Load::Kind::reassigned, from, {}, {}, {}, 0, {}, 0, moves});
    }
    bool reassign_fails = false;
    std::size_t reassignments = 0;
    void mark(queue::BackendMark made, bool set) override {
        std::erase_if(marks, [&made](const queue::BackendMark& old) {
            return old.backend == made.backend && old.kind == made.kind;
        });
        if (set) {
            marks.push_back(std::move(made));
        }
    }
    void refuse(const std::map<std::string, std::string>& backends) override { refused = backends; }

    struct Load {
        enum class Kind : std::uint8_t { due, old, late, called, survey, reassigned } kind = Kind::due;
        std::string backend;
        queue::Instant until{};
        std::optional<queue::DueKey> after{};
        queue::MessageId before{};
        std::size_t limit = 0;
        std::string about{};
        std::size_t count = 0;
        queue::DomainMoves moves{};
    };

    bool answer_loads() {
        if (hold_loads || loads.empty()) {
            return false;
        }
        const Load asked = loads.front();
        loads.pop_front();
        switch (asked.kind) {
            case Load::Kind::due:
                ++loads_answered;
                scheduler->loaded(asked.backend, due(asked), now);
                break;
            case Load::Kind::old:
                scheduler->loaded_old(asked.backend, old(asked), now);
                break;
            case Load::Kind::late:
                scheduler->loaded_late(asked.backend, late(asked), now);
                break;
            case Load::Kind::called:
                scheduler->called(asked.backend, asked.about, asked.count, asked.limit);
                break;
            case Load::Kind::survey:
                scheduler->surveyed(cells(), now);
                break;
            case Load::Kind::reassigned:
                scheduler->reassigned(asked.moves, reassigned(asked), now);
                break;
        }
        return true;
    }
    std::optional<std::size_t> reassigned(const Load& asked) {
        if (reassign_fails) {
            return std::nullopt;
        }
        std::size_t count = 0;
        for (auto& [key, each] : rows) {
            queue::Recipient& recipient = each.recipient;
            const auto move = asked.moves.find(recipient.address.domain_key());
            if (queue::is_schedulable(recipient.state) && recipient.backend == asked.backend &&
                move != asked.moves.end()) {
                recipient.backend = move->second;
                ++count;
            }
        }
        return count;
    }
    queue::DuePage due(const Load& asked) {
        std::map<queue::DueKey, const Row*> in_order;
        queue::DuePage page;
        for (const auto& [key, each] : rows) {
            const queue::Recipient& recipient = each.recipient;
            if (recipient.backend != asked.backend || !queue::is_schedulable(recipient.state)) {
                continue;
            }
            if (recipient.next_attempt_at > asked.until) {
                if (!page.earliest_later || recipient.next_attempt_at < *page.earliest_later) {
                    page.earliest_later = recipient.next_attempt_at;
                }
                continue;
            }
            const queue::DueKey due_key{recipient.next_attempt_at, queue::MessageId(key.first), key.second};
            if (!asked.after || due_key > *asked.after) {
                in_order.emplace(due_key, &each);
            }
        }
        for (const auto& [key, each] : in_order) {
            page.recipients.push_back({key.message, each->recipient, each->received_at, 1000});
            if (page.recipients.size() == asked.limit) {
                page.next = key;
                page.earliest_later.reset();
                break;
            }
        }
        rows_loaded += page.recipients.size();
        return page;
    }
    queue::DuePage old(const Load& asked) {
        queue::DuePage page;
        for (const auto& [key, each] : rows) {
            if (queue::MessageId(key.first) < asked.before && each.recipient.backend == asked.backend &&
                queue::is_schedulable(each.recipient.state) && page.recipients.size() < asked.limit) {
                page.recipients.push_back({queue::MessageId(key.first), each.recipient, each.received_at, 1000});
            }
        }
        return page;
    }
    queue::DuePage late(const Load& asked) {
        queue::DuePage page;
        for (const auto& [key, each] : rows) {
            const queue::MessageId id(key.first);
            if (id > asked.after->message && id < asked.before && each.recipient.backend == asked.backend &&
                queue::is_schedulable(each.recipient.state) && !each.recipient.delay_told &&
                page.recipients.size() < asked.limit) {
                page.recipients.push_back({id, each.recipient, each.received_at, 1000});
            }
        }
        return page;
    }
    std::vector<queue::BacklogCell> cells() {
        std::map<std::pair<std::string, std::string>, std::uint64_t> counts;
        for (const auto& [key, each] : rows) {
            if (queue::is_schedulable(each.recipient.state)) {
                ++counts[{each.recipient.backend, each.recipient.address.domain_key()}];
            }
        }
        std::vector<queue::BacklogCell> list;
        for (const auto& [key, count] : counts) {
            list.push_back({key.first, key.second, count});
        }
        return list;
    }

    Options options;
    std::map<std::string, std::string> routes;
    NotedEvents events;
    Now now{queue::Instant(1'800'000'000s), queue::SteadyInstant(1000h)};
    std::optional<Scheduler> scheduler;
    std::map<RowKey, Row> rows;
    std::deque<std::shared_ptr<const Plan>> plans;
    std::vector<std::pair<std::string, lmtp_client::Endpoint>> probes;
    std::deque<Load> loads;
    std::vector<queue::HistoryEvent> history;
    std::vector<std::string> calls;
    std::vector<std::pair<std::string, queue::Telling>> tellings;  ///< of which senders are to hear, by recipient
    std::vector<queue::BackendMark> marks;
    std::map<std::string, std::string> refused;
    std::size_t loads_answered = 0;
    std::size_t rows_loaded = 0;
    bool hold_loads = false;
    bool no_room = false;  ///< for reports
    std::int64_t messages_put = 0;
};

}  // namespace postern::delivery::tests
