// The bytes of a configuration file.
#pragma once

#include <filesystem>
#include <string>

#include "queue/mail/result.hpp"

namespace postern::config::detail {

/// At most one octet more than a configuration may have, so that the reader of the text sees that it is too long. The
/// error is the system's: "No such file or directory".
[[nodiscard]] Result<std::string, std::string> read_file(const std::filesystem::path& file);

}  // namespace postern::config::detail
