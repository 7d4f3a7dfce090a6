// Which kinds of file system a queue cannot be kept on.
#pragma once

#include <string_view>

namespace postern::queue::detail {

/// What `type` (f_type of statfs) is, if a queue is not safe on it; empty: it may be. Pure.
///
/// Not on one that another host may write to: the locks and the shared memory of SQLite's write-ahead log hold within
/// one machine. Nor on any FUSE file system, virtiofs included: whether a flush reaches a disk, and what is behind it
/// (often a network), is up to a program of which nothing can be known from here.
[[nodiscard]] std::string_view unfit_file_system(long type) noexcept;

}  // namespace postern::queue::detail
