// What is queued: a message's envelope and its recipients, each with a fate of its own.
// Plain values, no behaviour; they cross threads by move or as shared constants.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/mail/dsn.hpp"
#include "queue/mail/mailbox.hpp"
#include "queue/mail/reply.hpp"
#include "queue/message_id.hpp"
#include "queue/time.hpp"

namespace postern::queue {

/// BODY= of MAIL (RFC 6152). Stored: never renumber.
enum class BodyType : std::uint8_t { seven_bit = 0, eight_bit_mime = 1 };

/// Who handed the message over, as Received and the operator are told.
struct ClientInfo {
    std::string address;   ///< IP address without port; empty for a Unix socket
    std::string helo;      ///< the HELO, EHLO or LHLO argument, as sent
    std::string rdns;      ///< reverse name, or empty
    std::string protocol;  ///< RFC 3848: "SMTP", "ESMTP", "ESMTPS", "LMTP", "UTF8SMTP", ...
    // For the history alone; not kept with the message.
    std::string session{};  ///< names the client's session in the log
    std::string tls{};      ///< protocol and cipher; empty: in clear
};

/// Who brought a message in, and so how far its sender can be believed. Stored: never renumber.
enum class Origin : std::uint8_t {
    client = 0,   ///< anybody: the sender may be forged
    trusted = 1,  ///< a client of the listener's `trusted` networks, which vouches for its senders
    gateway = 2,  ///< we ourselves: a report
};

struct Envelope {
    MessageId id;
    Instant received_at;
    mail::ReversePath sender;
    BodyType body_type = BodyType::seven_bit;  ///< as declared by the client
    bool has_8bit = false;                     ///< the content holds an octet above 127
    bool smtputf8 = false;                     ///< SMTPUTF8 was given on MAIL (RFC 6531 section 3.4)
    bool require_tls = false;  ///< REQUIRETLS was given on MAIL (RFC 8689): it may not go on unprotected
    mail::DsnMessageOptions dsn;
    ClientInfo client;
    std::uint64_t size = 0;  ///< octets of the content, our Received included
    Origin origin = Origin::client;
    std::optional<MessageId> about;  ///< of a report: the message that it is about
};

/// A recipient's place in its message: RCPT order, from 0. With the message's id it names the recipient for ever.
using Ordinal = std::uint32_t;

/// Stored as these numbers: never renumber.
enum class RecipientState : std::uint8_t {
    ready = 0,      ///< never tried yet, or to be tried at once
    waiting = 1,    ///< deferred; tried again at next_attempt_at
    unknown = 2,    ///< the store's answer never came; tried again at next_attempt_at, perhaps a duplicate
    held = 3,       ///< by the operator, or by us with an alarm; nothing happens until it is released
    parked = 4,     ///< undeliverable (failed or expired), and nobody was told yet
    delivered = 5,  ///< a store took responsibility (2xx)
    removed = 6,    ///< taken out by the operator
    returned = 7,   ///< undeliverable, and whoever is to be told of it has a report in the queue
};
inline constexpr RecipientState last_recipient_state = RecipientState::returned;
[[nodiscard]] std::string_view to_string(RecipientState state);
[[nodiscard]] std::optional<RecipientState> parse_recipient_state(std::string_view text);
/// Nothing more will happen to it: delivered, removed or returned. A message goes when all of its recipients are done.
[[nodiscard]] constexpr bool is_done(RecipientState state) {
    return state == RecipientState::delivered || state == RecipientState::removed || state == RecipientState::returned;
}
/// The scheduler may try it once its time has come.
[[nodiscard]] constexpr bool is_schedulable(RecipientState state) {
    return state == RecipientState::ready || state == RecipientState::waiting || state == RecipientState::unknown;
}

struct Recipient {
    Ordinal ordinal = 0;
    mail::Mailbox address;
    std::string backend;  ///< by routing, at acceptance or at the last attempt; a cache for the index
    mail::DsnRecipientOptions dsn;
    RecipientState state = RecipientState::ready;
    std::uint32_t attempts = 0;  ///< attempts that reached a verdict about this recipient
    std::uint32_t unknowns = 0;  ///< attempts whose answer never came
    Instant next_attempt_at{};   ///< meaningful in ready, waiting and unknown
    std::string last_reply;      ///< "452 4.2.2 Mailbox full", or our own words in parentheses; a stranger's text
    bool failed = false;         ///< with parked and returned: a store refused it for good (else it expired)
    bool delay_told = false;     ///< that it is late was dealt with: its sender has a notice, or is to have none

    explicit Recipient(mail::Mailbox mailbox) : address(std::move(mailbox)) {}
};

/// A message as it leaves the accepting side: committed, with its content at hand when that was small enough.
struct CommittedMessage {
    Envelope envelope;
    std::vector<Recipient> recipients;
    /// The whole content, or nullptr when it must be read from the store.
    std::shared_ptr<const std::string> content;
};

}  // namespace postern::queue
