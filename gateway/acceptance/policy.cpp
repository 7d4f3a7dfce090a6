#include "gateway/acceptance/policy.hpp"

namespace postern::acceptance {

namespace {

std::optional<Taken> taken(const Policy& policy, mail::Mailbox address) {
    auto backend = policy.backend_of(address);
    if (!backend) {
        return std::nullopt;
    }
    return Taken{std::move(address), std::move(*backend)};
}

/// Whether a store that still knows source routes of old might send the address on: "user%elsewhere@ours" (RFC 1123
/// section 5.2.16), "elsewhere!user@ours", "\"user@elsewhere\"@ours". A relay probe tries them all, so none is taken,
/// ours or not.
bool routes_onward(const mail::Mailbox& address) {
    return address.unquoted_local_part().find_first_of("%!@") != std::string::npos;
}

}  // namespace

std::optional<mail::Reply> refusal_now(const Policy& policy, const std::string& backend) {
    if (!policy.refused_now || !policy.refused_now(backend)) {
        return std::nullopt;
    }
    // Why is the operator's to know, not the client's.
    return mail::Reply(451, mail::EnhancedStatus(4, 4, 1),
                       "The mailboxes of this domain cannot be reached now; try again later");
}

std::optional<mail::Reply> tls_refusal(const Policy& policy, const smtp_server::MailCommand& mail,
                                       const std::string& backend) {
    if (!mail.require_tls || mail.sender.is_null() || (policy.is_confidential && policy.is_confidential(backend))) {
        return std::nullopt;
    }
    return mail::Reply(550, mail::EnhancedStatus(5, 7, 30), "REQUIRETLS cannot be kept on the way to this mailbox");
}

recipients::HarvestBrake* brake_for(const Policy& policy, const smtp_server::SessionInfo& session) {
    const std::string& client = session.client_address;
    const bool is_spared = session.trusted || client.starts_with("127.") || client == "::1";
    return is_spared ? nullptr : policy.harvest_brake;
}

Result<Taken, mail::Reply> take_recipient(const Policy& policy, const smtp_server::RcptCommand& command,
                                          Client client) {
    if (routes_onward(command.address)) {
        return mail::Reply(550, mail::EnhancedStatus(5, 7, 1),
                           "Relaying denied: no '%', '!' or '@' in a local part here");
    }
    if (auto direct = taken(policy, command.address)) {
        return std::move(*direct);
    }
    if (command.bare_postmaster) {
        auto elsewhere =
            mail::Mailbox::parse(command.address.local_part() + '@' + policy.postmaster_at, mail::Utf8::allowed);
        if (elsewhere) {
            if (auto found = taken(policy, std::move(*elsewhere))) {
                return std::move(*found);
            }
        }
    }
    if (client == Client::trusted && !policy.outgoing.empty()) {
        return Taken{command.address, policy.outgoing};
    }
    return mail::Reply(550, mail::EnhancedStatus(5, 7, 1), "Relaying denied: not a domain of ours");
}

}  // namespace postern::acceptance
