// Which recipients this gateway takes mail for: an immutable snapshot, made from the configuration and swapped whole by
// a reload.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/recipients/ability_board.hpp"
#include "gateway/recipients/check.hpp"
#include "gateway/recipients/harvest_brake.hpp"
#include "queue/mail/mailbox.hpp"
#include "queue/mail/reply.hpp"
#include "smtp-server/envelope.hpp"
#include "smtp-server/hooks.hpp"

namespace postern::acceptance {

struct Policy {
    std::string hostname;       ///< `by` of Received
    std::string postmaster_at;  ///< the domain of a bare <postmaster> when `hostname` is no domain of ours
    /// The backend that serves an address; nullopt: not ours. Any thread.
    std::function<std::optional<std::string>(const mail::Mailbox&)> backend_of{};
    /// The backend of what trusted clients send to domains of others; empty: there is no way out for it.
    std::string outgoing{};
    /// Why mail for a backend is not taken now (451 4.4.1 at RCPT); nullopt: it is. Any thread.
    std::function<std::optional<std::string>(const std::string& backend)> refused_now{};
    /// How it is known whether there is such a recipient; nullptr: whoever is named is taken. Any thread.
    std::function<std::shared_ptr<recipients::Check>(const mail::Mailbox&)> check_of{};
    /// What a backend can be given at all; nullopt: not known. Any thread.
    std::function<std::optional<recipients::Abilities>(const std::string& backend)> abilities_of{};
    recipients::HarvestBrake* harvest_brake = nullptr;  ///< outlives the policy; nullptr: none
    /// Whether nobody else can read what goes to a backend, so that it may have mail with REQUIRETLS. Any thread.
    std::function<bool(const std::string& backend)> is_confidential{};
};

/// A recipient that is taken, as it goes into the queue.
struct Taken {
    mail::Mailbox address;
    std::string backend;
};

/// The answer to RCPT for a backend that takes nothing now; nullopt: it does. What RCPT was answered holds for its
/// message: nobody asks again at the data.
[[nodiscard]] std::optional<mail::Reply> refusal_now(const Policy& policy, const std::string& backend);

/// The answer to RCPT of a message with REQUIRETLS (RFC 8689) for a backend to which it could not be sent on; nullopt:
/// it can. Reports are taken all the same.
[[nodiscard]] std::optional<mail::Reply> tls_refusal(const Policy& policy, const smtp_server::MailCommand& mail,
                                                     const std::string& backend);

enum class Client : std::uint8_t { anybody, trusted };

/// The brake that counts this client's unknown recipients; nullptr: none, as with what is counted by the minute, for
/// who is trusted and for this machine.
[[nodiscard]] recipients::HarvestBrake* brake_for(const Policy& policy, const smtp_server::SessionInfo& session);

/// Where RCPT leads, or 550 5.7.1, which also answers a local part that names another route ("user%elsewhere@ours"). A
/// bare <postmaster> is always taken (RFC 5321 section 4.5.1).
[[nodiscard]] Result<Taken, mail::Reply> take_recipient(const Policy& policy, const smtp_server::RcptCommand& command,
                                                        Client client = Client::anybody);

}  // namespace postern::acceptance
