// Decides which recipients go to which endpoint now, and what becomes of them afterwards. Pure: time and chance are
// arguments, everything else is asked of the Host, so that a simulation can run it through years of bad days.
//
// Invariants: 1. A recipient is in memory at most once: queued, in flight, or its result on the way to the store
// (known_). 2. Memory is bounded by the window of each backend; what does not fit is found again by load(). 3. A
// recipient's result is recorded before the connection that gave it takes its next transaction (release()). 4. Trouble
// of an endpoint is never charged to a recipient. 5. While results cannot be recorded, nothing new is started.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/delivery/circuit.hpp"
#include "gateway/delivery/events.hpp"
#include "gateway/delivery/options.hpp"
#include "gateway/delivery/retry_policy.hpp"
#include "lmtp-client/transaction.hpp"
#include "queue/store.hpp"

namespace postern::delivery {

struct Now {
    queue::Instant wall{};
    queue::SteadyInstant steady{};
};

/// One transaction to run. The scheduler keeps it until transaction_ended().
struct Plan {
    std::uint64_t number = 0;
    std::string backend;
    lmtp_client::Endpoint endpoint;
    queue::MessageId message;
    queue::Instant received_at{};
    std::vector<queue::Recipient> recipients;              ///< by slot
    std::shared_ptr<const queue::CommittedMessage> fresh;  ///< nullptr: to be read from the store
    queue::SteadyInstant began{};
};

/// What an operator wants of a recipient.
enum class Order : std::uint8_t { retry, hold, release, remove };

/// What the scheduler has done for it. Calls come from within the scheduler's own functions: do not call back from
/// them.
class Host {
public:
    virtual ~Host() = default;
    virtual void start(std::shared_ptr<const Plan> plan) = 0;
    virtual void probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) = 0;
    /// load_due() of the store; answered by loaded() or load_failed().
    virtual void load(const std::string& backend, queue::Instant until, std::size_t limit) = 0;
    virtual void record(queue::RecipientUpdate update, queue::HistoryEvent event) = 0;
};

/// The backend of an address now; nullopt: no longer ours.
using Route = std::function<std::optional<std::string>(const mail::Mailbox&)>;

struct EndpointState {
    std::string backend;
    std::string endpoint;
    Circuit::State circuit = Circuit::State::closed;
    std::uint32_t in_flight = 0;
    std::string last_error;
};

class Scheduler {
public:
    /// `host` and `events` outlive it.
    Scheduler(Host& host, Events& events, Options options, Route route);
    ~Scheduler();

    /// New options and routes; what is queued follows them.
    void reconfigure(Options options, Route route, const Now& now);

    /// A message has become durable: straight on to a store, without a read.
    void committed(const std::shared_ptr<const queue::CommittedMessage>& message, const Now& now);
    /// Recipients of `backend` lie in the store that are not known here: look when there is room.
    void look(const std::string& backend);
    void loaded(const std::string& backend, queue::DuePage page, const Now& now);
    void load_failed(const std::string& backend, const Now& now);

    void outcome(std::uint64_t plan, std::size_t slot, const lmtp_client::Outcome& outcome, const Now& now);
    /// After all outcomes. Trouble is charged to the endpoint; the place in it stays taken until release().
    void transaction_ended(std::uint64_t plan, lmtp_client::Trouble trouble, const std::string& detail, const Now& now);
    /// The results of the plan are recorded (or there are none).
    void release(std::uint64_t plan);
    /// The plan could not begin: its message is damaged (held with an alarm), gone, or cannot be read now (tried again
    /// later).
    enum class Unreadable : std::uint8_t { damaged, gone, later };
    void unreadable(std::uint64_t plan, Unreadable why, const std::string& detail, const Now& now);
    void probe_ended(const std::string& backend, const lmtp_client::Endpoint& endpoint, bool worked,
                     const std::string& detail, const Now& now);

    /// Carries out an operator's order on a recipient as the store has it; false: it is in no state for that. The
    /// update is recorded like any other.
    [[nodiscard]] bool order(Order order, queue::MessageId message, const queue::Recipient& recipient,
                             const std::string& actor, const Now& now);

