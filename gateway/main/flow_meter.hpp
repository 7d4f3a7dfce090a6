// How much mail flows: counts since the start and of the last minute. Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "gateway/control/live_gateway.hpp"
#include "queue/time.hpp"

namespace postern::gateway {

class FlowMeter {
public:
    explicit FlowMeter(const queue::Clock& clock) : clock_(clock) {}

    void count(std::uint64_t control::Flow::*what) {
        const std::int64_t second = now_second();
        const std::lock_guard lock(mutex_);
        ++(total_.*what);
        Bucket& bucket = buckets_.at(static_cast<std::size_t>(second) % buckets_.size());
        if (bucket.second != second) {
            bucket.second = second;
            bucket.flow = {};
        }
        ++(bucket.flow.*what);
    }

    [[nodiscard]] control::Flow since_start() const {
        const std::lock_guard lock(mutex_);
        return total_;
    }

    [[nodiscard]] control::Flow last_minute() const {
        const std::int64_t second = now_second();
        control::Flow sum;
        const std::lock_guard lock(mutex_);
        for (const Bucket& bucket : buckets_) {
            if (bucket.second > second - static_cast<std::int64_t>(buckets_.size())) {
                sum.accepted += bucket.flow.accepted;
                sum.delivered += bucket.flow.delivered;
                sum.deferred += bucket.flow.deferred;
                sum.failed += bucket.flow.failed;
            }
        }
        return sum;
    }

private:
    struct Bucket {
        std::int64_t second = -1'000'000;
        control::Flow flow;
    };
    [[nodiscard]] std::int64_t now_second() const {
        return std::chrono::duration_cast<std::chrono::seconds>(clock_.steady().time_since_epoch()).count();
    }

    const queue::Clock& clock_;
    mutable std::mutex mutex_;
    control::Flow total_;
    std::array<Bucket, 60> buckets_{};
};

}  // namespace postern::gateway
