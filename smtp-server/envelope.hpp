// MAIL and RCPT as the grammar gives them to the session and to the hooks: values only, nothing of the network.
#pragma once

#include <cstdint>

#include "queue/mail/dsn.hpp"
#include "queue/mail/mailbox.hpp"

namespace postern::smtp_server {

/// The dialect of a listener (RFC 5321, RFC 2033).
enum class Protocol : std::uint8_t { smtp, lmtp };

/// MAIL as accepted by the grammar.
struct MailCommand {
    mail::ReversePath sender;
    std::uint64_t size = 0;  ///< SIZE=; 0 when absent
    bool body_8bit = false;  ///< BODY=8BITMIME
    bool smtputf8 = false;
    bool require_tls = false;  ///< REQUIRETLS (RFC 8689)
    mail::DsnMessageOptions dsn;
};

/// RCPT as accepted by the grammar.
struct RcptCommand {
    mail::Mailbox address;  ///< bare <postmaster> comes as postmaster@HOSTNAME with `bare_postmaster` set
    bool bare_postmaster = false;
    mail::DsnRecipientOptions dsn;
};

}  // namespace postern::smtp_server
