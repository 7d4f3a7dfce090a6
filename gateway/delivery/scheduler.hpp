// Decides which recipients go to which endpoint now, and what becomes of them afterwards. Pure: time and chance are
// arguments, everything else is asked of the Host, so that a simulation can run it through years of bad days.
//
// Invariants: 1. A recipient is in memory at most once: queued, in flight, or its result on the way to the store
// (known_). 2. Memory is bounded by the windows of the backends; what does not fit is found again by load(). 3. A
// recipient's result is recorded before the connection that gave it takes its next transaction (release()). 4. Trouble
// of an endpoint is never charged to a recipient. 5. While results cannot be recorded, nothing new is started.
//
// Each question has a file: retry_policy (when again), circuit (may the endpoint be used), concurrency (by how many),
// balance (which endpoint), destinations (which domain of others), mailbox_limits and waiting_mail (one mailbox), brake
// (are refusals believed), admission (is more taken), step (is it in step), ready_queue (who is next). Here they are
// put together:
//   scheduler.cpp            what comes in, options, wake-ups
//   scheduler_dispatch.cpp   from the line to an endpoint
//   scheduler_destinations.cpp  ... to the servers of a domain
//   scheduler_loading.cpp    from the store into memory, routes, what has expired
//   scheduler_outcomes.cpp   replies into states
//   scheduler_orders.cpp     what operators want
//   scheduler_explain.cpp    what a recipient waits for, and how endpoints stand
//
// Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/delivery/backend_work.hpp"
#include "gateway/delivery/clock_jumps.hpp"
#include "gateway/delivery/events.hpp"
#include "gateway/delivery/explain.hpp"
#include "gateway/delivery/options.hpp"
#include "gateway/delivery/retry_policy.hpp"
#include "gateway/delivery/states.hpp"
#include "lmtp-client/transaction.hpp"
#include "queue/reader.hpp"
#include "queue/store.hpp"

namespace postern::delivery {

struct Now {
    queue::Instant wall{};
    queue::SteadyInstant steady{};
};

/// One transaction to run. The scheduler keeps it until release().
struct Plan {
    std::uint64_t number = 0;
    std::string backend;
    lmtp_client::Endpoint endpoint;
    std::string domain;  ///< of all recipients, when the endpoint stands for the servers of that; else empty
    queue::MessageId message;
    queue::Instant received_at{};
    std::uint64_t size = 0;                                ///< octets of the content
    std::vector<queue::Recipient> recipients;              ///< by slot
    std::shared_ptr<const queue::CommittedMessage> fresh;  ///< nullptr: to be read from the store
    queue::SteadyInstant began{};
    queue::Instant began_at{};

    /// Names the transaction in log and history: "d463423-17". Numbers begin anew with each start; the time that it
    /// began at, by the second, tells those apart.
    [[nodiscard]] std::string session() const;
};

/// What an operator wants of a recipient.
enum class Order : std::uint8_t {
    retry,
    hold,
    release,
    remove,
    bounce,  ///< return it to its sender
};
/// What an operator wants of a backend.
enum class BackendOrder : std::uint8_t { pause, resume, release_brake };

/// What the scheduler has done for it. Calls come from within the scheduler's own functions: do not call back from
/// them.
class Host {
public:
    virtual ~Host() = default;
    virtual void start(std::shared_ptr<const Plan> plan) = 0;
    virtual void probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) = 0;
    /// load_due() of the store; answered by loaded() or load_failed(). What was recorded before this run() is given to
    /// the store before it is asked.
    virtual void load(const std::string& backend, queue::Instant until, std::optional<queue::DueKey> after,
                      std::size_t limit) = 0;
    /// load_old() of the store; answered by loaded_old() (a failure: by an empty page).
    virtual void load_old(const std::string& backend, queue::MessageId before, std::size_t limit) = 0;
    /// load_late() of the store; answered by loaded_late() (a failure: by an empty page).
    virtual void load_late(const std::string& backend, queue::MessageId after, queue::MessageId before,
                           std::size_t limit) = 0;
    /// `event`: absent when the history need not know.
    virtual void record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) = 0;
    /// ... with what else the plan brings, when its results are complete; or before anything else of this recipient.
    virtual void record_at_end(std::uint64_t plan, queue::RecipientUpdate update, queue::HistoryEvent event) = 0;
    /// call_waiting() of the store, behind all that was recorded so far; answered by called() (a failure: by 0).
    virtual void call_waiting(const std::string& backend, const std::string& mailbox, queue::Instant now,
                              std::size_t limit) = 0;
    /// backlog() of a Reader; answered by surveyed() or survey_failed().
    virtual void survey() = 0;
    /// reassign() of the store; answered by reassigned().
    virtual void reassign(const std::string& from, const queue::DomainMoves& moves) = 0;
    /// mark_backend() of the store, with what is recorded now.
    virtual void mark(queue::BackendMark mark, bool set) = 0;
    /// Which backends' mail is not taken now, and why: all of them, whenever it changes.
    virtual void refuse(const std::map<std::string, std::string>& backends) = 0;
};

