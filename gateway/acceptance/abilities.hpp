// Mail that no store of its backend can take is refused while the sender is on the line: at RCPT, as far as the
// envelope shows it, and behind the content, where that shows it. A client that says SMTPUTF8 or BODY=8BITMIME may
// still send plain ASCII, which any store takes; so what counts is what was sent.
//
// The replies are those of the delivery (lmtp-client), which would otherwise fail with them. Pure.
// Source: RFC 1870 section 6.1, RFC 6152 section 3, RFC 6531 section 3.5.
#pragma once

#include <optional>
#include <vector>

#include "gateway/acceptance/policy.hpp"
#include "queue/message.hpp"

namespace postern::acceptance {

/// 552 5.3.4, 550 or 553 5.6.7; nullopt: nothing is known against it.
[[nodiscard]] std::optional<mail::Reply> unable_to_take(const Policy& policy, const smtp_server::MailCommand& mail,
                                                        const Taken& recipient);

/// The same of the whole message, for all of its recipients: nullopt as soon as one of them may be able to. `envelope`
/// has `size` and `has_8bit`.
[[nodiscard]] std::optional<mail::Reply> unable_to_take(const Policy& policy, const queue::Envelope& envelope,
                                                        const std::vector<queue::Recipient>& recipients);

}  // namespace postern::acceptance
