#include "gateway/recipients/harvest_brake.hpp"

#include <algorithm>
#include <chrono>

#include "queue/network.hpp"

namespace postern::recipients {

namespace {

constexpr std::size_t network_octets = 8;  // of an IPv6 address

/// Empty: nobody's.
std::string key_of(std::string_view client) {
    const auto octets = queue::parse_ip(client);
    if (!octets) {
        return {};
    }
    const bool is_six = client.find('.') == std::string_view::npos;
    return std::string(octets->begin(), is_six ? octets->begin() + network_octets : octets->end());
}

}  // namespace

void HarvestBrake::leak(Client& client, queue::SteadyInstant now) const {
    const double hours = std::chrono::duration<double, std::ratio<3600>>(now - client.at).count();
    const double gone = std::max(0.0, hours) * per_hour_;
    client.unknown = std::max(0.0, client.unknown - gone);
    client.given = std::max(0.0, client.given - gone);
    client.at = now;
}

void HarvestBrake::asked_for_nobody(std::string_view client, queue::SteadyInstant now) {
    const std::string key = key_of(client);
    if (per_hour_ == 0 || key.empty()) {
        return;
    }
    const std::lock_guard lock(mutex_);
    auto found = clients_.find(key);
    if (found == clients_.end()) {
        found = clients_.try_emplace(key).first;
        found->second.at = now;
        found->second.place = order_.insert(order_.end(), &found->first);
        if (order_.size() > clients_max) {
            const std::string oldest = *order_.front();
            order_.pop_front();
            clients_.erase(oldest);
        }
        count_ = clients_.size();
    }
    Client& counted = found->second;
    leak(counted, now);
    counted.unknown += 1;
    order_.splice(order_.end(), order_, counted.place);
}

void HarvestBrake::gave(std::string_view client, std::size_t recipients, queue::SteadyInstant now) {
    if (per_hour_ == 0 || count_ == 0) {
        return;
    }
    const std::string key = key_of(client);
    const std::lock_guard lock(mutex_);
    const auto found = clients_.find(key);
    if (found == clients_.end()) {
        return;  // whoever behaves is not kept
    }
    leak(found->second, now);
    found->second.given += static_cast<double>(recipients);
    order_.splice(order_.end(), order_, found->second.place);
}

bool HarvestBrake::refuses(std::string_view client, queue::SteadyInstant now) const {
    if (per_hour_ == 0 || count_ == 0) {
        return false;
    }
    const std::string key = key_of(client);
    const std::lock_guard lock(mutex_);
    const auto found = clients_.find(key);
    if (found == clients_.end()) {
        return false;
    }
    Client then = found->second;
    leak(then, now);
    return then.unknown > per_hour_ - 1.0 && then.unknown > then.given;  // there is no room for one more
}

}  // namespace postern::recipients
