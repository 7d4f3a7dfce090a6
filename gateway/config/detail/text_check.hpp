// Whether a file is text at all, before a YAML parser sees it: that library takes octet 4 for the end of the file, a
// NUL for an ordinary character, and guesses at encodings.
#pragma once

#include <string_view>

#include "gateway/config/detail/problems.hpp"

namespace postern::config::detail {

/// False, with one problem, when the text is too long, not UTF-8, or holds a control character but tab and line ends.
/// A byte order mark is taken off the front.
[[nodiscard]] bool check_text(std::string_view& text, Problems& problems);

constexpr std::size_t file_octets_max = 1 << 20;

}  // namespace postern::config::detail
