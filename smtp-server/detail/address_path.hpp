// The paths of MAIL and RCPT: what stands between the angle brackets, and where they end.
// Source: RFC 5321 sections 4.1.2 (Reverse-path, Forward-path) and 4.5.1 (bare postmaster), RFC 6531 section 3.5
// (UTF-8).
#pragma once

#include <optional>
#include <string_view>

#include "queue/mail/reply.hpp"
#include "queue/mail/result.hpp"
#include "smtp-server/envelope.hpp"

namespace postern::smtp_server::detail {

struct PathText {
    std::string_view inside;  ///< between the brackets
    std::string_view rest;    ///< behind them: empty, or a space and parameters
};

/// Finds the brackets of the path that `text` begins with; those inside quotes do not count. Brackets are demanded:
/// without them the end of an address is a matter of opinion.
[[nodiscard]] std::optional<PathText> split_path(std::string_view text);

/// MAIL's path. The error: 501 5.1.7, or 550 5.6.7 for UTF-8 where it is refused.
[[nodiscard]] Result<mail::ReversePath, mail::Reply> read_reverse_path(std::string_view inside, mail::Utf8 utf8);

/// RCPT's path, as a command without parameters yet. The error: 501 5.1.3, or 553 5.6.7 for UTF-8 where it is refused.
[[nodiscard]] Result<RcptCommand, mail::Reply> read_forward_path(std::string_view inside, mail::Utf8 utf8,
                                                                 std::string_view hostname);

}  // namespace postern::smtp_server::detail
