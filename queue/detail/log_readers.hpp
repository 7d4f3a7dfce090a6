// Who keeps the write-ahead log from being emptied, or written.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace postern::queue::detail {

/// Processes with a read transaction open on the queue at `queue`, from the kernel's list of locks (/proc/locks); this
/// one too, when it has. To ask by opening the file of locks would drop those that this process holds on it.
[[nodiscard]] std::vector<long> log_readers(const std::filesystem::path& queue);

/// The same for the lock of who writes.
[[nodiscard]] std::vector<long> log_writers(const std::filesystem::path& queue);

/// "process 123 (sqlite3)", several joined by commas; "a process that cannot be found" for none.
[[nodiscard]] std::string describe_processes(const std::vector<long>& pids);

}  // namespace postern::queue::detail
