// A queue in memory and a gateway that does what it is told, for the tests of control and cli.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gateway/control/live_gateway.hpp"
#include "queue/reader.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::control::test {

using namespace std::chrono_literals;

/// 2026-08-21T10:00:00Z.
inline constexpr queue::Instant noon_ish{std::chrono::milliseconds(1'787'306'400'000)};

/// Wall time stands still; steady time is the machine's, as sockets wait by it.
class FixedClock final : public queue::Clock {
public:
    [[nodiscard]] queue::Instant wall() const override { return noon_ish; }
    [[nodiscard]] queue::SteadyInstant steady() const override { return std::chrono::steady_clock::now(); }
};

class TempFolder {
public:
    TempFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "postern-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
        path_ = name;
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

inline mail::Mailbox mailbox(const std::string& text) {
    auto parsed = mail::Mailbox::parse(text, mail::Utf8::allowed);
    if (!parsed) {
        throw std::runtime_error("not an address: " + text);
    }
    return *parsed;
}

inline queue::Recipient recipient(const std::string& address, queue::RecipientState state,
                                  std::string last_reply = "") {
    queue::Recipient made(mailbox(address));
    made.state = state;
    made.backend = "stores";
    made.last_reply = std::move(last_reply);
    made.attempts = made.last_reply.empty() ? 0 : 1;
    made.next_attempt_at = noon_ish + 250s;
    return made;
}

inline queue::QueuedMessage message(std::int64_t id, std::vector<queue::Recipient> recipients) {
    queue::QueuedMessage made;
    made.envelope.id = queue::MessageId(id);
    made.envelope.received_at = noon_ish - 2h;
    made.envelope.sender = mail::ReversePath(mailbox("alice@example.com"));
    made.envelope.client.address = "192.0.2.1";
    made.envelope.client.helo = "mx.example.net";
    made.envelope.client.protocol = "ESMTP";
    made.envelope.size = 4096;
    for (auto& each : recipients) {
        each.ordinal = static_cast<queue::Ordinal>(made.recipients.size());
        made.recipients.push_back(std::move(each));
    }
    return made;
}

/// Threads: the messages are set before and left alone; each Reader of them has one thread.
struct FakeQueue {
    std::vector<queue::QueuedMessage> messages;
    std::string content;  ///< of every message, in two parts
    bool damaged = false;
    bool broken = false;                        ///< every call fails
    std::optional<std::size_t> damaged_behind;  ///< so many messages a listing finds the file damaged
    std::vector<queue::HistoryEvent> history;
};

/// Knows of a filter: ids, states, backends, limit.
class FakeReader final : public queue::Reader {
public:
    explicit FakeReader(const FakeQueue& queue) : queue_(queue) {}

    Result<std::vector<queue::QueuedMessage>, queue::ReadError> find(
        const std::vector<queue::MessageId>& ids) override {
        std::vector<queue::QueuedMessage> messages;
        for (const queue::MessageId id : ids) {
            if (auto message = find(id)) {
                messages.push_back(std::move(*message));
            } else if (message.error() != queue::ReadError::not_found) {
                return message.error();
            }
        }
        return messages;
    }
    Result<queue::QueuedMessage, queue::ReadError> find(queue::MessageId id) override {
        for (const auto& each : queue_.messages) {
            if (each.envelope.id == id && !queue_.broken) {
                return each;
            }
        }
        return queue_.broken ? queue::ReadError::failed : queue::ReadError::not_found;
    }
    Result<queue::Envelope, queue::ReadError> verify(queue::MessageId id) override {
        const auto found = find(id);
        if (!found) {
            return found.error();
        }
        if (queue_.damaged) {
            return queue::ReadError::damaged;
        }
        return found->envelope;
    }
    Result<std::string, queue::ReadError> content_part(queue::MessageId /*id*/, std::uint32_t number) override {
        const std::size_t half = queue_.content.size() / 2;
        std::string part;
        if (number < 2) {
            part = number == 0 ? queue_.content.substr(0, half) : queue_.content.substr(half);
        }
        return Result<std::string, queue::ReadError>(part);
    }
    Result<void, queue::ReadError> list(const queue::Filter& filter, queue::Instant /*now*/,
                                        const std::function<bool(const queue::QueuedMessage&)>& each) override {
        if (queue_.broken) {
            return queue::ReadError::failed;
        }
        std::uint64_t count = 0;
        std::size_t passed = 0;
        for (const auto& message : queue_.messages) {
            if (passed++ == queue_.damaged_behind) {
                return queue::ReadError::damaged;
            }
            const bool matches = std::any_of(message.recipients.begin(), message.recipients.end(),
                                             [&](const auto& recipient) { return fits(filter, message, recipient); });
            if (!matches) {
                continue;
            }
            if ((filter.limit && ++count > *filter.limit) || !each(message)) {
                break;
            }
        }
        return {};
    }
    Result<void, queue::ReadError> match(
        const queue::Filter& filter, queue::Instant now,
        const std::function<bool(const queue::QueuedMessage&, const queue::Recipient&)>& each) override {
        return list(filter, now, [&](const queue::QueuedMessage& message) {
            for (const auto& recipient : message.recipients) {
                if (fits(filter, message, recipient) && !each(message, recipient)) {
                    return false;
                }
            }
            return true;
        });
    }
    Result<queue::Totals, queue::ReadError> totals() override {
        if (queue_.broken) {
            return queue::ReadError::failed;
        }
        queue::Totals totals;
        totals.messages = queue_.messages.size();
        for (const auto& message : queue_.messages) {
            for (const auto& recipient : message.recipients) {
                ++totals.recipients[recipient.state];
            }
            totals.oldest = message.envelope.received_at;
        }
        return totals;
    }
    Result<queue::BacklogSurvey, queue::ReadError> backlog() override { return queue::BacklogSurvey(); }
    Result<std::vector<queue::BackendMark>, queue::ReadError> marks() override {
        return std::vector<queue::BackendMark>{};
    }
    Result<std::vector<queue::ShapeCell>, queue::ReadError> shape(ShapeBy by,
                                                                  const std::vector<queue::Duration>& bounds,
                                                                  queue::Instant /*now*/) override {
        queue::ShapeCell cell;
        cell.key = by == ShapeBy::backend ? "stores" : "example.org";
        cell.counts.assign(bounds.size() + 1, 7);
        return std::vector<queue::ShapeCell>{cell};
    }
    Result<void, queue::ReadError> history(const queue::HistoryFilter& wanted, queue::Instant /*now*/,
                                           const std::function<bool(const queue::HistoryEvent&)>& each) override {
        const auto& ids = wanted.filter.ids;
        for (const auto& event : queue_.history) {
            const bool named = ids.empty() || std::find(ids.begin(), ids.end(), event.message) != ids.end();
            const bool left_out = event.event == "transcript" && !wanted.transcripts;
            if (named && !left_out && !each(event)) {
                break;
            }
        }
        return {};
    }
    [[nodiscard]] const std::string& last_error() const override { return error_; }

private:
    static bool fits(const queue::Filter& filter, const queue::QueuedMessage& message,
                     const queue::Recipient& recipient) {
        const auto allows = [](const auto& list, const auto& value) {
            return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
        };
        return !queue::is_done(recipient.state) && allows(filter.ids, message.envelope.id) &&
               allows(filter.states, recipient.state) && allows(filter.backends, recipient.backend);
    }

