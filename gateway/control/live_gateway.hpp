// What the control API needs of a running gateway; gateway/main fills it in over the delivery engine. Nothing here
// knows a socket, and control knows nothing of delivery.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/control/verb.hpp"
#include "gateway/control/why.hpp"
#include "queue/time.hpp"

namespace postern::control {

struct EndpointStatus {
    std::string address;                  ///< "127.0.0.1:24", "unix:/path"
    std::string state = "closed";         ///< the circuit: "closed" (well), "open" (given up for now), "probing"
    std::optional<queue::Instant> since;  ///< of `state`
    std::optional<queue::Instant> next_probe_at;  ///< in "open"
    std::uint32_t in_flight = 0;                  ///< transactions at work
    std::uint32_t allowed = 0;                    ///< transactions at once, as found; 0 while it is not used
    std::uint32_t connections = 0;                ///< the most that `allowed` may become
    queue::Duration latency{};                    ///< of a usual transaction; 0: not known
    bool one_by_one = false;                      ///< one recipient a transaction: it answered out of step
    std::string last_error;                       ///< a stranger's text, perhaps; empty: none since the last success
    std::optional<queue::Instant> last_error_at;
};

/// What was decided about a backend and holds until it is taken back.
struct BackendDecision {
    queue::Instant at{};
    std::string actor;
    std::string reason;  ///< may be empty; a stranger's text, perhaps
};

struct BackendStatus {
    std::string name;
    std::optional<BackendDecision> paused;     ///< by an operator
    std::optional<BackendDecision> brake;      ///< sudden permanent failures are kept
    std::string refusing;                      ///< why RCPT for it is answered 451; empty: it is not
    std::optional<queue::Instant> down_since;  ///< none of its endpoints can be used
    std::uint64_t backlog = 0;                 ///< recipients that still have to be delivered
    std::uint32_t in_flight = 0;               ///< transactions at work
    std::vector<EndpointStatus> endpoints;
};

/// Messages (accepted) and recipients (the others).
struct Flow {
    std::uint64_t accepted = 0;
    std::uint64_t delivered = 0;
    std::uint64_t deferred = 0;
    std::uint64_t failed = 0;
};

struct DiskStatus {
    std::string queue_path;
    std::uint64_t free_octets = 0;
    std::uint64_t minimum_free_octets = 0;
    std::string error;     ///< why the store is closed; empty: it is well
    std::string obstacle;  ///< why nothing new is taken in; empty: it is
};

/// A certificate that a listener shows.
struct CertificateStatus {
    std::string listener;
    std::string file;
    std::string key;                 ///< "RSA 2048", "ECDSA P-256"
    std::vector<std::string> names;  ///< DNS names; a stranger's text, perhaps
    queue::Instant not_after{};
    std::int64_t days_left = 0;  ///< whole ones; negative once it has ended
};

/// Handshakes since the start.
struct TlsStatus {
    std::uint64_t full = 0;
    std::uint64_t resumed = 0;
    std::uint64_t failed = 0;
};

struct GatewaySnapshot {
    bool running = true;  ///< false: the queue was read without a gateway
    std::string version;
    std::uint64_t uptime_seconds = 0;
    std::uint64_t sessions = 0;  ///< clients connected now
    Flow since_start;
    Flow last_minute;
    DiskStatus disk;
    std::vector<CertificateStatus> certificates;
    TlsStatus tls;
    std::vector<BackendStatus> backends;
};

struct ApplyResult {
    enum class Status : std::uint8_t { done, disk_full, failed } status = Status::failed;
    std::size_t changed = 0;  ///< recipients; what is not `done` holds in the running gateway, and is recorded later

    ApplyResult() = default;
    ApplyResult(Status how, std::size_t count) : status(how), changed(count) {}
};

/// What an operator does to a backend: stop deliveries to it, let them go on, take the brake off.
enum class BackendVerb : std::uint8_t { pause, resume, release };
[[nodiscard]] std::string_view to_string(BackendVerb verb);
[[nodiscard]] std::optional<BackendVerb> parse_backend_verb(std::string_view text);

enum class BackendResult : std::uint8_t { done, nothing_to_do, unknown_backend, disk_full, failed };

struct ProbeView {
    std::string backend;
    std::string endpoint;
    bool well = false;
    std::string detail;  ///< why not; a stranger's text, perhaps
};

struct ReloadOutcome {
    bool ok = false;
    std::vector<std::string> lines;  ///< what was loaded, or every problem
};

/// The row of the history that tells of it: "paused", "resumed", "brake_released".
[[nodiscard]] queue::HistoryEvent backend_event(BackendVerb verb, queue::Instant at, std::string backend,
                                                std::string actor, std::string reason);

/// Threads: called from the control threads, several at a time.
class LiveGateway {
public:
    virtual ~LiveGateway() = default;

    /// Does `verb` to each of `recipients` (at most 1000 at a time) that is still in a state that the verb acts on, in
    /// flight or not, and records it with `actor` in the history; with `bounce`, `reason` is for the sender. `done`
    /// runs once it is durable, on any thread; a callback that is destroyed unused counts as failed.
    virtual void apply(Verb verb, std::vector<RecipientRef> recipients, std::string actor, std::string reason,
                       std::function<void(ApplyResult)> done) = 0;

    /// What the recipients of `message` wait for, the undone ones. May block for a moment.
    [[nodiscard]] virtual std::vector<WhyView> explain(const queue::QueuedMessage& message) = 0;

    /// Does `verb` to the backend, which holds at once, and also after a restart when `done` says so. Recorded with
    /// `actor` and `reason` in the history. `done` as for apply().
    virtual void order(BackendVerb verb, std::string backend, std::string actor, std::string reason,
                       std::function<void(BackendResult)> done) = 0;
    /// Connects to each endpoint of the backend now. `done` as for apply(); it gets nothing of a backend that is not
    /// known.
    virtual void probe(std::string backend, std::function<void(std::vector<ProbeView>)> done) = 0;

    /// May block for a moment, not for I/O.
    [[nodiscard]] virtual GatewaySnapshot snapshot() = 0;

    /// What SIGHUP does. May block while files are read.
    [[nodiscard]] virtual ReloadOutcome reload(const std::string& actor) = 0;
};

}  // namespace postern::control
