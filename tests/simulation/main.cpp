// postern_simulation: runs seeds, or the reply patterns, and says what it found. Exit status 1: a violation.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>

#include "world.hpp"

namespace {

using postern::simulation::Counts;
using postern::simulation::RunOptions;
using postern::simulation::RunResult;

struct Arguments {
    std::uint64_t seeds = 20;
    std::uint64_t from = 1;
    std::uint64_t every = 1;  ///< of the patterns: each so many-th
    bool verbose = false;
    bool patterns = false;
    bool good = true;
};

Arguments parse(int count, char** words) {
    Arguments arguments;
    for (int i = 1; i < count; ++i) {
        const std::string_view word = words[i];
        if (word == "--verbose") {
            arguments.verbose = true;
        } else if (word == "--patterns") {
            arguments.patterns = true;
        } else if (i + 1 < count && (word == "--seeds" || word == "--from" || word == "--seed" || word == "--every")) {
            const std::uint64_t number = std::strtoull(words[++i], nullptr, 10);
            if (word == "--seeds") {
                arguments.seeds = number;
            } else if (word == "--every") {
                arguments.every = std::max<std::uint64_t>(1, number);
            } else {
                arguments.from = number;
                arguments.seeds = word == "--seed" ? 1 : arguments.seeds;
            }
        } else {
            arguments.good = false;
        }
    }
    return arguments;
}

/// True: no violation.
bool tell(const RunResult& result, const std::string& name, Counts& sum) {
    sum.add(result.counts);
    if (!result.ok) {
        std::cout << result.trace << "VIOLATION of invariant " << result.violation << "\n  replay: postern_simulation "
                  << name << " --verbose\n"
                  << std::flush;
    }
    return result.ok;
}

}  // namespace

int main(int argument_count, char** argument_words) {
    const Arguments arguments = parse(argument_count, argument_words);
    if (!arguments.good) {
        std::cerr
            << "usage: postern_simulation [--seeds N] [--from S] [--seed X] [--patterns [--every N]] [--verbose]\n";
        return 64;
    }
    // The disk's files grow and go: their memory stays, instead of being mapped anew each time.
    ::mallopt(M_MMAP_THRESHOLD, 256 << 20);
    ::mallopt(M_TRIM_THRESHOLD, 512 << 20);
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / ("postern-simulation-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    const auto began = std::chrono::steady_clock::now();
    Counts sum;
    std::uint64_t violations = 0;
    std::int64_t virtual_ms = 0;
    std::uint64_t runs = 0;
    RunOptions options;
    options.folder = folder.string();
    options.verbose = arguments.verbose;
    if (arguments.patterns) {
        constexpr int all = 5 * 5 * 5 * 5 * 5;
        for (int pattern = 0; pattern < all; pattern += static_cast<int>(arguments.every)) {
            for (int count = 1, fit = 5; count <= 5; ++count, fit *= 5) {
                if (pattern >= fit) {
                    continue;  // digits that are not used would only repeat it
                }
                for (const bool crash : {false, true}) {
                    if (crash && pattern % 5 != count % 5) {
                        continue;  // a sample
                    }
                    options.seed = static_cast<std::uint64_t>(pattern) * 16 + static_cast<std::uint64_t>(count) * 2 +
                                   (crash ? 1 : 0) + arguments.from;
                    const RunResult result = postern::simulation::run_pattern(pattern, count, crash, options);
                    ++runs;
                    virtual_ms += result.virtual_ms;
                    violations += tell(result,
                                       "--patterns (pattern " + std::to_string(pattern) + ", " + std::to_string(count) +
                                           " recipients" + (crash ? ", crash)" : ")"),
                                       sum)
                                      ? 0U
                                      : 1U;
                }
            }
        }
    } else {
        for (std::uint64_t seed = arguments.from; seed < arguments.from + arguments.seeds; ++seed) {
            options.seed = seed;
            const RunResult result = postern::simulation::run_seed(options);
            ++runs;
            virtual_ms += result.virtual_ms;
            violations += tell(result, "--seed " + std::to_string(seed), sum) ? 0U : 1U;
        }
    }
    std::filesystem::remove_all(folder);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    std::printf(
        "%llu runs, %llu violations; %llu messages (%llu accepted), %llu recipients: %llu delivered, %llu parked, %llu "
        "held, %llu removed, %llu returned with %llu reports; %llu attempts, %llu connects, %llu explained duplicates; "
        "%llu transactions by domain; %llu "
        "pauses, %llu brakes; %llu crashes (%llu power cuts), "
        "%llu disk errors; %llu checks; %lld virtual hours in %.1f s\n",
        static_cast<unsigned long long>(runs), static_cast<unsigned long long>(violations),
        static_cast<unsigned long long>(sum.messages), static_cast<unsigned long long>(sum.accepted),
        static_cast<unsigned long long>(sum.recipients), static_cast<unsigned long long>(sum.delivered),
        static_cast<unsigned long long>(sum.parked), static_cast<unsigned long long>(sum.held),
        static_cast<unsigned long long>(sum.removed), static_cast<unsigned long long>(sum.returned),
        static_cast<unsigned long long>(sum.reports), static_cast<unsigned long long>(sum.attempts),
        static_cast<unsigned long long>(sum.connects), static_cast<unsigned long long>(sum.explained_duplicates),
        static_cast<unsigned long long>(sum.outgoing), static_cast<unsigned long long>(sum.pauses),
        static_cast<unsigned long long>(sum.brakes), static_cast<unsigned long long>(sum.crashes),
        static_cast<unsigned long long>(sum.power_cuts), static_cast<unsigned long long>(sum.disk_errors),
        static_cast<unsigned long long>(sum.checks), static_cast<long long>(virtual_ms / 3'600'000), seconds);
    return violations == 0 ? 0 : 1;
}
