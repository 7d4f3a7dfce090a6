// Opening the queue file and the history file for writing: what is checked before, how the connection is set up, what
// is swept.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>

#include "queue/detail/sqlite.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::queue::detail {

[[nodiscard]] std::filesystem::path history_path(const std::filesystem::path& queue);

/// Whether a file may lie here: no link, no file system of a kind that is unfit (queue/detail/file_system.hpp).
[[nodiscard]] std::optional<OpenError> check_place(const std::filesystem::path& file);

/// The only writing connection to the queue: WAL, synchronous=FULL, no checkpoint but by hand; schema brought up to
/// date, what aborted messages left removed. `mode`: create, or read_write for one that must be there. Throws
/// SqliteError.
[[nodiscard]] Result<std::unique_ptr<Connection>, OpenError> open_queue_file(const std::filesystem::path& file,
                                                                             OpenMode mode, const char* vfs);
/// The same for the history, with relaxed flushing.
[[nodiscard]] Result<std::unique_ptr<Connection>, OpenError> open_history_file(const std::filesystem::path& file);
/// The same for the file of known recipients. Throws nothing.
[[nodiscard]] Result<std::unique_ptr<Connection>, OpenError> open_recipients_file(const std::filesystem::path& file);

/// Writes the write-ahead log over with what it holds, and flushes it. After a flush that failed, in this process or in
/// one before it, the kernel may take pages for clean that never reached the disk: what is read from the log now may be
/// in memory alone, and a further flush would say that all is well. Throws SqliteError.
void write_log_again(Connection& connection);

/// SQLite's own check of the pages and rows, as far as `time_max` goes or until `give_up` is set (by any thread).
/// Throws SqliteError (corrupt) with the first fault that it found.
void verify_pages(Connection& connection, std::chrono::seconds time_max, const std::atomic<bool>& give_up);

/// SqliteError as the operator hears it.
[[nodiscard]] OpenError open_error(const SqliteError& error, const std::filesystem::path& file);

}  // namespace postern::queue::detail
