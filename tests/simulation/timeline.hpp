// Virtual time: what happens when, and nothing in between. Two things at the same moment happen in the order in which
// they were planned.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "queue/time.hpp"

namespace postern::simulation {

/// A broken invariant; its text begins with the invariant's number.
class Violation : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class Timeline final : public queue::Clock {
public:
    using Milliseconds = std::int64_t;

    void at(Milliseconds delay, std::function<void()> what) {
        events_.emplace(std::pair(now_ + (delay > 0 ? delay : 0), ++numbers_), std::move(what));
    }
    /// Runs the next thing; false: there is none, or none before `end`.
    bool next(Milliseconds end) {
        if (events_.empty() || events_.begin()->first.first > end) {
            return false;
        }
        auto event = events_.extract(events_.begin());
        now_ = event.key().first;
        event.mapped()();
        return true;
    }
    [[nodiscard]] Milliseconds now() const noexcept { return now_; }

    [[nodiscard]] queue::Instant wall() const override {
        return queue::Instant(queue::Duration(1'790'000'000'000 + now_ + skew));
    }
    [[nodiscard]] queue::SteadyInstant steady() const override {
        return queue::SteadyInstant(std::chrono::milliseconds(1'000'000 + now_));
    }
    Milliseconds skew = 0;  ///< of the wall clock

private:
    std::map<std::pair<Milliseconds, std::uint64_t>, std::function<void()>> events_;
    Milliseconds now_ = 0;
    std::uint64_t numbers_ = 0;
};

}  // namespace postern::simulation
