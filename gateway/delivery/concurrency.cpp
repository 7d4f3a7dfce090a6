#include "gateway/delivery/concurrency.hpp"

#include <algorithm>
#include <chrono>

namespace postern::delivery {

namespace {

constexpr std::uint32_t allowed_at_first = 4;
constexpr std::uint32_t allowed_after_outage = 2;
constexpr double never_slow_ms = 250;
constexpr double slow_factor = 4;
constexpr std::chrono::seconds trouble_pause{1};
constexpr double average_weight = 0.1;
constexpr double best_rise = 1.0005;  // a tenth in 200 transactions

}  // namespace

Concurrency::Concurrency(std::uint32_t connections)
    : connections_(connections), allowed_(std::min(connections, allowed_at_first)) {}

void Concurrency::set_connections(std::uint32_t connections) {
    connections_ = connections;
    allowed_ = std::clamp<std::uint32_t>(allowed_, 1, connections);
}

void Concurrency::worked(queue::SteadyInstant began, queue::SteadyInstant now, double weight) {
    const double took = std::chrono::duration<double, std::milli>(now - began).count() / std::max(1.0, weight);
    latency_ms_ = latency_ms_ <= 0 ? took : latency_ms_ + (took - latency_ms_) * average_weight;
    best_ms_ = best_ms_ <= 0 ? latency_ms_ : std::min(latency_ms_, best_ms_ * best_rise);
    if (latency_ms_ > never_slow_ms && latency_ms_ > best_ms_ * slow_factor) {
        lower(0.9, began, now);
        return;
    }
    if (allowed_ >= connections_) {
        return;
    }
    if (met_trouble_ && allowed_ + 1 >= troubled_at_ && now - lowered_ < trouble_pause) {
        return;
    }
    if (!met_trouble_ || ++successes_ >= allowed_) {
        ++allowed_;
        successes_ = 0;
    }
}

void Concurrency::failed(queue::SteadyInstant began, queue::SteadyInstant now) { lower(0.5, began, now); }

void Concurrency::lower(double factor, queue::SteadyInstant began, queue::SteadyInstant now) {
    met_trouble_ = true;
    successes_ = 0;
    if (began < lowered_) {
        return;
    }
    lowered_ = now;
    troubled_at_ = allowed_;
    allowed_ = std::max<std::uint32_t>(1, static_cast<std::uint32_t>(static_cast<double>(allowed_) * factor));
}

void Concurrency::restart() {
    allowed_ = std::min(connections_, allowed_after_outage);
    met_trouble_ = false;
    successes_ = 0;
    latency_ms_ = 0;
}

queue::Duration Concurrency::latency() const { return queue::Duration(static_cast<std::int64_t>(latency_ms_)); }

}  // namespace postern::delivery
