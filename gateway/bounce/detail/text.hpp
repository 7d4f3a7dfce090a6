// The text of reports: how a stranger's words get into one without bending it.
//
// Two steps, always in this order: cleaned() makes any octets one line of harmless characters, append_field() and
// append_paragraph() cut lines to length. Nothing else puts a stranger's text into a report, but for the returned
// message, which is a part of its own (returned.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::bounce::detail {

enum class Charset : std::uint8_t { ascii, utf8 };

/// No line of a report is longer (RFC 5322 section 2.1.1), CRLF not counted.
constexpr std::size_t line_octets_max = 998;

/// `text` as one line: line ends, tabs and runs of spaces become one space, none at either end. What is not printable,
/// not well-formed UTF-8 or, with Charset::ascii, above 127 is written "\x{20AC}" (the form of RFC 6533 section 3; a
/// malformed octet as its value). At most `octets_max` of the input are used; a cut is marked by "...".
[[nodiscard]] std::string cleaned(std::string_view text, Charset charset, std::size_t octets_max = 800);

/// Appends "Name: value CRLF", folded at spaces. `value` is cleaned already.
void append_field(std::string& out, std::string_view name, std::string_view value);

/// Appends `text` (cleaned, or our own) broken into lines of at most 76 octets where it has spaces, each begun with
/// `indent`.
void append_paragraph(std::string& out, std::string_view text, std::string_view indent = "");

/// RFC 2045 section 6.7, of text with CRLF line ends; bare CR and LF are encoded.
[[nodiscard]] std::string quoted_printable(std::string_view text);

[[nodiscard]] bool is_ascii(std::string_view text);
[[nodiscard]] bool is_utf8(std::string_view text);
/// Whether it can stand in a body as it is: CRLF the only line ends, no NUL, no line too long.
[[nodiscard]] bool has_good_lines(std::string_view text);

/// Whether `word` is `lower` in any case (ASCII).
[[nodiscard]] bool same_word(std::string_view word, std::string_view lower);

}  // namespace postern::bounce::detail
