// Well-formed UTF-8, octet by octet. Source: RFC 3629 section 4.
#pragma once

#include <cstddef>
#include <string_view>

namespace postern::mail {

/// Octets of the well-formed UTF-8 character that `text` begins with: 1 to 4; 0 when it begins with none (or is empty).
[[nodiscard]] std::size_t utf8_length(std::string_view text) noexcept;

/// Whether a well-formed character is one that no terminal or log should meet raw: C0, DEL, C1, line and paragraph
/// separators, and the marks that reverse the direction of what stands around them.
[[nodiscard]] bool is_unsafe_character(std::string_view character) noexcept;

}  // namespace postern::mail
