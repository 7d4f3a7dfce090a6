// What a store's reply about one recipient says of the mailbox. Pure.
// Source: RFC 3463 sections 3.2 and 3.3, RFC 5321 section 4.2.3.
#pragma once

#include <cstdint>

#include "queue/mail/reply.hpp"

namespace postern::recipients {

enum class Meaning : std::uint8_t {
    taken,
    unknown,  ///< there is no such mailbox, or it takes no mail at all
    full,     ///< it takes nothing now
    nothing,  ///< the reply is about something else: the store's own state, its policy, the sender
};

/// `reply`: to the recipient's own RCPT, or its own after the data.
[[nodiscard]] Meaning meaning_of(const mail::Reply& reply);

}  // namespace postern::recipients
