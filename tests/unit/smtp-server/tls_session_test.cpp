// STARTTLS and TLS from the first octet, with a real client: what is offered, what is forgotten, what is refused.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/smtp-server/certificates.hpp"
#include "tests/unit/smtp-server/conversation.hpp"

namespace postern::smtp_server {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// What a client asks for.
struct Wish {
    int version = 0;  ///< 0: any
    std::string name;
    std::string algorithms;  ///< of signatures
    std::string protocols;   ///< ALPN, on the wire
    SSL_SESSION* session = nullptr;
    bool tickets = true;
    const KeyPair* certificate = nullptr;
};

/// TLS on a client's connection.
class Encrypted {
public:
    Encrypted(const Client& client, const Wish& wish) : context_(::SSL_CTX_new(::TLS_client_method())) {
        ::SSL_CTX_set_security_level(context_.get(), 0);
        ::SSL_CTX_set_min_proto_version(context_.get(), wish.version != 0 ? wish.version : TLS1_VERSION);
        ::SSL_CTX_set_max_proto_version(context_.get(), wish.version);
        if (!wish.tickets) {
            ::SSL_CTX_set_options(context_.get(), SSL_OP_NO_TICKET);
        }
        if (!wish.algorithms.empty()) {
            EXPECT_EQ(::SSL_CTX_set1_sigalgs_list(context_.get(), wish.algorithms.c_str()), 1);
        }
        if (wish.certificate != nullptr) {
            EXPECT_EQ(
                ::SSL_CTX_use_certificate_file(context_.get(), wish.certificate->certificate.c_str(), SSL_FILETYPE_PEM),
                1);
            EXPECT_EQ(::SSL_CTX_use_PrivateKey_file(context_.get(), wish.certificate->key.c_str(), SSL_FILETYPE_PEM),
                      1);
        }
        ssl_.reset(::SSL_new(context_.get()));
        ::SSL_set_fd(ssl_.get(), client.descriptor());
        if (!wish.name.empty()) {
            ::SSL_set_tlsext_host_name(ssl_.get(), wish.name.c_str());
        }
        if (!wish.protocols.empty()) {
            ::SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wish.protocols.data()),
                                  static_cast<unsigned int>(wish.protocols.size()));
        }
        if (wish.session != nullptr) {
            ::SSL_set_session(ssl_.get(), wish.session);
        }
        done_ = ::SSL_connect(ssl_.get()) == 1;
    }

    [[nodiscard]] bool done() const { return done_; }
    [[nodiscard]] bool resumed() const { return ::SSL_session_reused(ssl_.get()) == 1; }
    [[nodiscard]] std::string version() const { return ::SSL_get_version(ssl_.get()); }
    /// The common name of the server's certificate.
    [[nodiscard]] std::string server() const {
        X509* const certificate = ::SSL_get0_peer_certificate(ssl_.get());
        std::string name(256, '\0');
        const int length = ::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate), NID_commonName,
                                                       name.data(), static_cast<int>(name.size()));
        return name.substr(0, static_cast<std::size_t>(std::max(length, 0)));
    }
    [[nodiscard]] std::unique_ptr<SSL_SESSION, detail::FreedBy<::SSL_SESSION_free>> session() const {
        return std::unique_ptr<SSL_SESSION, detail::FreedBy<::SSL_SESSION_free>>(::SSL_get1_session(ssl_.get()));
    }
    bool send(std::string_view octets) {
        return ::SSL_write(ssl_.get(), octets.data(), static_cast<int>(octets.size())) > 0;
    }
    void say_close() { ::SSL_shutdown(ssl_.get()); }
    /// Code and status of the next replies.
    std::vector<std::string> codes(std::size_t count) {
        std::vector<std::string> found;
        while (found.size() < count) {
            const std::size_t end = pending_.find("\r\n");
            if (end == std::string::npos) {
                std::string part(65536, '\0');
                const int octets = ::SSL_read(ssl_.get(), part.data(), static_cast<int>(part.size()));
                if (octets <= 0) {
                    break;
                }
                pending_.append(part, 0, static_cast<std::size_t>(octets));
                continue;
            }
            const std::string line = pending_.substr(0, end);
            pending_.erase(0, end + 2);
            heard_ += line + '\n';
            if (line.size() < 4 || line[3] != '-') {
                const bool enhanced = line.size() > 6 && line[5] == '.';
                found.push_back(enhanced ? line.substr(0, line.find(' ', 4)) : line.substr(0, 3));
            }
        }
        return found;
    }
    [[nodiscard]] const std::string& heard() const { return heard_; }

