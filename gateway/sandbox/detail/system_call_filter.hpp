// The system calls that the process can do without, refused by seccomp(2).
#pragma once

#include <optional>
#include <string>

namespace postern::sandbox::detail {

/// For all threads, for good. An error text when the kernel or the library cannot; nothing is filtered then.
[[nodiscard]] std::optional<std::string> filter_system_calls();

}  // namespace postern::sandbox::detail
