// Which files the process may make, write and remove, held by landlock(7).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace postern::sandbox::detail {

/// In `writable`, and nowhere else; a folder that does not exist is passed over. Signals go to this process alone
/// (Linux 6.12). For the calling thread and those that it starts, for good; wants no_new_privs. An error text when the
/// kernel cannot; nothing is confined then.
[[nodiscard]] std::optional<std::string> confine_files(const std::vector<std::filesystem::path>& writable);

}  // namespace postern::sandbox::detail
