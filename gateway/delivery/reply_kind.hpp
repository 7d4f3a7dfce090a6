// What kind of trouble a deferral speaks of, so that each is retried on a curve of its own. Pure.
// Source: RFC 3463 section 3, RFC 5321 section 4.2.3; the busy texts are those of Dovecot's and Cyrus's LMTP servers.
#pragma once

#include <string_view>

#include "gateway/delivery/options.hpp"
#include "queue/mail/reply.hpp"

namespace postern::delivery {

///   mailbox_full  x.2.2, or a bare 452: emptied by people, not by the second
///   busy          too many deliveries at once for this one mailbox, or its lock is taken: over in seconds
///   store         x.3.x and x.4.x: the store as a whole is in trouble
///   policy        x.7.x: it does not want this now (greylisting, a rate limit)
///   connection    no verdict at all (code 0)
///   other         the rest
[[nodiscard]] ReplyKind reply_kind(const mail::Reply& reply);

/// As the configuration and the operator call it: "mailbox_full".
[[nodiscard]] std::string_view to_string(ReplyKind kind);

}  // namespace postern::delivery
