// What the scheduler knows of a backend and of its endpoints: the parts that decide, and the recipients in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/delivery/admission.hpp"
#include "gateway/delivery/brake.hpp"
#include "gateway/delivery/circuit.hpp"
#include "gateway/delivery/concurrency.hpp"
#include "gateway/delivery/destinations.hpp"
#include "gateway/delivery/mailbox_limits.hpp"
#include "gateway/delivery/options.hpp"
#include "gateway/delivery/ready_queue.hpp"
#include "gateway/delivery/states.hpp"
#include "gateway/delivery/step.hpp"
#include "gateway/delivery/waiting_mail.hpp"
#include "queue/store.hpp"

namespace postern::delivery {

/// How often the store is asked for what has expired, or is late, while no store could be reached.
[[nodiscard]] queue::Duration old_interval(queue::Duration expire);

/// The store is asked again after a load that failed.
constexpr std::chrono::seconds load_pause{1};

/// Where a load has to go on so that it begins with `key`.
[[nodiscard]] queue::DueKey just_before(queue::DueKey key);
/// The first that a load which goes on at `key` can bring.
[[nodiscard]] queue::DueKey just_behind(queue::DueKey key);

struct EndpointWork {
    EndpointWork(lmtp_client::Endpoint where, std::uint32_t connections)
        : endpoint(std::move(where)), name(endpoint.to_string()), concurrency(connections) {}

    lmtp_client::Endpoint endpoint;
    std::string name;
    Circuit circuit;
    Concurrency concurrency;
    Step step;
    ReadyQueue own;      ///< with `sticky`: whose home this is
    bool hangs = false;  ///< ... which others keep meanwhile
    std::uint32_t in_flight = 0;
    std::uint32_t left_over = 0;         ///< of those: began before `well_since`, and may never end
    queue::SteadyInstant well_since{};   ///< when it came back from its last outage
    queue::SteadyInstant progress_at{};  ///< when something was heard from it, or began while nothing was at work
    std::string last_error;
    std::optional<queue::Instant> last_error_at;
    std::optional<queue::Instant> since;      ///< of the circuit's last change; a relapse is none
    std::optional<queue::Instant> down_from;  ///< the beginning of its last outage

    /// Another transaction may begin.
    [[nodiscard]] bool has_room() const {
        return circuit.is_closed() && in_flight - left_over < concurrency.allowed() &&
               in_flight < concurrency.connections();
    }
    void ended(queue::SteadyInstant began) {
        in_flight -= std::min<std::uint32_t>(1, in_flight);
        left_over -= std::min<std::uint32_t>(began < well_since ? 1 : 0, left_over);
    }
    /// It has work in hand and says nothing: perhaps it hangs.
    [[nodiscard]] bool is_silent(queue::SteadyInstant now, queue::Duration patience = std::chrono::seconds(5)) const {
        return in_flight > 0 && now - progress_at >= patience;
    }
};

/// With `failover` and `sticky`: after so long without a word others have its turn.
constexpr std::chrono::seconds hung_after{30};

/// Recipients of a message beyond its share of the memory: some between these, all due.
struct LeftOut {
    queue::MessageId message;
    queue::DueKey first;
    queue::DueKey last;
};

struct BackendWork {
    BackendOptions options;
    std::vector<EndpointWork> endpoints;
    ReadyQueue ready;                                  ///< with `sticky`: while no endpoint is well
    std::map<std::string, std::deque<Batch>> blocked;  ///< by mailbox, of one recipient each: those without room
    std::size_t blocked_count = 0;
    std::vector<std::string> freed;  ///< mailboxes of recipients that left the lines, but not for an endpoint
    Destinations destinations;       ///< with is_by_domain(): all lines are here
    std::size_t next_endpoint = 0;   ///< whose turn it is among equally busy ones

    bool more = true;  ///< the store may hold due recipients that are not in memory
    bool loading = false;
    std::optional<queue::DueKey> cursor;  ///< loads go on behind it; nullopt: from the start
    std::optional<queue::DueKey> rewind;  ///< where the next load begins at the latest; said while one is at work
    std::unordered_map<std::int64_t, LeftOut> left_out;  ///< by message
    std::deque<LeftOut> refills;                         ///< who has room again and is loaded next
    std::optional<LeftOut> refilling;                    ///< the load at work is for these
    queue::Instant loaded_until{};
    std::optional<queue::Instant> due_at;                       ///< when the next waiting one is due
    queue::SteadyInstant load_again{};                          ///< after a load that failed
    std::set<std::pair<std::int64_t, queue::Ordinal>> put_off;  ///< the load at work may not know it yet

    bool loading_late = false;
    queue::SteadyInstant late_looked_at{};
    queue::MessageId late_seen;  ///< whose delay was looked at, up to this message; since the start

    bool loading_old = false;
    queue::SteadyInstant old_looked_at{};

    std::optional<Decision> paused;
    std::optional<Decision> braked;
    Brake brake;
    Admission admission;
    MailboxLimits limits;
    WaitingMail waiting;
    std::uint64_t backlog = 0;
    std::optional<queue::Instant> down_since;

    /// What stores refuse for good is not believed.
    [[nodiscard]] bool brakes() const { return braked && options.brake.on; }
    [[nodiscard]] bool is_down() const {
        for (const EndpointWork& work : endpoints) {
            if (work.circuit.is_closed()) {
                return false;
            }
        }
        return true;
    }
    [[nodiscard]] std::size_t queued() const {
        std::size_t sum = ready.recipients() + destinations.recipients() + blocked_count;
        for (const EndpointWork& work : endpoints) {
            sum += work.own.recipients();
        }
        return sum;
    }
    /// Recipients of a message in the lines.
    [[nodiscard]] std::size_t queued_of(queue::MessageId message) const;
    /// Into the line where it belongs.
    void enqueue(Batch batch);
    /// Everything out of the lines.
    [[nodiscard]] std::vector<Batch> take_all();
    /// It was in a line and will not be tried now: who is blocked behind it may have room.
    void left_the_line(const mail::Mailbox& address) {
        if (!blocked.empty()) {
            freed.push_back(address.to_string());
        }
    }
    /// An endpoint has come or gone: under `sticky` homes change.
    void find_homes_anew();
    /// ... or one hangs, or speaks again.
    void look_who_hangs(queue::SteadyInstant now);
    /// The store may hold a due recipient with this key that is not in memory.
    void missing(const queue::DueKey& key);
    void missing_somewhere();
    /// They are loaded when their message has room again.
    void leave_out(const LeftOut& these);
    /// The message has room for more: what was left out of it is loaded next.
    void has_room_again(queue::MessageId message);

private:
    /// The next load begins behind `key`, or before it.
    void go_back_to(const queue::DueKey& key);
};

}  // namespace postern::delivery
