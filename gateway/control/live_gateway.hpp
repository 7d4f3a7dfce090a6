// What the control API needs of a running gateway; gateway/main fills it in over the delivery engine. Nothing here
// knows a socket, and control knows nothing of delivery.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gateway/control/verb.hpp"
#include "queue/time.hpp"

namespace postern::control {

struct EndpointStatus {
    std::string address;            ///< "127.0.0.1:24", "unix:/path"
    std::string state = "closed";   ///< the circuit: "closed" (well), "open" (given up for now), "probing"
    std::uint32_t in_flight = 0;    ///< transactions at work
    std::uint32_t connections = 0;  ///< open, busy and idle
    std::string last_error;         ///< a stranger's text, perhaps; empty: none since the last success
};

struct BackendStatus {
    std::string name;
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
    std::string error;  ///< why the store is closed; empty: it is well
};

struct GatewaySnapshot {
    bool running = true;  ///< false: the queue was read without a gateway
    std::string version;
    std::uint64_t uptime_seconds = 0;
    std::uint64_t sessions = 0;  ///< clients connected now
    Flow since_start;
    Flow last_minute;
    DiskStatus disk;
    std::vector<BackendStatus> backends;
};

struct ApplyResult {
    enum class Status : std::uint8_t { done, disk_full, failed } status = Status::failed;
    std::size_t changed = 0;  ///< recipients

    ApplyResult() = default;
    ApplyResult(Status how, std::size_t count) : status(how), changed(count) {}
};

struct ReloadOutcome {
    bool ok = false;
    std::vector<std::string> lines;  ///< what was loaded, or every problem
};

/// Threads: called from the control threads, several at a time.
class LiveGateway {
public:
    virtual ~LiveGateway() = default;

    /// Does `verb` to each of `recipients` (at most 1000 at a time) that is still in a state that the verb acts on, in
    /// flight or not, and records it with `actor` in the history. `done` runs once it is durable, on any thread; a
    /// callback that is destroyed unused counts as failed.
    virtual void apply(Verb verb, std::vector<RecipientRef> recipients, std::string actor,
                       std::function<void(ApplyResult)> done) = 0;

    /// May block for a moment, not for I/O.
    [[nodiscard]] virtual GatewaySnapshot snapshot() = 0;

    /// What SIGHUP does. May block while files are read.
    [[nodiscard]] virtual ReloadOutcome reload(const std::string& actor) = 0;
};

}  // namespace postern::control
