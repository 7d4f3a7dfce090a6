// How many clients are connected, in all and from one address (an IPv4 address or an IPv6 /64).
// Threads: any.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "smtp-server/limits.hpp"

namespace postern::smtp_server::detail {

/// What counts as one client: the address, of an IPv6 one the first 64 bits. "" (a Unix socket) counts only in all.
[[nodiscard]] std::string client_key(const std::string& ip);

class ConnectionCount {
public:
    enum class Verdict : std::uint8_t { admitted, too_many, too_many_from_client };
    [[nodiscard]] Verdict enter(const std::string& key, const Limits& limits, bool trusted);
    void leave(const std::string& key);

    [[nodiscard]] std::size_t current() const;
    [[nodiscard]] std::uint64_t total() const;
    [[nodiscard]] std::uint64_t refused() const;

private:
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::uint32_t> by_client_;
    std::size_t current_ = 0;
    std::uint64_t total_ = 0;
    std::uint64_t refused_ = 0;
};

}  // namespace postern::smtp_server::detail
