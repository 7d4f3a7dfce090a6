// How backends and endpoints stand, for the operator. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/delivery/circuit.hpp"
#include "queue/time.hpp"

namespace postern::delivery {

struct EndpointState {
    std::string backend;
    std::string endpoint;
    Circuit::State circuit = Circuit::State::closed;
    std::optional<queue::Instant> since;          ///< of the circuit's last change between closed and not
    std::optional<queue::Instant> next_probe_at;  ///< in `open`
    std::uint32_t in_flight = 0;                  ///< transactions
    std::uint32_t allowed = 0;                    ///< transactions at once, as found
    std::uint32_t connections = 0;                ///< the most that `allowed` may become
    queue::Duration latency{};                    ///< of a usual transaction; 0: not known
    bool one_by_one = false;                      ///< one recipient a transaction: it answered out of step
    std::string last_error;                       ///< a stranger's text, perhaps; empty: none since the last success
    std::optional<queue::Instant> last_error_at;
};

/// Something that was decided about a backend and holds until it is taken back.
struct Decision {
    queue::Instant at{};
    std::string actor;   ///< "gateway", or who at the command line
    std::string reason;  ///< may be empty
};

struct BackendState {
    std::string name;
    std::optional<Decision> paused;
    std::optional<Decision> brake;
    std::string refusing;                      ///< why RCPT for its domains is answered 451; empty: it is not
    std::optional<queue::Instant> down_since;  ///< none of its endpoints can be used
    std::size_t queued = 0;                    ///< recipients in memory that may go out
    std::size_t in_flight = 0;                 ///< transactions
    std::uint64_t backlog = 0;                 ///< recipients that still have to be delivered, in memory or not
    std::vector<EndpointState> endpoints;
};

}  // namespace postern::delivery
