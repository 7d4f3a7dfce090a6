// What /metrics tells, as numbers and as text. Pure. Every number stands ready somewhere: none of it grows with the
// queue.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "gateway/control/live_gateway.hpp"
#include "queue/reader.hpp"
#include "queue/sqlite_store.hpp"
#include "queue/time.hpp"

namespace postern::control {

/// What the kernel says of this process.
struct ProcessUsage {
    double cpu_seconds = 0;
    std::uint64_t resident_octets = 0;
    std::uint64_t virtual_octets = 0;
    std::uint64_t threads = 0;
    std::uint64_t open_files = 0;
    std::uint64_t open_files_max = 0;
};

/// Clients of the listeners, since the start.
struct Clients {
    std::uint64_t taken = 0;
    std::uint64_t turned_away = 0;  ///< by a limit of connections
};

struct Metrics {
    GatewaySnapshot gateway;
    std::string revision;
    queue::Instant now{};
    queue::Instant started_at{};
    std::string obstacle;  ///< why no mail is accepted; empty: it is
    Clients clients;
    queue::StoreCounters written;
    queue::StoreState store;
    std::uint64_t messages_max = 0;      ///< as the configuration has it
    std::optional<queue::Totals> queue;  ///< nullopt: the file could not be read
    ProcessUsage process;
};

/// The text that Prometheus scrapes. Names, labels and units are a promise to whoever draws or alerts by them.
[[nodiscard]] std::string render_metrics(const Metrics& metrics);

/// Of that text.
inline constexpr const char* metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace postern::control