private:
    detail::SslCtxPtr context_;
    detail::SslPtr ssl_;
    std::string pending_;
    std::string heard_;
    bool done_ = false;
};

class TlsSessionTest : public ConversationTest {
protected:
    TlsSessionTest() { load({ecdsa_, rsa_, other_}); }
    void load(std::vector<KeyPair> pairs, bool ask = false) {
        TlsOptions options = tls_options(std::move(pairs));
        options.ask_client_certificate = ask;
        const auto loaded = TlsContext::load(options);
        ASSERT_TRUE(loaded.has_value()) << loaded.error();
        options_.tls = *loaded;
    }
    /// A client that has said STARTTLS and may shake hands now.
    Client ready() {
        Client client = connect();
        client.send(ehlo);
        client.codes(2);
        client.send("STARTTLS\r\n");
        EXPECT_EQ(client.codes(1), Codes{"220 2.0.0"});
        return client;
    }
    /// A session with TLS; closed at once.
    std::string server_for(const Wish& wish) {
        Client client = ready();
        const Encrypted tls(client, wish);
        return tls.done() ? tls.server() : "none";
    }

    CertificateFolder folder_;
    const KeyPair ecdsa_ = folder_.make("ecdsa", CertificateFolder::Kind::ecdsa, {"mx.example.com"});
    const KeyPair rsa_ = folder_.make("rsa", CertificateFolder::Kind::rsa, {"mx.example.com"});
    const KeyPair other_ = folder_.make("other", CertificateFolder::Kind::ecdsa, {"mx.example.org", "*.wild.example"});
};

// Shows: RFC 3207 section 4, RFC 3848.
TEST_F(TlsSessionTest, TakesMailOverTls) {
    Client client = ready();
    Encrypted tls(client, {});
    ASSERT_TRUE(tls.done());
    EXPECT_EQ(tls.version(), "TLSv1.3");
    tls.send(ehlo + envelope + "DATA\r\n");
    EXPECT_EQ(tls.codes(4), (Codes{"250", "250 2.1.0", "250 2.1.5", "354"}));
    EXPECT_THAT(tls.heard(), Not(HasSubstr("STARTTLS")));
    tls.send("hello\r\n.\r\nQUIT\r\n");
    EXPECT_EQ(tls.codes(2), (Codes{"250 2.0.0", "221 2.0.0"}));
    ASSERT_EQ(hooks_.taken().size(), 1U);
    EXPECT_EQ(hooks_.taken()[0].content, "hello\r\n");
    EXPECT_THAT(hooks_.tls(), StartsWith("TLSv1.3 with cipher TLS_"));
    EXPECT_EQ(hooks_.await_reason(), "quit");
    EXPECT_EQ(server_->counters().tls_full, 1U);
}

TEST_F(TlsSessionTest, LargeContentsComeThroughWhole) {
    std::string content;
    for (int line = 0; content.size() < (3U << 20U); ++line) {
        content += "line " + std::to_string(line) + " of a mail that is larger than every buffer on its way\r\n";
    }
    for (const bool chunked : {false, true}) {
        Client client = ready();
        Encrypted tls(client, {});
        tls.send(ehlo + envelope + (chunked ? "BDAT " + std::to_string(content.size()) + " LAST\r\n" : "DATA\r\n"));
        tls.codes(chunked ? 3 : 4);
        tls.send(content + (chunked ? "" : ".\r\n"));
        EXPECT_EQ(tls.codes(1), Codes{"250 2.0.0"});
        EXPECT_EQ(hooks_.taken().back().content, content);
    }
}

TEST_F(TlsSessionTest, IsOfferedOnlyWithACertificateAndOnlyOnce) {
    Client client = ready();
    Encrypted tls(client, {});
    tls.send(ehlo + "STARTTLS\r\n");
    EXPECT_EQ(tls.codes(2), (Codes{"250", "503 5.5.1"}));
}

