// The parameters of MAIL and RCPT, "KEYWORD=value" behind the path.
// Source: RFC 5321 section 4.1.2 (Mail-parameters), RFC 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 3461 section 4
// (DSN), 6533 section 3 (ORCPT=utf-8).
#pragma once

#include <optional>
#include <string_view>

#include "queue/mail/reply.hpp"
#include "smtp-server/envelope.hpp"

namespace postern::smtp_server::detail {

/// Nothing: all read into the command. Else the refusal: 501 5.5.4 (bad value, or given twice), 504 5.5.4 (known value,
/// not offered), 555 5.5.4 (unknown keyword). `text` is all that stands behind the path.
[[nodiscard]] std::optional<mail::Reply> read_mail_parameters(std::string_view text, MailCommand& command);
[[nodiscard]] std::optional<mail::Reply> read_rcpt_parameters(std::string_view text, mail::Utf8 utf8,
                                                              RcptCommand& command);

}  // namespace postern::smtp_server::detail
