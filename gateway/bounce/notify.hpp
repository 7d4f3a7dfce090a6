// Who is told of what became of a message, and who is not: the rules against backscatter and loops in one place.
//
// Source: RFC 3461 sections 5.2.4 to 5.2.7 (NOTIFY), RFC 5321 sections 4.5.5 and 6.1 (never to the null sender), RFC
// 3834 section 2 (no answer to an automatic answer). Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "queue/mail/dsn.hpp"
#include "queue/mail/mailbox.hpp"
#include "queue/reporter.hpp"

namespace postern::bounce {

/// What a report would say of its recipients.
using queue::Notice;

/// `bounces.send`: which senders may be written to.
enum class SendPolicy : std::uint8_t {
    always,
    verified,  ///< only a sender that somebody vouches for
    never,
};

/// What a message says of itself in its header.
enum class Nature : std::uint8_t {
    ordinary,
    automatic,  ///< a report (multipart/report), or an automatic answer (Auto-Submitted: auto-replied)
};

/// What must be known of a message to decide. A mail sent by a program (Auto-Submitted: auto-generated) is ordinary:
/// its sender named a return path because it wants to hear of failures (RFC 3834 section 2 speaks of answers to
/// answers).
struct Sender {
    bool is_null = false;      ///< MAIL FROM:<>
    bool is_verified = false;  ///< somebody vouches that the return path is not forged
    Nature nature = Nature::ordinary;
};

using Ruling = queue::Reporter::Ruling;

/// Why, in words for the history and the operator; static text.
struct Decision {
    Ruling ruling = Ruling::silence;
    std::string_view why;
};

/// `notify` is the recipient's NOTIFY=. Only a failure is ever parked: that nobody heard of a delay or a success loses
/// nothing.
[[nodiscard]] Decision decide(Notice notice, mail::DsnNotify notify, const Sender& sender, SendPolicy policy);

/// Reads what a message is from its content, or from its first octets: nothing behind the header is looked at.
[[nodiscard]] Nature nature_of(std::string_view content);

}  // namespace postern::bounce
