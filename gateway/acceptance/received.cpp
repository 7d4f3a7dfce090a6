#include "gateway/acceptance/received.hpp"

#include <fmt/format.h>

#include <array>

namespace postern::acceptance {

namespace {

/// "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3); empty for a Unix socket.
std::string address_literal(const std::string& ip) {
    if (ip.empty()) {
        return {};
    }
    return (ip.find(':') == std::string::npos ? "[" : "[IPv6:") + ip + "]";
}

/// "Fri, 21 Aug 2026 10:11:12 +0000" (RFC 5322 section 3.3), without a locale.
std::string date_time(queue::Instant at) {
    static constexpr std::array<const char*, 7> days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array<const char*, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto day = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(at - day));
    return fmt::format("{}, {} {} {} {:02}:{:02}:{:02} +0000", days.at(std::chrono::weekday(day).c_encoding()),
                       static_cast<unsigned>(date.day()), months.at(static_cast<unsigned>(date.month()) - 1),
                       static_cast<int>(date.year()), time.hours().count(), time.minutes().count(),
                       time.seconds().count());
}

}  // namespace

std::string protocol_word(const smtp_server::SessionInfo& session, bool smtputf8) {
    std::string word = smtputf8 ? "UTF8" : "";
    if (session.protocol == smtp_server::Protocol::lmtp) {
        word += "LMTP";
    } else {
        word += session.extended && !smtputf8 ? "ESMTP" : "SMTP";  // UTF8SMTP is extended by itself
    }
    if (!session.tls.empty()) {
        word += 'S';
    }
    return word;
}

std::string received_field(const smtp_server::SessionInfo& session, const ReceivedFacts& facts) {
    const std::string literal = address_literal(session.client_address);
    const bool named = mail::is_domain(session.helo, mail::Utf8::refused);
    std::string field = "Received: from ";
    field += named ? session.helo : literal.empty() ? "localhost" : literal;
    if (!literal.empty()) {
        field += " (" + (session.client_name.empty() ? std::string() : session.client_name + ' ') + literal + ')';
    }
    field += "\r\n\tby " + std::string(facts.hostname) + " with " + protocol_word(session, facts.smtputf8) + " id " +
             facts.id.to_string();
    if (!session.tls.empty()) {
        field += " (" + session.tls + ')';
    }
    if (facts.only_recipient != nullptr) {
        field += "\r\n\tfor <" + facts.only_recipient->to_string() + '>';
    }
    return field + ";\r\n\t" + date_time(facts.at) + "\r\n";
}

}  // namespace postern::acceptance
