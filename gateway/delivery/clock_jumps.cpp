#include "gateway/delivery/clock_jumps.hpp"

#include <algorithm>
#include <utility>

namespace postern::delivery {

namespace {

constexpr queue::Duration drift =
    std::chrono::minutes(1);  // between two looks; a clock that is disciplined drifts less
constexpr std::size_t jumps_max = 32;

}  // namespace

void ClockJumps::observe(queue::Instant wall, queue::SteadyInstant steady) {
    const auto wall_before = std::exchange(wall_, wall);
    const auto steady_before = std::exchange(steady_, steady);
    if (!wall_before) {
        return;
    }
    const queue::Duration jumped =
        (wall - *wall_before) - std::chrono::duration_cast<queue::Duration>(steady - steady_before);
    if (jumped > drift) {
        if (jumps_.size() >= jumps_max) {
            jumps_.front().by += jumps_[1].by;  // for what came between the two it counts too much, which spares it
            jumps_.front().from = jumps_[1].from;
            jumps_.erase(jumps_.begin() + 1);
        }
        jumps_.push_back({wall - jumped, jumped});
    } else if (jumped < -drift) {
        queue::Duration back = -jumped;
        while (!jumps_.empty() && back.count() > 0) {
            const queue::Duration taken = std::min(back, jumps_.back().by);
            back -= taken;
            jumps_.back().by -= taken;
            if (jumps_.back().by.count() == 0) {
                jumps_.pop_back();
            }
        }
    }
}

queue::Instant ClockJumps::lived_until(queue::Instant accepted, queue::Instant now) const {
    for (const Jump& jump : jumps_) {
        if (accepted <= jump.from) {
            now -= jump.by;
        }
    }
    return now;
}

queue::Duration ClockJumps::total() const {
    queue::Duration sum{};
    for (const Jump& jump : jumps_) {
        sum += jump.by;
    }
    return sum;
}

}  // namespace postern::delivery
