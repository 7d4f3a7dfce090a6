// Makes the message that tells a sender what became of a mail: a delivery status notification.
//
// A report is a multipart/report of three parts: words for a person, fields for a program, and the message or its
// header. What strangers wrote (replies of stores, ENVID, ORCPT, the message itself) cannot add a line, a field or a
// part. The same facts give the same octets: time and id come in.
//
// Source: RFC 3461 section 6, RFC 3464, RFC 6522, RFC 6533 (UTF-8 addresses), RFC 3834 section 3 (the header's fields).
// Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/bounce/notify.hpp"
#include "queue/mail/dsn.hpp"
#include "queue/mail/enhanced_status.hpp"
#include "queue/mail/mailbox.hpp"
#include "queue/message.hpp"
#include "queue/message_id.hpp"
#include "queue/time.hpp"

namespace postern::bounce {

/// One recipient of the message that the report is about.
struct ReportedRecipient {
    mail::Mailbox address;
    mail::DsnRecipientOptions dsn;
    /// As queue::Recipient keeps it: "550 5.1.1 No such user" is a store's reply, "(...)" our own words. A stranger's
    /// text. Empty: nobody said anything.
    std::string last_reply;
    /// Overrides the status that the reply tells, for example 5.7.0 for what an operator returned.
    std::optional<mail::EnhancedStatus> status;
    bool expired = false;    ///< with Notice::failed: given up after too long, not refused
    std::string remote_mta;  ///< host name or address literal of who replied; left out when empty or not one
    std::optional<queue::Instant> last_attempt_at;
    std::optional<queue::Instant> will_retry_until;  ///< with Notice::delayed

    explicit ReportedRecipient(mail::Mailbox mailbox) : address(std::move(mailbox)) {}
};

/// The message that the report is about. `envelope.sender` is not null.
struct ReportedMessage {
    queue::Envelope envelope;
    /// The content from its beginning: all of it, or at least ReportOptions::header_octets_max of it.
    std::string_view content;
    bool content_is_whole = false;
};

struct ReportOptions {
    std::string hostname;                        ///< Reporting-MTA, and the right half of the Message-ID
    mail::Mailbox from;                          ///< `bounces.from`; ASCII
    std::size_t header_octets_max = 32 * 1024;   ///< what of the header is returned at most
    std::size_t message_octets_max = 64 * 1024;  ///< a larger message is not returned whole, whatever RET says

    ReportOptions(std::string name, mail::Mailbox mailbox) : hostname(std::move(name)), from(std::move(mailbox)) {}
};

/// To be queued with the null sender for the sender of the message that it is about.
struct Report {
    std::string content;
    bool has_8bit = false;  ///< needs BODY=8BITMIME
    bool smtputf8 = false;  ///< needs SMTPUTF8: the address that it goes to is not ASCII
};

/// One report for all of `recipients` (at least one), of which the same is to be said. `id` and `at` are those of the
/// report itself.
[[nodiscard]] Report make_report(Notice notice, const ReportedMessage& message,
                                 const std::vector<ReportedRecipient>& recipients, queue::MessageId id,
                                 queue::Instant at, const ReportOptions& options);

/// The status that a report gives for a recipient: its own, that of the reply, or the general one of the notice. Its
/// class always fits the notice (RFC 3464 section 2.3.4): 2 for relayed, 4 for delayed, 5 or 4.4.7 for failed.
[[nodiscard]] mail::EnhancedStatus status_of(Notice notice, const ReportedRecipient& recipient);

}  // namespace postern::bounce