    const FakeQueue& queue_;
    std::string error_ = "disk I/O error";
};

/// Counts everything as changed, at once, and remembers what it was asked.
class FakeGateway final : public LiveGateway {
public:
    struct Call {
        Verb verb;
        std::vector<RecipientRef> recipients;
        std::string actor;
        std::string reason;
    };

    void apply(Verb verb, std::vector<RecipientRef> recipients, std::string actor, std::string reason,
               std::function<void(ApplyResult)> done) override {
        const std::size_t count = recipients.size();
        {
            const std::lock_guard lock(mutex_);
            calls_.push_back(Call{verb, std::move(recipients), std::move(actor), std::move(reason)});
        }
        if (drop_) {
            return;  // as an engine that is torn down: the callback dies unused
        }
        done(ApplyResult(status_, count));
    }
    std::vector<WhyView> explain(const queue::QueuedMessage& message) override {
        auto all = why_from_queue(message, {}, queue::Instant());
        for (WhyView& why : all) {
            why.text = "as the engine says";
        }
        return all;
    }
    void order(BackendVerb verb, std::string backend, std::string actor, std::string reason,
               std::function<void(BackendResult)> done) override {
        {
            const std::lock_guard lock(mutex_);
            orders_.push_back(std::string(to_string(verb)) + ' ' + backend + '|' + actor + '|' + reason);
        }
        if (!drop_) {
            done(backend == "stores" ? order_result_ : BackendResult::unknown_backend);
        }
    }
    void probe(std::string backend, std::function<void(std::vector<ProbeView>)> done) override {
        if (drop_) {
            return;
        }
        std::vector<ProbeView> views;
        if (backend == "stores") {
            views.push_back({backend, "127.0.0.1:24", true, ""});
            views.push_back({backend, "127.0.0.1:25024", probe_well_, probe_well_ ? "" : "Connection refused\x1b[m"});
        }
        done(std::move(views));
    }
    [[nodiscard]] std::vector<std::string> orders() const {
        const std::lock_guard lock(mutex_);
        return orders_;
    }
    GatewaySnapshot snapshot() override { return snapshot_; }
    ReloadOutcome reload(const std::string& actor) override {
        ReloadOutcome outcome = reload_;
        outcome.lines.push_back("asked by " + actor);
        return outcome;
    }

    [[nodiscard]] std::vector<Call> calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }

    GatewaySnapshot snapshot_;
    ReloadOutcome reload_;
    ApplyResult::Status status_ = ApplyResult::Status::done;
    bool drop_ = false;
    BackendResult order_result_ = BackendResult::done;
    bool probe_well_ = true;

private:
    mutable std::mutex mutex_;
    std::vector<Call> calls_;
    std::vector<std::string> orders_;
};

}  // namespace postern::control::test
