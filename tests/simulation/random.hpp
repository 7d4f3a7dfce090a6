// The only source of chance in a run: a seed gives the same numbers on every machine.
#pragma once

#include <cstdint>

namespace postern::simulation {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    /// SplitMix64.
    std::uint64_t next() {
        std::uint64_t mixed = (state_ += 0x9E3779B97F4A7C15ULL);
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
        return mixed ^ (mixed >> 31);
    }
    /// From 0 to `end` - 1.
    std::uint64_t below(std::uint64_t end) { return end == 0 ? 0 : next() % end; }
    /// From `low` to `high`, both included.
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
    }
    /// True in `percent` of 100 cases.
    bool chance(double percent) { return static_cast<double>(next() >> 11) * 0x1.0p-53 * 100 < percent; }

private:
    std::uint64_t state_;
};

}  // namespace postern::simulation
