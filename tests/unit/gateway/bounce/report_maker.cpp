// Makes one report from facts given as JSON on standard input, and prints it: for tests that read reports with parsers
// of others. Octets that are not UTF-8 come in as "latin1": true, each character of a string being one octet.
#include <cstdio>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>

#include "gateway/bounce/report.hpp"

using namespace postern;
using nlohmann::json;

namespace {

std::string octets(const json& text, bool latin1) {
    const std::string utf8 = text.get<std::string>();
    if (!latin1) {
        return utf8;
    }
    std::string out;
    for (std::size_t i = 0; i < utf8.size(); ++i) {
        const auto first = static_cast<unsigned char>(utf8[i]);
        out += first < 0x80 ? utf8[i]
                            : static_cast<char>((first & 3) << 6 | (static_cast<unsigned char>(utf8[++i]) & 0x3F));
    }
    return out;
}

mail::Mailbox mailbox(const json& text) { return *mail::Mailbox::parse(text.get<std::string>(), mail::Utf8::allowed); }

}  // namespace

int main() try {
    const json facts = json::parse(std::cin);
    const bool latin1 = facts.value("latin1", false);
    const std::string notice_word = facts.value("notice", "failed");
    const bounce::Notice notice = notice_word == "delayed"   ? bounce::Notice::delayed
                                  : notice_word == "relayed" ? bounce::Notice::relayed
                                                             : bounce::Notice::failed;
    const std::string content = octets(facts.at("content"), latin1);
    bounce::ReportedMessage message;
    message.envelope.id = *queue::MessageId::parse("06pqp3aqm0200");
    message.envelope.received_at = *queue::parse_rfc3339("2026-08-21T10:11:12Z");
    message.envelope.sender = mail::ReversePath(mailbox(facts.at("sender")));
    message.envelope.smtputf8 = facts.value("smtputf8", false);
    message.envelope.dsn.ret = static_cast<mail::DsnReturn>(facts.value("ret", 0));
    message.envelope.dsn.envid = facts.value("envid", "");
    message.envelope.client.helo = facts.value("helo", "");
    message.content = content;
    message.content_is_whole = facts.value("whole", true);
    std::vector<bounce::ReportedRecipient> recipients;
    for (const json& each : facts.at("recipients")) {
        bounce::ReportedRecipient recipient(mailbox(each.at("address")));
        recipient.dsn.orcpt = each.value("orcpt", "");
        recipient.last_reply = octets(each.value("reply", json("")), latin1);
        recipient.remote_mta = each.value("remote", "");
        recipient.expired = each.value("expired", false);
        recipient.last_attempt_at = queue::parse_rfc3339("2026-08-21T11:00:00Z");
        recipient.will_retry_until = queue::parse_rfc3339("2026-08-26T10:11:12Z");
        recipients.push_back(std::move(recipient));
    }
    const bounce::ReportOptions options("mx1.example.com", mailbox("postmaster@example.com"));
    const bounce::Report report =
        bounce::make_report(notice, message, recipients, *queue::MessageId::parse("06pqp3aqm0300"),
                            *queue::parse_rfc3339("2026-08-21T11:00:01Z"), options);
    std::fwrite(report.content.data(), 1, report.content.size(), stdout);
    std::fprintf(stderr, "has_8bit=%d smtputf8=%d\n", report.has_8bit ? 1 : 0, report.smtputf8 ? 1 : 0);
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "report_maker: %s\n", error.what());
    return 1;
}
