// The last part of a report: the message that it is about, or its header. And the reading of a header as far as that
// needs it.
//
// Source: RFC 6522 sections 2 and 3, RFC 3461 section 6.2, RFC 6533 section 5.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postern::bounce::detail {

/// The header that `content` begins with: its lines up to the first that is no field and no continuation of one. A
/// message without a blank line before its body has no more header than that, so no body is taken for one.
[[nodiscard]] std::string_view header_of(std::string_view content);

struct Field {
    std::string_view name;
    std::string_view value;  ///< folded as it was, the last CRLF left out
};
/// Cuts the first field off a header (see header_of), which is not empty.
[[nodiscard]] Field take_field(std::string_view& header);

/// The message's own Message-ID, "<...>", when it is a plain one that may be quoted in a header; else empty.
[[nodiscard]] std::string message_id_of(std::string_view header);

/// A body part: its header fields (each with CRLF) and its body, without the blank line between them.
struct Part {
    std::string fields;
    std::string body;
};

/// The header, cut behind a field when it is longer than `octets_max`. `utf8`: the message was sent with SMTPUTF8.
[[nodiscard]] Part returned_header(std::string_view header, std::size_t octets_max, bool utf8);

/// Whether the whole message can be returned as it is: its lines fit, and its header is what its envelope said.
[[nodiscard]] bool can_return(std::string_view content, bool utf8);
/// The whole message; only when can_return().
[[nodiscard]] Part returned_message(std::string_view content);

}  // namespace postern::bounce::detail
