#include "gateway/acceptance/received.hpp"

namespace postern::acceptance {

namespace {

/// "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3); empty for a Unix socket.
std::string address_literal(const std::string& ip) {
    if (ip.empty()) {
        return {};
    }
    return (ip.find(':') == std::string::npos ? "[" : "[IPv6:") + ip + "]";
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
    return field + ";\r\n\t" + queue::to_rfc5322(facts.at) + "\r\n";
}

}  // namespace postern::acceptance
