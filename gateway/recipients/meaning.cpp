#include "gateway/recipients/meaning.hpp"

namespace postern::recipients {

namespace {

constexpr std::uint16_t about_addresses = 1;
constexpr std::uint16_t about_mailboxes = 2;
constexpr std::uint16_t disabled = 1;
constexpr std::uint16_t full = 2;
constexpr std::uint16_t senders_syntax = 7;
constexpr std::uint16_t senders_system = 8;

/// An old store that gives no enhanced code; 554 could be anything.
Meaning by_code(std::uint16_t code) {
    switch (code) {
        case 550:
        case 551:
        case 553:
            return Meaning::unknown;
        case 452:
        case 552:
            return Meaning::full;
        default:
            return Meaning::nothing;
    }
}

}  // namespace

Meaning meaning_of(const mail::Reply& reply) {
    if (reply.is_success()) {
        return Meaning::taken;
    }
    if (!reply.is_permanent() && !reply.is_transient()) {
        return Meaning::nothing;
    }
    const auto& status = reply.status();
    if (!status) {
        return by_code(reply.code());
    }
    if (status->subject == about_mailboxes && status->detail == full) {
        return Meaning::full;
    }
    if (reply.is_transient()) {
        return Meaning::nothing;
    }
    const bool is_address =
        status->subject == about_addresses && status->detail != senders_syntax && status->detail != senders_system;
    const bool is_disabled = status->subject == about_mailboxes && status->detail == disabled;
    return is_address || is_disabled ? Meaning::unknown : Meaning::nothing;
}

}  // namespace postern::recipients
