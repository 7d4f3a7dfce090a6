#include "gateway/main/process_usage.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <memory>

namespace postern::gateway {

namespace {

double seconds_of(const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1'000'000;
}

/// Entries of a folder, less `.` and `..`.
std::uint64_t entries(const char* folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(folder), ::closedir);
    std::uint64_t count = 0;
    while (opened != nullptr && ::readdir(opened.get()) != nullptr) {
        ++count;
    }
    return count > 2 ? count - 2 : 0;
}

}  // namespace

control::ProcessUsage process_usage() {
    control::ProcessUsage usage;
    rusage used{};
    if (::getrusage(RUSAGE_SELF, &used) == 0) {
        usage.cpu_seconds = seconds_of(used.ru_utime) + seconds_of(used.ru_stime);
    }
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        usage.open_files_max = files.rlim_cur;
    }
    // In pages: all of it, then what is resident.
    std::ifstream memory("/proc/self/statm");
    std::uint64_t whole = 0;
    std::uint64_t resident = 0;
    if (memory >> whole >> resident) {
        const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
        usage.virtual_octets = whole * page;
        usage.resident_octets = resident * page;
    }
    usage.threads = entries("/proc/self/task");
    const std::uint64_t open = entries("/proc/self/fd");
    usage.open_files = open > 0 ? open - 1 : 0;  // one was for the look itself
    return usage;
}

}  // namespace postern::gateway
