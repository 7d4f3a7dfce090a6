#include "gateway/acceptance/abilities.hpp"

namespace postern::acceptance {

using mail::EnhancedStatus;
using mail::Reply;
using recipients::Abilities;

namespace {

std::optional<Abilities> abilities_of(const Policy& policy, const std::string& backend) {
    return policy.abilities_of ? policy.abilities_of(backend) : std::nullopt;
}

bool is_ascii(const mail::ReversePath& sender) { return !sender.mailbox() || sender.mailbox()->is_ascii(); }

std::optional<Reply> too_large(const Abilities& store, std::uint64_t size) {
    if (store.size_max == 0 || size <= store.size_max) {
        return std::nullopt;
    }
    return Reply(552, EnhancedStatus(5, 3, 4),
                 "The mailbox store takes at most " + std::to_string(store.size_max) + " octets");
}

std::optional<Reply> not_its_letters(const Abilities& store, const mail::ReversePath& sender,
                                     const mail::Mailbox& recipient) {
    if (store.smtputf8) {
        return std::nullopt;
    }
    if (!recipient.is_ascii()) {
        return Reply(553, EnhancedStatus(5, 6, 7), "The mailbox store does not take UTF-8 addresses");
    }
    if (!is_ascii(sender)) {
        return Reply(550, EnhancedStatus(5, 6, 7), "The mailbox store does not take SMTPUTF8");
    }
    return std::nullopt;
}

std::optional<Reply> not_its_content(const Abilities& store, const queue::Envelope& envelope) {
    if (envelope.has_8bit && envelope.smtputf8 && !store.smtputf8) {
        return Reply(550, EnhancedStatus(5, 6, 7), "The mailbox store does not take SMTPUTF8");
    }
    if (envelope.has_8bit && !store.eight_bit_mime) {
        return Reply(554, EnhancedStatus(5, 6, 3), "The mailbox store does not take 8-bit content");
    }
    return too_large(store, envelope.size);
}

}  // namespace

std::optional<Reply> unable_to_take(const Policy& policy, const smtp_server::MailCommand& mail,
                                    const Taken& recipient) {
    const bool is_plain = mail.size == 0 && is_ascii(mail.sender) && recipient.address.is_ascii();
    if (is_plain) {
        return std::nullopt;
    }
    const auto store = abilities_of(policy, recipient.backend);
    if (!store) {
        return std::nullopt;
    }
    auto refusal = not_its_letters(*store, mail.sender, recipient.address);
    return refusal ? refusal : too_large(*store, mail.size);
}

std::optional<Reply> unable_to_take(const Policy& policy, const queue::Envelope& envelope,
                                    const std::vector<queue::Recipient>& recipients) {
    std::optional<Reply> refusal;
    const std::string* known = nullptr;  // nearly always all are of one backend
    for (const queue::Recipient& recipient : recipients) {
        if (known != nullptr && *known == recipient.backend) {
            continue;
        }
        const auto store = abilities_of(policy, recipient.backend);
        auto why = store ? not_its_content(*store, envelope) : std::nullopt;
        if (!why) {
            return std::nullopt;
        }
        refusal = std::move(why);
        known = &recipient.backend;
    }
    return refusal;
}

}  // namespace postern::acceptance
