// The one hazard that Postern cannot keep away by itself: another program that writes to the queue file, with a SQLite
// library that then loses commits.
#pragma once

#include <filesystem>
#include <vector>

namespace postern::queue {

/// Whether SQLite of this version (sqlite3_libversion_number()) can lose commits when two connections write or
/// checkpoint at the same moment in WAL mode: 3.7.0 to 3.51.2, but for the mended 3.44.6 and 3.50.7 and what follows
/// them in their series. Postern is not touched by it, as one connection alone writes.
[[nodiscard]] bool has_wal_reset_bug(int version_number);

/// Processes that have the queue at `queue` open for writing, without the gateway (or command) that holds its lock and
/// without this process. Sees what /proc shows to this user.
[[nodiscard]] std::vector<long> other_writers(const std::filesystem::path& queue);

}  // namespace postern::queue
