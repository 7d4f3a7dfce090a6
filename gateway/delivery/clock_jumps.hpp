// What the wall clock jumped forward while the gateway ran: time that nobody waited, and that makes no message old. A
// clock that is set wrong by a week would else give up everything that waits, in one minute. Pure.
//
// Threads: one at a time.
#pragma once

#include <optional>
#include <vector>

#include "queue/time.hpp"

namespace postern::delivery {

class ClockJumps {
public:
    /// To be called whenever the scheduler is: what the wall clock went on more than the steady one is a jump. Set
    /// back, it takes earlier jumps back.
    void observe(queue::Instant wall, queue::SteadyInstant steady);

    /// `now`, less what was jumped over since `accepted`.
    [[nodiscard]] queue::Instant lived_until(queue::Instant accepted, queue::Instant now) const;

    /// Of all jumps.
    [[nodiscard]] queue::Duration total() const;

private:
    struct Jump {
        queue::Instant from;  ///< at the latest, by the clock as it was: perhaps some time passed before it jumped
        queue::Duration by;
    };
    std::vector<Jump> jumps_;  // in the order in which they came
    std::optional<queue::Instant> wall_;
    queue::SteadyInstant steady_{};
};

}  // namespace postern::delivery