/// The backend of an address now; nullopt: no longer ours.
using Route = std::function<std::optional<std::string>(const mail::Mailbox&)>;

class Scheduler {
public:
    /// `host` and `events` outlive it. It delivers nothing before begin().
    Scheduler(Host& host, Events& events, Options options, Route route);
    ~Scheduler();

    /// The marks of the store are here: deliveries may begin.
    void begin(const std::vector<queue::BackendMark>& marks, const Now& now);
    /// New options and routes; what is queued follows them, in memory and in the store.
    void reconfigure(Options options, Route route, const Now& now);

    /// A message has become durable: straight on to a store, without a read.
    void committed(const std::shared_ptr<const queue::CommittedMessage>& message, const Now& now);
    /// Recipients of `backend` lie in the store that are not known here: look when there is room.
    void look(const std::string& backend);
    /// Results could not be recorded as they were, as there is no room for the reports: those recipients wait.
    void has_no_room(const Now& now);
    void loaded(const std::string& backend, queue::DuePage page, const Now& now);
    void load_failed(const std::string& backend, const Now& now);
    void loaded_old(const std::string& backend, queue::DuePage page, const Now& now);
    void loaded_late(const std::string& backend, queue::DuePage page, const Now& now);
    void called(const std::string& backend, const std::string& mailbox, std::size_t count, std::size_t limit);
    void surveyed(const std::vector<queue::BacklogCell>& cells, const Now& now);
    void survey_failed(const Now& now);
    /// `count`: how many; nullopt: it failed, perhaps in the middle.
    void reassigned(const queue::DomainMoves& moves, std::optional<std::size_t> count, const Now& now);

    /// Protocol and cipher of the session in which the plan runs; empty: in clear, as without this.
    void runs_in(std::uint64_t plan, const std::string& tls);
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
    /// update is recorded like any other. `reason`: of `bounce`, for the sender; may be empty.
    [[nodiscard]] bool order(Order order, queue::MessageId message, const queue::Recipient& recipient,
                             const std::string& actor, const Now& now, const std::string& reason = {});
    /// Carries out an operator's order on a backend: at once, on what is in memory too (transactions at work run to
    /// their end), and marked in the store.
    enum class Ordered : std::uint8_t { done, nothing_to_do, unknown_backend };
    [[nodiscard]] Ordered order(BackendOrder order, const std::string& backend, const std::string& actor,
                                const std::string& reason, const Now& now);
    /// The next probes of its open circuits are due at once. False: no such backend.
    [[nodiscard]] bool hurry(const std::string& backend, const Now& now);

    /// What a recipient, as the store has it, waits for.
    [[nodiscard]] Explanation explain(queue::MessageId message, const queue::Recipient& recipient,
                                      const Now& now) const;
    [[nodiscard]] std::vector<BackendState> backends(const Now& now) const;

    /// The store can record (or cannot): deliveries go on (or stop).
    void set_recording(bool works);
    /// No new transaction is started any more.
    void stop() { stopped_ = true; }