TEST_F(TlsSessionTest, WithoutACertificateItIsNotKnown) {
    options_.tls = nullptr;
    Client client = connect();
    client.send(ehlo + "STARTTLS\r\nQUIT\r\n");
    EXPECT_THAT(client.rest(),
                testing::AllOf(HasSubstr("502 5.5.1"), Not(HasSubstr("250-STARTTLS")), HasSubstr("221 ")));
}

TEST_F(TlsSessionTest, ArgumentsAreRefused) {
    Client client = connect();
    client.send(ehlo + "STARTTLS now\r\nQUIT\r\n");
    EXPECT_EQ(client.codes(4), (Codes{"220", "250", "501 5.5.4", "221 2.0.0"}));
}

// Shows: RFC 3207 section 4.2; CVE-2024-34083.
TEST_F(TlsSessionTest, ForgetsWhatWasSaidInClear) {
    Client client = connect();
    client.send(ehlo + envelope);
    client.codes(4);
    client.send("STARTTLS\r\n");
    EXPECT_EQ(client.codes(1), Codes{"220 2.0.0"});
    Encrypted tls(client, {});
    tls.send("RCPT TO:<u@example.com>\r\nDATA\r\nMAIL FROM:<a@example.org>\r\n" + ehlo + "RCPT TO:<u@example.com>\r\n" +
             envelope);
    EXPECT_EQ(tls.codes(7),
              (Codes{"503 5.5.1", "503 5.5.1", "503 5.5.1", "250", "503 5.5.1", "250 2.1.0", "250 2.1.5"}));
}

// CVE-2011-0411: what is sent in clear behind STARTTLS is never carried out, however it is cut.
TEST_F(TlsSessionTest, NothingBehindStarttlsIsCarriedOut) {
    const std::string command = "STARTTLS\r\n";
    const std::string injected = ehlo + envelope + "DATA\r\nhello\r\n.\r\nQUIT\r\n";
    const std::string all = command + injected;
    for (std::size_t cut = 1; cut < all.size(); ++cut) {
        Client client = connect();
        client.send(ehlo);
        client.codes(2);
        client.send(all.substr(0, cut));
        client.send(all.substr(cut));
        const std::string answer = client.rest();
        EXPECT_THAT(answer, Not(HasSubstr("250"))) << cut;
        EXPECT_THAT(answer, Not(HasSubstr("354"))) << cut;
        EXPECT_THAT(answer, Not(HasSubstr("221"))) << cut;
    }
    EXPECT_TRUE(hooks_.taken().empty());
}

TEST_F(TlsSessionTest, SaysWhyWhatCameInOneGroupIsRefused) {
    Client client = connect();
    client.send(ehlo);
    client.codes(2);
    client.send("STARTTLS\r\nNOOP\r\n");
    EXPECT_THAT(client.rest(), StartsWith("503 5.5.1"));
    EXPECT_EQ(hooks_.await_reason(), "input behind STARTTLS");
}

// Shows: RFC 3207 section 4.
TEST_F(TlsSessionTest, RequiredMeansNothingInClear) {
    options_.tls_use = TlsUse::required;
    options_.limits.errors_per_session = 100;
    Client client = connect();
    client.send(ehlo + envelope + "DATA\r\nRSET\r\nVRFY u\r\nNOOP\r\nBDAT 6 LAST\r\nQUIT\r\nQUIT\r\n");
    EXPECT_EQ(client.codes(10), (Codes{"220", "250", "530 5.7.0", "530 5.7.0", "530 5.7.0", "530 5.7.0", "530 5.7.0",
                                       "250 2.0.0", "530 5.7.0", "221 2.0.0"}));
    Client second = ready();
    Encrypted tls(second, {});
    tls.send(ehlo + envelope);
    EXPECT_EQ(tls.codes(3), (Codes{"250", "250 2.1.0", "250 2.1.5"}));
}

TEST_F(TlsSessionTest, ImplicitBeginsWithTls) {
    options_.tls_use = TlsUse::implicit;
    Client client = connect();
    Encrypted tls(client, {});
    tls.send(ehlo + "STARTTLS\r\n" + envelope);
    EXPECT_EQ(tls.codes(5), (Codes{"220", "250", "503 5.5.1", "250 2.1.0", "250 2.1.5"}));
    Client plain = connect();
    plain.send(ehlo);
    EXPECT_THAT(plain.rest(), Not(HasSubstr("220")));
}

