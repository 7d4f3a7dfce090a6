// One run: a gateway, its stores, its clients, a disk and bad luck, for some hours of virtual time; then everything is
// made well, and what is left is looked at.
#pragma once

#include <cstdint>
#include <string>

#include "truth.hpp"

namespace postern::simulation {

struct RunOptions {
    std::uint64_t seed = 1;
    bool verbose = false;  ///< print the trace as it grows
    std::string folder;    ///< for the queue's lock; the queue itself lies on the simulated disk
};

struct RunResult {
    bool ok = true;
    std::string violation;
    std::string trace;  ///< the last lines of it, when not ok
    Counts counts;
    std::int64_t virtual_ms = 0;
};

[[nodiscard]] RunResult run_seed(const RunOptions& options);

/// All recipients of one message over {250, 450, 550, close, silence}: `pattern` is a number of five digits to the base
/// of five, `count` how many of them are used. With `crash`, the gateway dies in the midst of it.
[[nodiscard]] RunResult run_pattern(int pattern, int count, bool crash, const RunOptions& options);

}  // namespace postern::simulation
