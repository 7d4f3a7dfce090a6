#include "queue/detail/log_readers.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace postern::queue::detail {

namespace {

// Where SQLite's locks lie in the -shm file (its wal.c and os_unix.c: WAL_READ_LOCK and WAL_WRITE_LOCK behind
// UNIX_SHM_BASE).
constexpr long writer_lock = 120;
constexpr long first_reader_lock = 123;
constexpr long last_reader_lock = 127;

std::vector<long> lock_holders(const std::filesystem::path& queue, long first, long last) {
    std::vector<long> pids;
    struct stat shared {};
    if (::stat((queue.string() + "-shm").c_str(), &shared) != 0) {
        return pids;
    }
    const std::string wanted =
        fmt::format("{:02x}:{:02x}:{}", major(shared.st_dev), minor(shared.st_dev), shared.st_ino);
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        // "12: POSIX  ADVISORY  READ 4711 fe:00:123456 124 124"
        std::istringstream words(line);
        std::string number;
        std::string kind;
        std::string manner;
        std::string mode;
        std::string file;
        long pid = 0;
        long from = 0;
        std::string to;
        if (words >> number >> kind >> manner >> mode >> pid >> file >> from >> to && kind == "POSIX" &&
            file == wanted && from <= last && (to == "EOF" || std::strtol(to.c_str(), nullptr, 10) >= first) &&
            std::find(pids.begin(), pids.end(), pid) == pids.end()) {
            pids.push_back(pid);
        }
    }
    return pids;
}

}  // namespace

std::vector<long> log_readers(const std::filesystem::path& queue) {
    return lock_holders(queue, first_reader_lock, last_reader_lock);
}

std::vector<long> log_writers(const std::filesystem::path& queue) {
    return lock_holders(queue, writer_lock, writer_lock);
}

std::string describe_processes(const std::vector<long>& pids) {
    std::string text;
    for (const long pid : pids) {
        std::ifstream file(fmt::format("/proc/{}/comm", pid));
        std::string name;
        std::getline(file, name);
        text += fmt::format("{}process {}{}", text.empty() ? "" : ", ", pid, name.empty() ? "" : " (" + name + ")");
    }
    return text.empty() ? "a process that cannot be found" : text;
}

}  // namespace postern::queue::detail