    /// The store can record (or cannot): deliveries go on (or stop).
    void set_recording(bool works) { recording_ = works; }
    /// No new transaction is started any more.
    void stop() { stopped_ = true; }

    /// Starts what can be started, loads what there is room for. After every other call, and at next_wake().
    void run(const Now& now);
    [[nodiscard]] std::optional<queue::SteadyInstant> next_wake(const Now& now) const;
    [[nodiscard]] std::size_t in_flight() const noexcept { return plans_.size(); }
    [[nodiscard]] std::size_t in_memory() const noexcept { return known_.size(); }
    [[nodiscard]] std::vector<EndpointState> endpoints() const;

private:
    struct Key {
        std::int64_t message;
        queue::Ordinal ordinal;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<std::uint64_t>()(static_cast<std::uint64_t>(key.message) * 1'000'003U + key.ordinal);
        }
    };
    enum class Place : std::uint8_t { queued, withdrawn, in_flight };
    struct Known {
        Place place = Place::queued;
        std::uint64_t plan = 0;                          ///< that has it in flight, or had it last
        std::uint8_t not_tried = 0;                      ///< in a row
        std::optional<queue::RecipientState> ordered{};  ///< by an operator, while in flight
    };
    /// Recipients of one message for one backend, in RCPT order.
    struct Batch {
        queue::MessageId message;
        queue::Instant received_at{};
        std::vector<queue::Recipient> recipients;
        std::shared_ptr<const queue::CommittedMessage> fresh;
    };
    struct EndpointWork {
        lmtp_client::Endpoint endpoint;
        Circuit circuit;
        std::uint32_t in_flight = 0;
        bool one_by_one = false;  ///< after a desynchronised dialogue, until it behaves
        std::string last_error;
    };
    struct Backend {
        BackendOptions options;
        std::vector<EndpointWork> endpoints;
        std::deque<Batch> ready;
        std::size_t queued = 0;  ///< recipients in `ready`
        bool more = true;        ///< the store may hold due recipients that are not in memory
        bool loading = false;
        std::optional<queue::Instant> due_at;  ///< when the next waiting one is due
        queue::SteadyInstant load_again{};     ///< after a load that failed
    };

    void add(const std::string& backend, Batch batch);
    [[nodiscard]] EndpointWork* choose(Backend& backend);
    void dispatch(const std::string& name, Backend& backend, const Now& now);
    [[nodiscard]] std::vector<queue::Recipient> take(Backend& backend, std::size_t limit);
    void park_expired(const std::string& name, Backend& backend, const Now& now);
    void drop_front(Backend& backend);
    void load_if_room(const std::string& name, Backend& backend, const Now& now);
    void probe_if_due(const std::string& name, Backend& backend, const Now& now);
    [[nodiscard]] EndpointWork* find_endpoint(const std::string& backend, const lmtp_client::Endpoint& endpoint);
    void follow_route(Batch batch, const std::string& known_backend);

    // scheduler_outcomes.cpp
    void delivered(const Plan& plan, queue::Recipient recipient, const mail::Reply& reply, const Now& now);
    void deferred(const Plan& plan, queue::Recipient recipient, const mail::Reply& reply, const Now& now);
    void failed(const Plan& plan, queue::Recipient recipient, const mail::Reply& reply, const Now& now);
    void unknown(const Plan& plan, queue::Recipient recipient, const Now& now);
    void not_tried(const Plan& plan, queue::Recipient recipient, const Now& now);
    void hold(const Plan& plan, queue::Recipient recipient, const std::string& why, const Now& now);
    void settle(const Plan& plan, const queue::Recipient& recipient, const char* event, const Now& now);

    Host& host_;
    Events& events_;
    Options options_;
    Route route_;
    std::map<std::string, Backend> backends_;
    std::unordered_map<Key, Known, KeyHash> known_;
    std::unordered_map<std::uint64_t, std::shared_ptr<const Plan>> plans_;
    std::uint64_t plan_numbers_ = 0;
    queue::SteadyInstant expiry_looked_at_{};
    bool recording_ = true;
    bool stopped_ = false;
};

}  // namespace postern::delivery
