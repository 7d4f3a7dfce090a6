#include "gateway/bounce/detail/status_part.hpp"

#include <algorithm>
#include <cstdint>

#include "gateway/bounce/detail/text.hpp"
#include "queue/mail/utf8.hpp"
#include "queue/time.hpp"

namespace postern::bounce::detail {

namespace {

void append_utf8(std::string& out, std::uint32_t value) {
    const auto add = [&out](std::uint32_t octet) { out += static_cast<char>(static_cast<std::uint8_t>(octet)); };
    if (value < 0x80) {
        add(value);
    } else if (value < 0x800) {
        add(0xC0 | value >> 6);
        add(0x80 | (value & 0x3F));
    } else if (value < 0x10000) {
        add(0xE0 | value >> 12);
        add(0x80 | (value >> 6 & 0x3F));
        add(0x80 | (value & 0x3F));
    } else {
        add(0xF0 | value >> 18);
        add(0x80 | (value >> 12 & 0x3F));
        add(0x80 | (value >> 6 & 0x3F));
        add(0x80 | (value & 0x3F));
    }
}

/// "\x{FC}" into the character (RFC 6533 section 3). What is no such form stays, and cleaned() deals with what is no
/// character.
std::string decode_embedded(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        std::uint32_t value = 0;
        std::size_t digits = 0;
        if (text.starts_with("\\x{")) {
            for (digits = 0; digits < 6 && digits + 3 < text.size(); ++digits) {
                const std::size_t digit = std::string_view("0123456789ABCDEF").find(text[3 + digits]);
                if (digit == std::string_view::npos) {
                    break;
                }
                value = value * 16 + static_cast<std::uint32_t>(digit);
            }
        }
        if (digits > 0 && text.substr(3 + digits, 1) == "}" && value <= 0x10FFFF) {
            append_utf8(out, value);
            text.remove_prefix(digits + 4);
        } else {
            out += text.front();
            text.remove_prefix(1);
        }
    }
    return out;
}

bool is_atom(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
    });
}

/// A store's reply, "550 ...": SMTP's three digits. Anything else is in our own words.
bool is_reply(std::string_view text) {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return text.size() >= 3 && text[0] >= '2' && text[0] <= '5' && is_digit(text[1]) && is_digit(text[2]) &&
           (text.size() == 3 || text[3] == ' ');
}

void append_recipient(std::string& out, Notice notice, const ReportedMessage& message,
                      const ReportedRecipient& recipient, bool global) {
    const Charset charset = global ? Charset::utf8 : Charset::ascii;
    const std::string original = original_recipient(recipient.dsn.orcpt, global);
    if (!original.empty()) {
        append_field(out, "Original-Recipient", original);
    }
    const std::string address = recipient.address.to_string();
    append_field(out, "Final-Recipient", (is_ascii(address) ? "rfc822; " : "utf-8; ") + cleaned(address, charset));
    append_field(out, "Action", queue::to_action(notice));
    append_field(out, "Status", status_of(notice, recipient).to_string());
    if (mail::is_domain(recipient.remote_mta, mail::Utf8::refused)) {
        append_field(out, "Remote-MTA", "dns; " + recipient.remote_mta);
    }
    const std::string diagnostic = cleaned(recipient.last_reply, charset);
    if (!diagnostic.empty()) {
        append_field(out, "Diagnostic-Code", (is_reply(diagnostic) ? "smtp; " : "x-postern; ") + diagnostic);
    }
    if (recipient.last_attempt_at) {
        append_field(out, "Last-Attempt-Date", queue::to_rfc5322(*recipient.last_attempt_at));
    }
    append_field(out, "Final-Log-ID", message.envelope.id.to_string());
    if (notice == Notice::delayed && recipient.will_retry_until) {
        append_field(out, "Will-Retry-Until", queue::to_rfc5322(*recipient.will_retry_until));
    }
}

}  // namespace

std::string original_recipient(std::string_view orcpt, bool global) {
    const std::size_t semicolon = orcpt.find(';');
    if (semicolon == std::string_view::npos || !is_atom(orcpt.substr(0, semicolon))) {
        return {};
    }
    const std::string_view type = orcpt.substr(0, semicolon);
    const std::string_view address = orcpt.substr(semicolon + 1);
    const Charset charset = global ? Charset::utf8 : Charset::ascii;
    // utf-8 has an encoding of its own, in which a part that is not global may keep it (RFC 6533 section 3).
    if (same_word(type, "utf-8")) {
        const std::string decoded = cleaned(decode_embedded(address), charset);
        return decoded.empty() ? std::string() : "utf-8; " + decoded;
    }
    const auto decoded = mail::decode_xtext(address);
    const std::string text = decoded ? cleaned(*decoded, charset) : std::string();
    return text.empty() ? std::string() : std::string(type) + "; " + text;
}

Part status_part(Notice notice, const ReportedMessage& message, const std::vector<ReportedRecipient>& recipients,
                 const ReportOptions& options) {
    const bool global = std::any_of(recipients.begin(), recipients.end(),
                                    [](const ReportedRecipient& recipient) { return !recipient.address.is_ascii(); });
    const queue::Envelope& envelope = message.envelope;
    Part part;
    const std::string envid = cleaned(mail::decode_xtext(envelope.dsn.envid).value_or(std::string()), Charset::ascii);
    if (!envid.empty()) {
        append_field(part.body, "Original-Envelope-Id", envid);
    }
    append_field(part.body, "Reporting-MTA", "dns; " + options.hostname);
    if (mail::is_domain(envelope.client.helo, mail::Utf8::refused)) {
        append_field(part.body, "Received-From-MTA", "dns; " + envelope.client.helo);
    }
    append_field(part.body, "Arrival-Date", queue::to_rfc5322(envelope.received_at));
    for (const ReportedRecipient& recipient : recipients) {
        part.body += "\r\n";
        append_recipient(part.body, notice, message, recipient, global);
    }
    part.fields = "Content-Description: What became of each recipient\r\n";
    part.fields +=
        global ? "Content-Type: message/global-delivery-status\r\n" : "Content-Type: message/delivery-status\r\n";
    if (!is_ascii(part.body)) {
        part.fields += "Content-Transfer-Encoding: 8bit\r\n";
    }
    return part;
}

}  // namespace postern::bounce::detail