TEST_F(TlsSessionTest, OldVersionsAreRefused) {
    for (const auto& [version, taken] : {std::pair(TLS1_VERSION, false), std::pair(TLS1_1_VERSION, false),
                                         std::pair(TLS1_2_VERSION, true), std::pair(TLS1_3_VERSION, true)}) {
        Client client = ready();
        Wish wish;
        wish.version = version;
        EXPECT_EQ(Encrypted(client, wish).done(), taken) << version;
    }
}

TEST_F(TlsSessionTest, EachClientGetsTheCertificateThatItCanUse) {
    Wish wish;
    wish.version = TLS1_2_VERSION;
    EXPECT_EQ(server_for(wish), "ecdsa");
    wish.algorithms = "RSA+SHA256";
    EXPECT_EQ(server_for(wish), "rsa");
    wish.algorithms = "ECDSA+SHA256";
    EXPECT_EQ(server_for(wish), "ecdsa");
    wish.version = TLS1_3_VERSION;
    wish.algorithms = "rsa_pss_rsae_sha256";
    EXPECT_EQ(server_for(wish), "rsa");
    wish.name = "mx.example.com";
    EXPECT_EQ(server_for(wish), "rsa");
}

// Shows: RFC 6066 section 3, RFC 6125: a wildcard stands for one label.
TEST_F(TlsSessionTest, TheNameAskedForChoosesTheCertificate) {
    const std::vector<std::pair<std::string, std::string>> names{{"mx.example.org", "other"},
                                                                 {"MX.EXAMPLE.ORG", "other"},
                                                                 {"a.wild.example", "other"},
                                                                 {"wild.example", "ecdsa"},
                                                                 {"a.b.wild.example", "ecdsa"},
                                                                 {"mx.example.com", "ecdsa"},
                                                                 {"unknown.example", "ecdsa"},
                                                                 {".", "ecdsa"},
                                                                 {"x\\", "ecdsa"}};
    for (const auto& [name, certificate] : names) {
        Wish wish;
        wish.name = name;
        EXPECT_EQ(server_for(wish), certificate) << name;
    }
}

class Resumption : public TlsSessionTest, public testing::WithParamInterface<std::pair<int, bool>> {};

TEST_P(Resumption, IsTakenUp) {
    const auto [version, tickets] = GetParam();
    Wish wish;
    wish.version = version;
    wish.tickets = tickets;
    wish.name = "mx.example.org";
    Client client = ready();
    Encrypted first(client, wish);
    ASSERT_TRUE(first.done());
    first.send(ehlo);
    first.codes(1);  // of TLS 1.3 the ticket comes with the first octets
    const auto session = first.session();
    wish.session = session.get();
    Client again = ready();
    Encrypted second(again, wish);
    EXPECT_TRUE(second.done());
    EXPECT_EQ(second.resumed(), version == TLS1_2_VERSION || tickets);
    second.send(ehlo);
    EXPECT_EQ(second.codes(1), Codes{"250"});
}

INSTANTIATE_TEST_SUITE_P(Tls, Resumption,
                         testing::Values(std::pair(TLS1_3_VERSION, true), std::pair(TLS1_2_VERSION, true),
                                         std::pair(TLS1_2_VERSION, false)));

// A session of one service was taken up by another (Postfix 20260805).
TEST_F(TlsSessionTest, ATicketOfAnotherServiceIsWorthNothing) {
    Client client = ready();
    Encrypted first(client, {});
    first.send(ehlo);
    first.codes(1);
    const auto session = first.session();
    TlsOptions elsewhere = tls_options({ecdsa_, rsa_, other_}, "another service");
    const auto loaded = TlsContext::load(elsewhere);
    ASSERT_TRUE(loaded.has_value());
    auto options = options_;
    options.tls = *loaded;
    server_->replace(0, std::make_shared<const SessionOptions>(options));
    Wish wish;
    wish.session = session.get();
    Client again = ready();
    Encrypted second(again, wish);
    EXPECT_TRUE(second.done());
    EXPECT_FALSE(second.resumed());
}

// ALPACA, CVE-2021-3618.
TEST_F(TlsSessionTest, WhoWantsAnotherProtocolIsTurnedAway) {
    const std::vector<std::pair<std::string, bool>> offers{
        {"\x02h2", false},  {"\x08http/1.1", false},        {"\x02h2\x08http/1.1", false},
        {"\x04smtp", true}, {"\x08http/1.1\x04smtp", true}, {"\x05other", true}};
    for (const auto& [protocols, taken] : offers) {
        Wish wish;
        wish.protocols = protocols;
        Client client = ready();
        EXPECT_EQ(Encrypted(client, wish).done(), taken) << protocols;
    }
}

