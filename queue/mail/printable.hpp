// Makes a stranger's text safe for a log line, a terminal and a JSON value.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postern::mail {

/// `text` with control characters (C0, DEL, C1, also as UTF-8; marks that reverse direction) and malformed UTF-8
/// written as "\xNN", and a backslash as "\\". At most `octets_max` of the input are used; a cut is marked by "...".
[[nodiscard]] std::string printable(std::string_view text, std::size_t octets_max = 1024);

/// Nothing in it would be written as "\xNN": printable() has made it, or might have left it as it is.
[[nodiscard]] bool is_printable(std::string_view text);

}  // namespace postern::mail
