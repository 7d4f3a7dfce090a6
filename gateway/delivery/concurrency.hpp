// How many transactions an endpoint gets at once: found, not configured. Pure.
//
// Grows by one with each success (which doubles it every round) until trouble was met once, then by one a round, and
// to where it was met not within a second: a store that takes no more connections is not knocked at for each success;
// halves on trouble, once a round; and gives way by a tenth, once a round, while answers take more than four times as
// long as they do at best. A store that answers within `never_slow` is never held back: below that, waiting is cheaper
// than idling. Always between 1 and `connections`.
#pragma once

#include <cstdint>

#include "queue/time.hpp"

namespace postern::delivery {

class Concurrency {
public:
    explicit Concurrency(std::uint32_t connections);

    [[nodiscard]] std::uint32_t allowed() const noexcept { return allowed_; }
    [[nodiscard]] std::uint32_t connections() const noexcept { return connections_; }
    void set_connections(std::uint32_t connections);

    /// A transaction that began at `began` ended without trouble. `weight`: its size in usual transactions, at least 1,
    /// so that a large one is not taken for a slow one.
    void worked(queue::SteadyInstant began, queue::SteadyInstant now, double weight);
    /// One that began at `began` ended in trouble.
    void failed(queue::SteadyInstant began, queue::SteadyInstant now);
    /// Begin anew with few, after an outage.
    void restart();

    /// What a usual transaction takes now; 0: not known yet.
    [[nodiscard]] queue::Duration latency() const;

private:
    void lower(double factor, queue::SteadyInstant began, queue::SteadyInstant now);

    std::uint32_t connections_;
    std::uint32_t allowed_;
    std::uint32_t successes_ = 0;     ///< since it grew, once it grows slowly
    bool met_trouble_ = false;        ///< grow slowly
    double latency_ms_ = 0;           ///< moving average
    double best_ms_ = 0;              ///< the lowest average, rising slowly, so that a better past is forgotten
    std::uint32_t troubled_at_ = 0;   ///< so many met trouble last
    queue::SteadyInstant lowered_{};  ///< what began before belongs to a round that was punished already
};

}  // namespace postern::delivery