TEST_F(TlsSessionTest, AClientsCertificateIsNotedWhoeverIssuedIt) {
    load({ecdsa_}, true);
    for (const KeyPair* certificate : {&rsa_, static_cast<const KeyPair*>(nullptr)}) {
        Wish wish;
        wish.certificate = certificate;
        Client client = ready();
        Encrypted tls(client, wish);
        tls.send(ehlo + envelope + "DATA\r\n");
        tls.codes(4);
        tls.send("x\r\n.\r\n");
        EXPECT_EQ(tls.codes(1), Codes{"250 2.0.0"});
        if (certificate != nullptr) {
            EXPECT_THAT(hooks_.tls(),
                        testing::MatchesRegex(".* client certificate SHA-256 [0-9a-f]{64}, not verified"));
        } else {
            EXPECT_THAT(hooks_.tls(), Not(HasSubstr("certificate")));
        }
    }
}

TEST_F(TlsSessionTest, AHandshakeThatDoesNotComeEndsTheSession) {
    options_.limits.handshake_timeout = std::chrono::milliseconds(200);
    Client client = ready();
    EXPECT_EQ(client.rest(), "");
    EXPECT_EQ(hooks_.await_reason(), "timeout in the TLS handshake");
    EXPECT_EQ(server_->counters().tls_failed, 1U);
}

TEST_F(TlsSessionTest, JunkInsteadOfAHandshakeEndsTheSession) {
    Client client = ready();
    client.send(ehlo);
    EXPECT_THAT(client.rest(), Not(HasSubstr("250")));
    EXPECT_THAT(hooks_.await_reason(), StartsWith("TLS handshake failed: "));
}

TEST_F(TlsSessionTest, AClientThatGoesInTheMiddleOfTheHandshakeIsForgotten) {
    {
        Client client = ready();
        client.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
    }
    EXPECT_EQ(hooks_.await_reason(), "closed by client in the TLS handshake");
}

// "Dead.Letter", CVE-2026-45185: the end of TLS in the middle of a chunk, then clear text.
TEST_F(TlsSessionTest, WhatComesInClearBehindTheEndOfTlsIsNotRead) {
    Client client = ready();
    Encrypted tls(client, {});
    tls.send(ehlo + envelope + "BDAT 100 LAST\r\nhalf");
    tls.codes(3);
    tls.say_close();
    client.send("x" + std::string(95, 'x') + "QUIT\r\n");
    EXPECT_EQ(hooks_.await_reason(), "closed by client");
    EXPECT_TRUE(hooks_.taken().empty());
    EXPECT_EQ(hooks_.dropped(), 1);
}

TEST_F(TlsSessionTest, AnEndWithoutNoticeIsAnEnd) {
    {
        Client client = ready();
        Encrypted tls(client, {});
        tls.send(ehlo + envelope + "DATA\r\n");
        tls.codes(4);
        tls.send("half of it\r\n");
    }
    EXPECT_EQ(hooks_.await_reason(), "closed by client");
    EXPECT_TRUE(hooks_.taken().empty());
}

TEST_F(TlsSessionTest, ADamagedRecordEndsTheSession) {
    Client client = ready();
    Encrypted tls(client, {});
    tls.send(ehlo);
    tls.codes(1);
    client.send(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
    EXPECT_THAT(hooks_.await_reason(), StartsWith("TLS failed: "));
}

// A reload between two commands: the session goes on with what it began with.
TEST_F(TlsSessionTest, ASessionKeepsItsCertificatesThroughAReload) {
    Client client = ready();
    Encrypted tls(client, {});
    tls.send(ehlo);
    tls.codes(1);
    load({rsa_});
    server_->replace(0, std::make_shared<const SessionOptions>(options_));
    options_.tls = nullptr;
    EXPECT_EQ(server_for({}), "rsa");
    tls.send(envelope);
    EXPECT_EQ(tls.codes(2), (Codes{"250 2.1.0", "250 2.1.5"}));
}

}  // namespace
}  // namespace postern::smtp_server
