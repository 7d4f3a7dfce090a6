// The trace header: its clauses (RFC 5321 section 4.4), its `with` word, and nothing of a stranger's in it that is no
// name.
#include "gateway/acceptance/received.hpp"

#include <gtest/gtest.h>

namespace postern::acceptance {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;

const queue::MessageId id(0x123456789abc);
const queue::Instant noon = sys_days(std::chrono::year(2026) / 8 / 21) + 10h + 11min + 12s;

smtp_server::SessionInfo session() {
    smtp_server::SessionInfo info;
    info.client_address = "192.0.2.1";
    info.helo = "mail.example.org";
    info.extended = true;
    return info;
}

ReceivedFacts facts() { return ReceivedFacts{"mx.example.com", id, noon, false, nullptr}; }

TEST(Received, NamesClientHostProtocolIdAndTime) {
    EXPECT_EQ(received_field(session(), facts()),
              "Received: from mail.example.org ([192.0.2.1])\r\n"
              "\tby mx.example.com with ESMTP id " +
                  id.to_string() +
                  ";\r\n"
                  "\tFri, 21 Aug 2026 10:11:12 +0000\r\n");
}

TEST(Received, HasTheNameTlsAndOnlyRecipientWhenKnown) {
    smtp_server::SessionInfo info = session();
    info.client_name = "host.example.org";
    info.client_address = "2001:db8::1";
    info.tls = "TLSv1.3 TLS_AES_256_GCM_SHA384";
    const auto recipient = mail::Mailbox::parse("user@example.com", mail::Utf8::refused);
    ASSERT_TRUE(recipient);
    ReceivedFacts with = facts();
    with.only_recipient = &*recipient;
    const std::string field = received_field(info, with);
    EXPECT_NE(field.find("from mail.example.org (host.example.org [IPv6:2001:db8::1])\r\n"), std::string::npos)
        << field;
    EXPECT_NE(field.find("with ESMTPS id " + id.to_string() + " (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"),
              std::string::npos)
        << field;
    EXPECT_NE(field.find("\tfor <user@example.com>;\r\n"), std::string::npos) << field;
}

TEST(Received, PutsTheAddressInPlaceOfAHeloThatIsNoName) {
    for (const char* helo : {"", "a b", "x\ty", "(comment)", "evil;\r\n", "from me by you", "a..b", "\xff"}) {
        smtp_server::SessionInfo info = session();
        info.helo = helo;
        EXPECT_EQ(received_field(info, facts()).rfind("Received: from [192.0.2.1] ([192.0.2.1])\r\n", 0), 0U) << helo;
    }
}

TEST(Received, OfAUnixSocketIsFromLocalhost) {
    smtp_server::SessionInfo info = session();
    info.client_address.clear();
    info.helo = "not a name";
    EXPECT_EQ(received_field(info, facts()).rfind("Received: from localhost\r\n\tby ", 0), 0U);
}

TEST(Received, LinesStayWithinTheLimitOfRfc5322) {
    smtp_server::SessionInfo info = session();
    info.helo =
        std::string(63, 'a') + '.' + std::string(63, 'b') + '.' + std::string(63, 'c') + '.' + std::string(59, 'd');
    const std::string field = received_field(info, facts());
    std::size_t start = 0;
    for (std::size_t end = field.find("\r\n"); end != std::string::npos;
         start = end + 2, end = field.find("\r\n", start)) {
        EXPECT_LE(end - start, 998U);
    }
    EXPECT_EQ(start, field.size());
}

TEST(ProtocolWord, IsOneOfThoseRegistered) {
    smtp_server::SessionInfo info = session();
    EXPECT_EQ(protocol_word(info, false), "ESMTP");
    EXPECT_EQ(protocol_word(info, true), "UTF8SMTP");
    info.tls = "TLSv1.3";
    EXPECT_EQ(protocol_word(info, false), "ESMTPS");
    EXPECT_EQ(protocol_word(info, true), "UTF8SMTPS");
    info.extended = false;
    info.tls.clear();
    EXPECT_EQ(protocol_word(info, false), "SMTP");
    info.protocol = smtp_server::Protocol::lmtp;
    EXPECT_EQ(protocol_word(info, false), "LMTP");
    EXPECT_EQ(protocol_word(info, true), "UTF8LMTP");
}

}  // namespace
}  // namespace postern::acceptance
