// Becoming the user that the configuration names, once the listeners are open, and giving up every right beyond his.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace postern::gateway {

/// Takes on `user`, its group and its groups, for good. Before, it makes what is missing of the ways to `folders`, each
/// of them his, of mode 0750. None of that when not root or `user` is empty. Then gives up all capabilities, whoever it
/// is (sandbox/capabilities.hpp). Before the first thread. An error text when it cannot be done.
[[nodiscard]] std::optional<std::string> become_user(const std::string& user,
                                                     const std::vector<std::filesystem::path>& folders);

}  // namespace postern::gateway