    /// Starts what can be started, loads what there is room for. After every other call, and at next_wake().
    void run(const Now& now);
    [[nodiscard]] std::optional<queue::SteadyInstant> next_wake(const Now& now) const;
    [[nodiscard]] std::size_t in_flight() const noexcept { return plans_.size(); }
    [[nodiscard]] std::size_t in_memory() const noexcept { return known_.size(); }
    /// Domains of others of which something is known.
    [[nodiscard]] std::size_t domains_in_memory() const noexcept;

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
        bool blocked = false;                            ///< queued, but its mailbox has no room
        std::uint8_t not_tried = 0;                      ///< in a row
        std::uint64_t plan = 0;                          ///< that has it in flight, or had it last
        std::optional<queue::RecipientState> ordered{};  ///< by an operator, while in flight
        std::optional<std::string> bounce{};             ///< ... to be returned, with this reason, unless delivered
        std::optional<queue::Instant> due{};             ///< in flight, with a result: when it is tried again
    };
    struct Running {
        std::shared_ptr<const Plan> plan;
        std::string tls;                     ///< of its session with the store; empty: in clear
        std::vector<std::size_t> not_tried;  ///< slots whose fate transaction_ended() decides
        std::string peer;                    ///< who answered, when that is not the endpoint
    };
    enum class Source : std::uint8_t { fresh, store, back };  ///< back: was in memory already
    using Backends = std::map<std::string, BackendWork>;

    // scheduler.cpp
    /// look(), of any backend, and perhaps under a name that it had before a reload.
    void look_everywhere();
    /// The backend that a recipient goes to now, one that exists; nullopt: none.
    [[nodiscard]] std::optional<std::string> route_of(const queue::Recipient& recipient) const;
    /// The same of all recipients of a domain that name `backend`.
    [[nodiscard]] std::optional<std::string> route_of(const mail::Mailbox& address, const std::string& backend) const;
    [[nodiscard]] std::optional<std::string> route_of_domain(const std::string& domain,
                                                             const std::string& backend) const;
    /// The name under which it lies in the store: that of its backend, or empty without one. What goes out keeps its
    /// name, also while there is no way out.
    [[nodiscard]] std::string stored_backend(const queue::Recipient& recipient) const;
    [[nodiscard]] BackendWork* find_backend(const std::string& name);
    [[nodiscard]] EndpointWork* find_endpoint(const std::string& backend, const lmtp_client::Endpoint& endpoint);
    /// Where a transaction takes a place; nullptr: what it went to is no more.
    [[nodiscard]] EndpointWork* place_of(const Plan& plan);
    /// After a reload: what is on its way takes its place also in what was away for a while.
    void count_in_flight(const Now& now);
    void look_at_admission(const std::string& name, BackendWork& backend, const Now& now);
    void publish_refusals();

    // scheduler_dispatch.cpp
    void dispatch(const std::string& name, BackendWork& backend, const Now& now);
    void start_next(const std::string& name, BackendWork& backend, EndpointWork& endpoint, ReadyQueue& line,
                    const Now& now);
    /// A transaction with what is next in `line`; nullptr: nothing of it is to be tried.
    [[nodiscard]] std::shared_ptr<Plan> next_plan(const std::string& name, BackendWork& backend, ReadyQueue& line,
                                                  std::size_t limit, const Now& now);
    void refill_if_room(BackendWork& backend, queue::MessageId message) const;
    void launch(std::shared_ptr<const Plan> plan);
    [[nodiscard]] std::vector<queue::Recipient> take(BackendWork& backend, ReadyQueue& line, std::size_t limit,
                                                     const Now& now);
    void block(BackendWork& backend, const Batch& from, queue::Recipient recipient, const Now& now);
    void put_off(BackendWork& backend, const Batch& from, queue::Recipient recipient, queue::Duration longer,
                 const char* why, const Now& now);
    bool unblock(BackendWork& backend, const std::string& mailbox);
    [[nodiscard]] bool unblock_freed(BackendWork& backend);
    void probe_if_due(const std::string& name, BackendWork& backend, const Now& now);
    [[nodiscard]] std::uint32_t at_work_for(const std::string& backend, const std::string& mailbox) const;

    // scheduler_destinations.cpp
    void dispatch_by_domain(const std::string& name, BackendWork& backend, const Now& now);
    void start_next_of(const std::string& name, BackendWork& backend, Destinations::Entry& destination, const Now& now);
    void defer_line(const std::string& name, BackendWork& backend, Destinations::Entry& destination, const Now& now);
    void put_off_floods(BackendWork& backend, const Now& now);
    void put_off_behind(BackendWork& backend, Destinations::Entry& flood, std::size_t keeps, const Now& now);
    [[nodiscard]] bool is_to_be_tried(const Batch& batch, const queue::Recipient& recipient);
    [[nodiscard]] queue::Duration rest_of(const Plan& plan, const Now& now) const;

    // scheduler_loading.cpp
    void add(const std::string& backend, Batch batch, Source source);
    void follow_route(Batch batch, Source source);
    void keep_out_of_loads(queue::MessageId message, queue::Ordinal ordinal);
    void load_if_room(const std::string& name, BackendWork& backend, const Now& now);
    void load_old_if_due(const std::string& name, BackendWork& backend, const Now& now);
    void load_late_if_due(const std::string& name, BackendWork& backend, const Now& now);
    /// Nothing that is tried now can succeed in time; what the wall clock jumped over does not count.
    [[nodiscard]] bool has_expired(queue::Instant received_at, const Now& now);
    [[nodiscard]] bool is_late(queue::Instant received_at, const queue::Recipient& recipient, const Now& now) const;
    void survey_if_wanted(const Now& now);
    [[nodiscard]] std::size_t window() const;
    [[nodiscard]] std::size_t share(const BackendWork& backend) const;

    // scheduler_outcomes.cpp
    void delivered(const Plan& plan, queue::Recipient recipient, const lmtp_client::Outcome& outcome, const Now& now);
    void deferred(const Plan& plan, queue::Recipient recipient, const mail::Reply& reply, const Now& now);
    /// Until a next attempt, of which there is none once the message has expired. The attempt is counted already.
    void put_off(const Plan& plan, queue::Recipient recipient, ReplyKind kind, const Now& now);
    void wait_for_next(const Plan& plan, queue::Recipient recipient, ReplyKind kind, const Now& now);
    void failed(const Plan& plan, queue::Recipient recipient, const mail::Reply& reply, bool by_the_store,
                const Now& now);
    void kept_by_brake(const Plan& plan, queue::Recipient recipient, const mail::Reply& reply, const Now& now);
    void unknown(const Plan& plan, queue::Recipient recipient, const Now& now);
    void not_tried(const Plan& plan, queue::Recipient recipient, bool charged, const Now& now);
    void hold(const Plan& plan, queue::Recipient recipient, const std::string& why, const Now& now);
    /// It lies in the store, due at `due`, and nowhere in memory.
    void await_turn(queue::MessageId message, const queue::Recipient& recipient, queue::Instant due);
    void settle(const Plan& plan, const queue::Recipient& recipient, const char* event, const Now& now,
                std::optional<queue::Telling> telling = std::nullopt);
    [[nodiscard]] queue::Telling tell(const Plan& plan, queue::Notice notice, const Now& now) const;
    [[nodiscard]] std::string peer_of(const Plan& plan) const;
    void charge(const Plan& plan, EndpointWork& work, lmtp_client::Trouble trouble, const std::string& detail,
                const Now& now);

    // scheduler_orders.cpp
    void set_brake(const std::string& name, BackendWork& backend, const std::string& why, const Now& now);

    Host& host_;
    Events& events_;
    Options options_;
    Route route_;
    Backends backends_;
    std::unordered_map<Key, Known, KeyHash> known_;
    std::unordered_map<std::uint64_t, Running> plans_;
    std::map<std::string, std::map<queue::BackendMark::Kind, Decision>> marks_;  ///< also of unknown backends
    std::map<std::string, std::string> refusing_;
    std::uint64_t plan_numbers_ = 0;
    queue::SteadyInstant tidied_at_{};
    queue::SteadyInstant tell_not_before_{};  ///< there is no room for reports: nobody expires or is late until then
    bool begun_ = false;
    bool recording_ = true;
    bool stopped_ = false;
    bool survey_wanted_ = true;
    bool surveying_ = false;
    queue::SteadyInstant survey_not_before_{};
    ClockJumps clock_jumps_;
    std::set<std::string> unrouted_;  ///< domains that were reported to have no backend
};

}  // namespace postern::delivery
