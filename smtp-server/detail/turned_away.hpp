// What a client hears that is not let in, and which limits it would have been spared.
#pragma once

#include "queue/mail/reply.hpp"
#include "smtp-server/detail/client_table.hpp"
#include "smtp-server/hooks.hpp"

namespace postern::smtp_server::detail {

/// Who is on this machine is not counted by the minute: behind one address there may be all users of a webmail, or a
/// balancer that names nobody.
[[nodiscard]] inline ClientTable::Standing standing_of(const SessionInfo& info) {
    return {info.trusted, info.trusted || info.client_address.empty() || is_loopback(info.client_address)};
}

/// Not for `admitted`.
[[nodiscard]] inline mail::Reply turned_away_reply(ClientTable::Verdict verdict) {
    using Verdict = ClientTable::Verdict;
    if (verdict == Verdict::too_many) {
        return {421, mail::EnhancedStatus(4, 3, 2), "Too many connections; try again later"};
    }
    if (verdict == Verdict::too_many_from_client) {
        return {421, mail::EnhancedStatus(4, 7, 0), "Too many connections from your address"};
    }
    if (verdict == Verdict::too_fast) {
        return {421, mail::EnhancedStatus(4, 7, 0), "Too many connections from your address in a minute"};
    }
    return {421, mail::EnhancedStatus(4, 7, 0), "Too many errors from your address; try again later"};
}

}  // namespace postern::smtp_server::detail
