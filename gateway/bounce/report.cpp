#include "gateway/bounce/report.hpp"

#include <algorithm>
#include <charconv>

#include "gateway/bounce/detail/advice.hpp"
#include "gateway/bounce/detail/returned.hpp"
#include "gateway/bounce/detail/status_part.hpp"
#include "gateway/bounce/detail/text.hpp"
#include "queue/time.hpp"

namespace postern::bounce {

using mail::EnhancedStatus;

namespace {

using detail::append_field;
using detail::append_paragraph;
using detail::Charset;
using detail::cleaned;
using detail::Part;

/// More are only in the part for programs.
constexpr std::size_t recipients_in_words_max = 50;

struct ReplyCodes {
    unsigned code = 0;  ///< 0: not a reply
    std::optional<EnhancedStatus> status;
};

/// The codes that a reply kept as text begins with: "550 5.1.1 ...".
ReplyCodes codes_of(std::string_view reply) {
    ReplyCodes codes;
    unsigned code = 0;
    const auto [end, error] =
        std::from_chars(reply.data(), reply.data() + std::min<std::size_t>(reply.size(), 3), code);
    if (error != std::errc() || end != reply.data() + 3 || (reply.size() > 3 && reply[3] != ' ')) {
        return codes;
    }
    codes.code = code;
    reply.remove_prefix(std::min<std::size_t>(reply.size(), 4));
    codes.status = EnhancedStatus::parse(reply.substr(0, reply.find(' ')));
    if (codes.status && codes.status->class_ != code / 100) {
        codes.status.reset();  // the digits contradict each other: only the code counts (RFC 2034 section 4)
    }
    return codes;
}

std::string_view subject_of(Notice notice) {
    switch (notice) {
        case Notice::delayed:
            return "Your message is delayed";
        case Notice::relayed:
            return "Your message was handed on";
        case Notice::failed:
            break;
    }
    return "Your message could not be delivered";
}

std::string_view opening_of(Notice notice, bool several) {
    switch (notice) {
        case Notice::delayed:
            return several ? "Your message could not be delivered to the following recipients yet. It is still being "
                             "tried; you "
                             "need not send it again."
                           : "Your message could not be delivered to the following recipient yet. It is still being "
                             "tried; you "
                             "need not send it again.";
        case Notice::relayed:
            return several ? "Your message was handed on for the following recipients. No further report will tell you "
                             "that it "
                             "was put into their mailboxes."
                           : "Your message was handed on for the following recipient. No further report will tell you "
                             "that it was "
                             "put into the mailbox.";
        case Notice::failed:
            break;
    }
    return several ? "Your message could not be delivered to the following recipients, and will not be tried again."
                   : "Your message could not be delivered to the following recipient, and will not be tried again.";
}

void append_recipient(std::string& out, Notice notice, const ReportedRecipient& recipient) {
    out += "\r\n";
    append_paragraph(out, '<' + cleaned(recipient.address.to_string(), Charset::utf8) + '>', "  ");
    if (notice == Notice::failed) {
        const detail::Advice advice = detail::advice_for(status_of(notice, recipient));
        append_paragraph(out, advice.meaning, "    ");
        append_paragraph(out, advice.action, "    ");
    }
    const std::string reply = cleaned(recipient.last_reply, Charset::utf8);
    if (!reply.empty()) {
        append_paragraph(out, (reply.front() == '(' ? "What happened: " : "The system's own words: ") + reply, "    ");
    }
    if (notice == Notice::delayed && recipient.will_retry_until) {
        append_paragraph(out, "It is tried until " + queue::to_rfc5322(*recipient.will_retry_until) + '.', "    ");
    }
}

Part words_part(Notice notice, const ReportedMessage& message, const std::vector<ReportedRecipient>& recipients,
                const ReportOptions& options) {
    std::string body;
    append_paragraph(body, "This is the mail system at " + options.hostname + '.');
    body += "\r\n";
    append_paragraph(body, opening_of(notice, recipients.size() > 1));
    for (std::size_t i = 0; i < std::min(recipients.size(), recipients_in_words_max); ++i) {
        append_recipient(body, notice, recipients[i]);
    }
    if (recipients.size() > recipients_in_words_max) {
        body += "\r\n";
        append_paragraph(body, "And " + std::to_string(recipients.size() - recipients_in_words_max) +
                                   " more, which the next part of this message lists.");
    }
    body += "\r\n";
    append_paragraph(body, "If you need help, forward this whole message to <" + options.from.to_string() +
                               ">. Your message was known here as " + message.envelope.id.to_string() + '.');
    Part part;
    part.fields = "Content-Description: What happened\r\n";
    if (detail::is_ascii(body)) {
        part.fields += "Content-Type: text/plain; charset=us-ascii\r\n";
        part.body = std::move(body);
    } else {
        part.fields += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n";
        part.body = detail::quoted_printable(body);
    }
    return part;
}

/// RFC 3461 section 4.3: RET speaks of failures only; other reports return the header. So do all of a message with
/// REQUIRETLS (RFC 8689 section 5).
Part returned_part(Notice notice, const ReportedMessage& message, const ReportOptions& options) {
    const bool utf8 = message.envelope.smtputf8;
    const bool whole = notice == Notice::failed && message.envelope.dsn.ret == mail::DsnReturn::full &&
                       !message.envelope.require_tls && message.content_is_whole &&
                       message.content.size() <= options.message_octets_max &&
                       detail::can_return(message.content, utf8);
    if (whole) {
        return detail::returned_message(message.content);
    }
    const std::string_view header = detail::header_of(message.content);
    std::size_t octets_max = options.header_octets_max;
    if (!message.content_is_whole && header.size() == message.content.size() && !header.empty()) {
        octets_max = std::min(octets_max, header.size() - 1);  // the last field may go on where the content was cut
    }
    return detail::returned_header(header, octets_max, utf8);
}

/// A line that no part contains anywhere.
std::string boundary_for(const std::vector<Part>& parts, queue::MessageId id) {
    for (unsigned number = 0;; ++number) {
        std::string boundary = "=_" + id.to_string() + '.' + std::to_string(number);
        const bool is_free = std::none_of(parts.begin(), parts.end(), [&boundary](const Part& part) {
            return part.body.find("--" + boundary) != std::string::npos;
        });
        if (is_free) {
            return boundary;
        }
    }
}

}  // namespace

EnhancedStatus status_of(Notice notice, const ReportedRecipient& recipient) {
    const ReplyCodes codes = codes_of(recipient.last_reply);
    std::optional<EnhancedStatus> status = recipient.status ? recipient.status : codes.status;
    switch (notice) {
        case Notice::failed:
            if (recipient.expired) {
                return {4, 4, 7};  // what it waited for stands in Diagnostic-Code
            }
            return status && status->class_ == 5 ? *status : EnhancedStatus(5, 0, 0);
        case Notice::delayed:
            return status && status->class_ == 4 ? *status
                   : codes.code == 0             ? EnhancedStatus(4, 4, 1)
                                                 : EnhancedStatus(4, 0, 0);
        case Notice::relayed:
            return status && status->class_ == 2 ? *status : EnhancedStatus(2, 0, 0);
    }
    return {5, 0, 0};
}

Report make_report(Notice notice, const ReportedMessage& message, const std::vector<ReportedRecipient>& recipients,
                   queue::MessageId id, queue::Instant at, const ReportOptions& options) {
    std::vector<Part> parts;
    parts.push_back(words_part(notice, message, recipients, options));
    parts.push_back(detail::status_part(notice, message, recipients, options));
    parts.push_back(returned_part(notice, message, options));
    const std::string boundary = boundary_for(parts, id);

    Report report;
    std::string& out = report.content;
    const std::string sender = message.envelope.sender.to_string();
    report.smtputf8 = !detail::is_ascii(sender);
    append_field(out, "From", "Mail Delivery System <" + options.from.to_string() + '>');
    append_field(out, "To", '<' + sender + '>');
    append_field(out, "Subject", subject_of(notice));
    append_field(out, "Date", queue::to_rfc5322(at));
    append_field(out, "Message-ID", '<' + id.to_string() + '@' + options.hostname + '>');
    const std::string about = detail::message_id_of(detail::header_of(message.content));
    if (!about.empty()) {
        append_field(out, "In-Reply-To", about);
        append_field(out, "References", about);
    }
    append_field(out, "Auto-Submitted", "auto-replied");
    append_field(out, "MIME-Version", "1.0");
    const bool eight_bit =
        std::any_of(parts.begin(), parts.end(), [](const Part& part) { return !detail::is_ascii(part.body); });
    // The subtype of the second part (RFC 6522 section 2).
    out += "Content-Type: multipart/report; report-type=";
    out += parts[1].fields.find("global-delivery-status") != std::string::npos ? "global-delivery-status"
                                                                               : "delivery-status";
    out += ";\r\n boundary=\"" + boundary + "\"\r\n";
    if (eight_bit) {
        append_field(out, "Content-Transfer-Encoding", "8bit");
    }
    out += "\r\n";
    for (const Part& part : parts) {
        out += "--" + boundary + "\r\n" + part.fields + "\r\n" + part.body + "\r\n";
    }
    out += "--" + boundary + "--\r\n";
    report.has_8bit = eight_bit || report.smtputf8;
    return report;
}

}  // namespace postern::bounce
