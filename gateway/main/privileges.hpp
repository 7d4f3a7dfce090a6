// Becoming the user that the configuration names, once the listeners are open.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace postern::gateway {

/// Takes on `user`, its group and its groups, for good, and makes the missing ones of `folders` his before. Nothing to
/// do when not root or `user` is empty. An error text when it cannot be done.
[[nodiscard]] std::optional<std::string> become_user(const std::string& user,
                                                     const std::vector<std::filesystem::path>& folders);

}  // namespace postern::gateway
