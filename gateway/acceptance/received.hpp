// The trace header that this gateway puts on top of each message.
// Source: RFC 5321 section 4.4, RFC 3848 and RFC 6531 section 4.3 (the `with` words). Pure.
#pragma once

#include <string>
#include <string_view>

#include "queue/message_id.hpp"
#include "queue/time.hpp"
#include "smtp-server/hooks.hpp"

namespace postern::acceptance {

struct ReceivedFacts {
    std::string_view hostname;
    queue::MessageId id;
    queue::Instant at{};
    bool smtputf8 = false;
    const mail::Mailbox* only_recipient = nullptr;  ///< for the `for` clause; nullptr when there are several
};

/// "ESMTP", "ESMTPS", "LMTP", "UTF8SMTP", ... (RFC 3848, RFC 6531 section 4.3).
[[nodiscard]] std::string protocol_word(const smtp_server::SessionInfo& session, bool smtputf8);

/// The whole field, CRLF at its end. A HELO name that is no domain and no address literal does not get into it: the
/// client's address stands in its place.
[[nodiscard]] std::string received_field(const smtp_server::SessionInfo& session, const ReceivedFacts& facts);

}  // namespace postern::acceptance
