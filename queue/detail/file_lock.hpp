// The lock that makes one process the writer of a queue: flock on a file of its own beside the queue (closing any
// descriptor of the database itself would drop SQLite's own locks), holding the pid for the operator. Freed by the
// kernel when the process ends.
#pragma once

#include <filesystem>

#include "queue/sqlite_store.hpp"

namespace postern::queue::detail {

class FileLock {
public:
    FileLock() = default;
    FileLock(FileLock&& other) noexcept;
    FileLock& operator=(FileLock&&) = delete;
    ~FileLock();

    /// Takes the lock of the queue at `queue`. OpenError: in_use (with the pid of who has it), refused, io.
    [[nodiscard]] static Result<FileLock, OpenError> take(const std::filesystem::path& queue);

private:
    int descriptor_ = -1;
};

}  // namespace postern::queue::detail
