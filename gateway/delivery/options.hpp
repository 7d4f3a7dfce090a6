// What the delivery side is told by the configuration. Plain values; a reload brings a whole new set.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lmtp-client/tls.hpp"
#include "lmtp-client/transaction.hpp"
#include "queue/time.hpp"

namespace postern::delivery {

/// What kind of trouble a reply, or the lack of one, speaks of: each has its own curve of retries (reply_kind.hpp).
enum class ReplyKind : std::uint8_t { mailbox_full, busy, store, policy, connection, other };
inline constexpr std::size_t reply_kinds = 6;

/// `retry.classes.KIND`: what is absent is derived from `retry` (retry_policy.hpp).
struct RetryClass {
    std::optional<queue::Duration> first;
    std::optional<double> factor;
    std::optional<queue::Duration> maximum;
};

struct RetryPolicy {
    queue::Duration first = std::chrono::minutes(1);
    double factor = 2;
    queue::Duration maximum = std::chrono::hours(1);
    queue::Duration expire = std::chrono::hours(24 * 5);
    queue::Duration delay_notice{0};                ///< after so long a sender hears that the message waits; 0: never
    std::array<RetryClass, reply_kinds> classes{};  ///< by ReplyKind
};

enum class Balance : std::uint8_t { least_busy, failover, sticky };

/// When sudden permanent failures are kept instead of being believed (brake.hpp).
struct BrakeOptions {
    bool on = true;
    queue::Duration window = std::chrono::minutes(10);
    std::uint32_t failures = 50;    ///< in the window, at least
    std::uint32_t recipients = 30;  ///< different ones among them, at least
    double ratio = 0.8;             ///< failures among all verdicts of the window, at least
};

/// The backend of what goes to the domains of others: reports, and mail of trusted clients. A backend like any other,
/// of its own connections and windows, so that nothing of it delays a local delivery; but only what was accepted for it
/// goes there, never mail whose own backend is gone.
inline constexpr const char* outgoing_backend = "outgoing";

struct BackendOptions {
    std::vector<lmtp_client::Endpoint> endpoints;  ///< at least one
    Balance balance = Balance::least_busy;
    std::uint32_t connections = 20;  ///< transactions at once, per endpoint, at most
    std::uint32_t recipients_per_transaction = 100;
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(30);
    std::chrono::milliseconds reply_timeout = std::chrono::minutes(5);
    lmtp_client::Security security;
    BrakeOptions brake;
    queue::Duration refuse_after_down = std::chrono::hours(4);  ///< 0: never
    std::uint64_t refuse_backlog = 0;                           ///< waiting recipients; 0: any number
    bool is_elsewhere = false;  ///< other people's servers: reports name them, and what they
                                ///< never answer for expires instead of being held
    /// Its one endpoint stands for the servers of any domain: transactions have recipients of one domain, at most so
    /// many at once for each (and `connections` in all), and what is wrong with one domain is that domain's
    /// (destinations.hpp). 0: its endpoints are servers.
    std::uint32_t connections_per_domain = 0;
    [[nodiscard]] bool is_by_domain() const noexcept { return connections_per_domain > 0; }
};

struct Options {
    std::string hostname;  ///< for LHLO
    std::map<std::string, BackendOptions> backends;
    RetryPolicy retry;
    std::size_t window = 4000;         ///< recipients of a backend that are kept in memory to be tried
    std::size_t window_total = 40000;  ///< of all backends: many of them have smaller windows
};

}  // namespace postern::delivery
