// What the delivery side is told by the configuration. Plain values; a reload brings a whole new set.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lmtp-client/transaction.hpp"
#include "queue/time.hpp"

namespace postern::delivery {

struct RetryPolicy {
    queue::Duration first = std::chrono::minutes(1);
    double factor = 2;
    queue::Duration maximum = std::chrono::hours(1);
    queue::Duration expire = std::chrono::hours(24 * 5);
};

enum class Balance : std::uint8_t { least_busy, failover };

struct BackendOptions {
    std::vector<lmtp_client::Endpoint> endpoints;  ///< at least one
    Balance balance = Balance::least_busy;
    std::uint32_t connections = 20;  ///< transactions at once, per endpoint
    std::uint32_t recipients_per_transaction = 100;
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(30);
    std::chrono::milliseconds reply_timeout = std::chrono::minutes(5);
};

struct Options {
    std::string hostname;  ///< for LHLO
    std::map<std::string, BackendOptions> backends;
    RetryPolicy retry;
    std::size_t window = 4000;  ///< recipients of a backend that are kept in memory to be tried
};

}  // namespace postern::delivery
