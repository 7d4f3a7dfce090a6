// The commands of SMTP and LMTP: one line in, one command or the reply that refuses it out. Pure; knows no session:
// whether a command may come now, and whether its extension is offered, is the dialogue's to say.
//
// Source: RFC 5321 section 4.1, RFC 2033 section 4, RFC 1870, 3030, 3207, 3461, 6152, 6531; enhanced codes of RFC 3463.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "queue/mail/reply.hpp"
#include "queue/mail/result.hpp"
#include "smtp-server/envelope.hpp"

namespace postern::smtp_server::detail {

struct Helo {
    std::string name;  ///< printable ASCII without spaces, 1 to 255 octets; not checked further
};
struct Ehlo {
    std::string name;  ///< as in Helo
};
struct Lhlo {
    std::string name;  ///< as in Helo
};
struct Data {};
struct Bdat {
    std::uint64_t size = 0;  ///< octets that follow the command line at once, whatever the reply
    bool last = false;
};
struct Rset {};
struct Noop {};
struct Quit {};
struct Vrfy {
    std::string argument;  ///< a stranger's text; never empty
};
struct Expn {
    std::string argument;
};
struct Help {};
struct StartTls {};

using Command =
    std::variant<Helo, Ehlo, Lhlo, MailCommand, RcptCommand, Data, Bdat, Rset, Noop, Quit, Vrfy, Expn, Help, StartTls>;

/// What of the session decides how a line is read.
struct ParseContext {
    Protocol protocol = Protocol::smtp;
    bool smtputf8 = false;      ///< MAIL of this transaction gave SMTPUTF8: RCPT may hold UTF-8
    std::string_view hostname;  ///< domain that a bare <postmaster> gets
};

/// Reads a line without its CRLF. The error is the reply to give: 500 (unknown, or of the other dialect), 501, 502
/// (known but never offered here), 504, 550/553 5.6.7 (UTF-8 without SMTPUTF8), 555, or 521 where closes_connection().
[[nodiscard]] Result<Command, mail::Reply> parse_command(std::string_view line, const ParseContext& context);

/// After this reply the session must close: a BDAT whose size cannot be read leaves no way to tell its content from
/// commands, and a browser's request (GET, POST, ...) is followed by a body that somebody else wrote.
[[nodiscard]] inline bool closes_connection(const mail::Reply& refusal) {
    return refusal.code() == 421 || refusal.code() == 521;
}

}  // namespace postern::smtp_server::detail
