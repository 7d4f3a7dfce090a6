// One mail transaction with a store, or with another mail server: what is to be sent, and what became of each
// recipient.
//
// Source: RFC 2033 sections 4.2 and 5, RFC 5321 section 3.3. The rule that everything here serves: a recipient's fate
// is a reply that belongs to its own slot, and nothing else (shared slots, early replies, other commands' replies never
// count).
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "queue/mail/dsn.hpp"
#include "queue/mail/mailbox.hpp"
#include "queue/mail/reply.hpp"
#include "queue/mail/result.hpp"

namespace postern::lmtp_client {

/// What is spoken to an endpoint. They differ in the greeting (LHLO; EHLO, or else HELO) and in what is answered after
/// the data: LMTP has a reply for each accepted recipient (RFC 2033 section 4.2), SMTP one for all of them.
enum class Protocol : std::uint8_t { lmtp, smtp };

/// Where a store, or with Protocol::smtp another mail server, listens: TCP or a Unix socket. Parsed from
/// "127.0.0.1:24", "[::1]:24", "store.example:24", "unix:/path", each of them with "smtp://" before it for SMTP.
struct Endpoint {
    std::string host;  ///< empty for a Unix socket
    std::uint16_t port = 0;
    std::string unix_path;  ///< empty for TCP
    Protocol protocol = Protocol::lmtp;

    [[nodiscard]] std::string to_string() const;
    /// On this machine: a Unix socket, or an address (not a name) of the loopback.
    [[nodiscard]] bool is_local() const;
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// Reads one of the forms above; the port is needed. nullopt: not one of them.
[[nodiscard]] std::optional<Endpoint> parse_endpoint(std::string_view text);

/// One recipient of a transaction: its place in `Transaction::recipients` is its slot.
struct TransactionRecipient {
    mail::Mailbox address;
    mail::DsnRecipientOptions dsn;  ///< passed on when the store offers DSN
};

/// What a ContentSource gives. A string converts to both of its halves, so make it with one of the two functions.
using ContentPart = Result<std::string_view, std::string>;
[[nodiscard]] inline ContentPart content_part(std::string_view bytes) {
    return ContentPart(boost::system::in_place_value, bytes);
}
[[nodiscard]] inline ContentPart content_failure(std::string why) {
    return ContentPart(boost::system::in_place_error, std::move(why));
}

/// The content, part by part. A transaction reads it at most once; a new one comes for each attempt.
class ContentSource {
public:
    virtual ~ContentSource() = default;
    /// The next part; empty at the end. An error means: the content cannot be read (or is damaged); the transaction is
    /// given up without completing it at the store. The view is valid until the next call.
    virtual boost::asio::awaitable<ContentPart> next() = 0;
};

struct Transaction {
    mail::ReversePath sender;
    std::vector<TransactionRecipient> recipients;  ///< at least one
    std::uint64_t size = 0;                        ///< octets of the content
    bool body_8bit = false;                        ///< the content has octets above 127
    bool smtputf8 = false;                         ///< envelope or header need SMTPUTF8
    bool require_tls = false;                      ///< REQUIRETLS (RFC 8689): see Dialogue for what that asks of whom
    mail::DsnMessageOptions dsn;
    std::shared_ptr<ContentSource> content;
};

/// What became of one recipient.
enum class Fate : std::uint8_t {
    replied,    ///< the store gave a reply for this slot: success, transient or permanent, by its class
    unable,     ///< the store cannot take it (SMTPUTF8, 8BITMIME, size): our own permanent reply
    not_tried,  ///< nothing was asked about it, or its answer cannot count, and the content was surely not completed:
                ///< charge nobody
    unknown,    ///< the content may have been taken, and its reply never came: perhaps delivered
};

struct Outcome {
    Fate fate = Fate::not_tried;
    mail::Reply reply;           ///< with replied and unable
    bool of_its_own = false;     ///< with replied: to its own RCPT, or its own after the data; not one that was for all
    bool dsn_passed_on = false;  ///< the store knows DSN, and so reports a success itself when it is to be reported
    std::string peer{};          ///< who said it, when that is not the endpoint: "mx1.example.com[192.0.2.1]:25"
};

/// What a store said of itself in its answer to LHLO (EHLO), as far as it decides what it can be given at all.
struct Abilities {
    bool smtputf8 = false;        ///< RFC 6531
    bool eight_bit_mime = false;  ///< RFC 6152
    std::uint64_t size_max = 0;   ///< RFC 1870; 0: it named no limit

    friend bool operator==(const Abilities&, const Abilities&) = default;
};

/// Whose fault a transaction that did not run to its end was.
enum class Trouble : std::uint8_t {
    none,
    connect,        ///< no connection, or a timeout before the greeting
    greeting,       ///< not a 220, LHLO refused, or it wants TLS or a login: the endpoint's fault
    shutting_down,  ///< 421, at any point
    broken,         ///< closed, reset or timed out in the middle
    protocol,       ///< a reply that is none, that comes unasked, too many or too few: out of step
    content,        ///< our own content could not be read
};

struct TransactionEnd {
    Trouble trouble = Trouble::none;
    std::string detail;  ///< for log and operator: "connection refused", "421 4.3.2 going down", ... A stranger's text.
    bool reused = false;                 ///< ran on a connection that had served before
    std::optional<Abilities> abilities;  ///< as told on this connection; nullopt: it never came so far
    /// What was said, when somebody was refused, deferred or left in doubt, or with trouble; else empty. A line for
    /// each line, with the time since the beginning; of the content its size alone. At most some 24 KiB of a stranger's
    /// text.
    std::string transcript;
    /// Keeps the connection from taking its next transaction. Let go of it once the outcomes are recorded, so that a
    /// power cut repeats few deliveries; the connection then goes back to the pool, or is closed when the dialogue
    /// broke.
    std::shared_ptr<void> lease;
};

/// Told of each recipient's fate as it becomes known, once for each slot, before run() returns.
class OutcomeSink {
public:
    virtual ~OutcomeSink() = default;
    /// The transaction is tried on a connection: once, or again on another. `tls`: protocol
    /// and cipher of its session; empty: in clear.
    virtual void begins(const std::string& tls) { static_cast<void>(tls); }
    virtual void outcome(std::size_t slot, Outcome outcome) = 0;
};

}  // namespace postern::lmtp_client
