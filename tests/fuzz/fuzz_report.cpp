// make_report: whatever strangers wrote, the report has its three parts and its fields, no more and no others, in lines
// that may be sent.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/bounce/report.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;

namespace {

/// The input, cut at 0xFE.
std::vector<std::string> pieces(std::string_view text) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < 8; ++i) {
        const std::size_t end = i == 7 ? text.size() : text.find('\xfe');
        out.emplace_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : std::min(text.size(), end + 1));
    }
    return out;
}

std::vector<std::string_view> lines_of(std::string_view content) {
    std::vector<std::string_view> lines;
    while (!content.empty()) {
        const std::size_t end = content.find("\r\n");
        POSTERN_EXPECT(end != std::string_view::npos && end <= 998);
        const std::string_view line = content.substr(0, end);
        POSTERN_EXPECT(line.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
        lines.push_back(line);
        content.remove_prefix(end + 2);
    }
    return lines;
}

/// Names of the fields in `lines` from `at` to the blank line or the end; moves `at` behind it.
std::string names(const std::vector<std::string_view>& lines, std::size_t& at, std::size_t end) {
    std::string out;
    for (; at < end && !lines[at].empty(); ++at) {
        if (lines[at].front() == ' ') {
            POSTERN_EXPECT(!out.empty());
            continue;
        }
        const std::size_t colon = lines[at].find(": ");
        POSTERN_EXPECT(colon != std::string_view::npos);
        out += std::string(lines[at].substr(0, colon)) + ' ';
    }
    at = at < end ? at + 1 : end;
    return out;
}

void drop(std::string& list, const std::string& name) {
    const std::size_t at = list.find(name + ' ');
    if (at != std::string::npos) {
        list.erase(at, name.size() + 1);
    }
}

void check(const bounce::Report& report, std::size_t recipients) {
    const auto lines = lines_of(report.content);
    std::size_t at = 0;
    std::string header = names(lines, at, lines.size());
    drop(header, "In-Reply-To");
    drop(header, "References");
    drop(header, "Content-Transfer-Encoding");
    POSTERN_EXPECT(header == "From To Subject Date Message-ID Auto-Submitted MIME-Version Content-Type ");
    const std::string delimiter(lines.at(at));
    POSTERN_EXPECT(delimiter.starts_with("--=_"));
    std::vector<std::size_t> places;
    for (std::size_t i = at; i < lines.size(); ++i) {
        if (lines[i].starts_with(delimiter)) {
            places.push_back(i);
        }
    }
    POSTERN_EXPECT(places.size() == 4 && places.front() == at && places.back() == lines.size() - 1);
    POSTERN_EXPECT(lines.back() == delimiter + "--");
    for (std::size_t part = 0; part < 3; ++part) {
        std::size_t line = places[part] + 1;
        std::string fields = names(lines, line, places[part + 1]);
        drop(fields, "Content-Transfer-Encoding");
        POSTERN_EXPECT(fields == "Content-Description Content-Type ");
        if (part != 1) {
            continue;
        }
        std::string message = names(lines, line, places[2]);
        drop(message, "Original-Envelope-Id");
        drop(message, "Received-From-MTA");
        POSTERN_EXPECT(message == "Reporting-MTA Arrival-Date ");
        for (std::size_t i = 0; i < recipients; ++i) {
            std::string group = names(lines, line, places[2]);
            for (const char* optional : {"Original-Recipient", "Remote-MTA", "Diagnostic-Code", "Will-Retry-Until"}) {
                drop(group, optional);
            }
            POSTERN_EXPECT(group == "Final-Recipient Action Status Last-Attempt-Date Final-Log-ID ");
        }
        POSTERN_EXPECT(line == places[2]);
    }
    bool eight_bit = false;
    for (const char c : report.content) {
        eight_bit = eight_bit || static_cast<std::uint8_t>(c) > 127;
    }
    POSTERN_EXPECT(eight_bit == report.has_8bit);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) {
        return 0;
    }
    const std::uint8_t choice = data[0];
    const std::uint8_t limit = data[1];
    const auto texts = pieces(std::string_view(reinterpret_cast<const char*>(data) + 2, size - 2));
    bounce::ReportOptions options("mx1.example.com",
                                  *mail::Mailbox::parse("postmaster@example.com", mail::Utf8::refused));
    options.header_octets_max = limit * 8U;
    options.message_octets_max = limit * 64U;
    bounce::ReportedMessage message;
    message.envelope.id = queue::MessageId(1);
    const auto sender = mail::Mailbox::parse(texts[0], mail::Utf8::allowed);
    message.envelope.sender =
        mail::ReversePath(sender ? *sender : *mail::Mailbox::parse("ann@sender.example", mail::Utf8::refused));
    message.envelope.smtputf8 = (choice & 1) != 0;
    message.envelope.dsn.ret = (choice & 2) != 0 ? mail::DsnReturn::full : mail::DsnReturn::headers;
    message.envelope.dsn.envid = texts[1];
    message.envelope.client.helo = texts[2];
    message.content = texts[7];
    message.content_is_whole = (choice & 4) != 0;
    std::vector<bounce::ReportedRecipient> recipients;
    for (int i = 0; i < 1 + (choice >> 6); ++i) {
        const auto address = mail::Mailbox::parse(texts[3], mail::Utf8::allowed);
        bounce::ReportedRecipient recipient(address ? *address
                                                    : *mail::Mailbox::parse("bob@example.com", mail::Utf8::refused));
        recipient.dsn.orcpt = texts[4];
        recipient.last_reply = texts[5];
        recipient.remote_mta = texts[6];
        recipient.last_attempt_at = queue::Instant{};
        recipient.will_retry_until = queue::Instant{};
        recipients.push_back(std::move(recipient));
    }
    const auto notice = static_cast<bounce::Notice>((choice >> 3) % 3);
    check(bounce::make_report(notice, message, recipients, queue::MessageId(2), queue::Instant{}, options),
          recipients.size());
    (void)bounce::nature_of(message.content);
    return 0;
}
