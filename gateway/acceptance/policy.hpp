// Which recipients this gateway takes mail for: an immutable snapshot, made from the configuration and swapped whole by
// a reload.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "queue/mail/mailbox.hpp"
#include "queue/mail/reply.hpp"
#include "smtp-server/envelope.hpp"

namespace postern::acceptance {

struct Policy {
    std::string hostname;       ///< `by` of Received
    std::string postmaster_at;  ///< the domain of a bare <postmaster> when `hostname` is no domain of ours
    /// The backend that serves an address; nullopt: not ours. Any thread.
    std::function<std::optional<std::string>(const mail::Mailbox&)> backend_of{};
    /// Why mail for a backend is not taken now (451 4.4.1 at RCPT); nullopt: it is. Any thread.
    std::function<std::optional<std::string>(const std::string& backend)> refused_now{};
};

/// A recipient that is taken, as it goes into the queue.
struct Taken {
    mail::Mailbox address;
    std::string backend;
};

/// The answer to RCPT for a backend that takes nothing now; nullopt: it does. What RCPT was answered holds for its
/// message: nobody asks again at the data.
[[nodiscard]] std::optional<mail::Reply> refusal_now(const Policy& policy, const std::string& backend);

/// Where RCPT leads, or 550 5.7.1, which also answers a local part that names another route ("user%elsewhere@ours"). A
/// bare <postmaster> is always taken (RFC 5321 section 4.5.1).
[[nodiscard]] Result<Taken, mail::Reply> take_recipient(const Policy& policy, const smtp_server::RcptCommand& command);

}  // namespace postern::acceptance
