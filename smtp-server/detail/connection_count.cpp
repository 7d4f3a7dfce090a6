#include "smtp-server/detail/connection_count.hpp"

#include <arpa/inet.h>

#include <array>

namespace postern::smtp_server::detail {

std::string client_key(const std::string& ip) {
    std::array<unsigned char, 16> octets{};
    const std::string plain = ip.substr(0, ip.find('%'));
    if (::inet_pton(AF_INET6, plain.c_str(), octets.data()) == 1) {
        return '6' + std::string(octets.begin(), octets.begin() + 8);  // never the same as an IPv4 address in text
    }
    return ip;
}

ConnectionCount::Verdict ConnectionCount::enter(const std::string& key, const Limits& limits, bool trusted) {
    const std::lock_guard lock(mutex_);
    if (current_ >= limits.connections) {
        ++refused_;
        return Verdict::too_many;
    }
    if (!key.empty()) {
        const auto mine = by_client_.find(key);
        const std::uint32_t count = mine == by_client_.end() ? 0 : mine->second;
        if (!trusted && count >= limits.connections_per_client) {
            ++refused_;
            return Verdict::too_many_from_client;
        }
        ++by_client_[key];
    }
    ++current_;
    ++total_;
    return Verdict::admitted;
}

void ConnectionCount::leave(const std::string& key) {
    const std::lock_guard lock(mutex_);
    --current_;
    const auto mine = by_client_.find(key);
    if (mine != by_client_.end() && --mine->second == 0) {
        by_client_.erase(mine);
    }
}

std::size_t ConnectionCount::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

std::uint64_t ConnectionCount::total() const {
    const std::lock_guard lock(mutex_);
    return total_;
}

std::uint64_t ConnectionCount::refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
}

}  // namespace postern::smtp_server::detail
