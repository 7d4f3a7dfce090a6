// Which certificates are for the host that is meant: of an authority that is trusted, and by DANE. Both ends in memory.
#include "lmtp-client/detail/tls_stream.hpp"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace postern::lmtp_client::detail {
namespace {

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<::EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<::X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Freed<::SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, Freed<::SSL_free>>;

/// What a certificate says. `names`: its DNS names, as octets.
struct Said {
    std::string subject = "x";
    std::vector<std::string> names;
    long days = 2;
};

void set_subject(X509_NAME* name, const std::string& text) {
    ::X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING, reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()), -1, 0);
}

class Authority {
public:
    Authority() : key_(::EVP_EC_gen("P-256")), certificate_(make(Said{"authority", {}, 2}, key_.get(), true)) {
        std::string pattern = std::filesystem::temp_directory_path() / "postern-authority-XXXXXX";
        const int descriptor = ::mkstemp(pattern.data());
        ::close(descriptor);
        file_ = pattern;
        BIO* const out = ::BIO_new_file(pattern.c_str(), "w");
        ::PEM_write_bio_X509(out, certificate_.get());
        ::BIO_free(out);
    }
    ~Authority() { std::filesystem::remove(file_); }
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    [[nodiscard]] const std::string& file() const { return file_; }
    [[nodiscard]] std::string digest() const {
        std::array<unsigned char, EVP_MAX_MD_SIZE> octets{};
        unsigned size = 0;
        ::X509_digest(certificate_.get(), ::EVP_sha256(), octets.data(), &size);
        return {octets.begin(), octets.begin() + size};
    }
    /// A server with a certificate of this authority.
    [[nodiscard]] Context server(const Said& said) const {
        const Key key(::EVP_EC_gen("P-256"));
        Context context(::SSL_CTX_new(::TLS_server_method()));
        const Certificate certificate = make(said, key.get(), false);
        EXPECT_EQ(::SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
        EXPECT_EQ(::SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
        EXPECT_EQ(::SSL_CTX_add1_chain_cert(context.get(), certificate_.get()), 1);
        return context;
    }

private:
    [[nodiscard]] Certificate make(const Said& said, EVP_PKEY* key, bool is_authority) const {
        Certificate made(::X509_new());
        ::X509_set_version(made.get(), 2);
        ::ASN1_INTEGER_set(::X509_get_serialNumber(made.get()), is_authority ? 1 : 2);
        ::X509_gmtime_adj(::X509_getm_notBefore(made.get()), -86400L * 7);
        ::X509_gmtime_adj(::X509_getm_notAfter(made.get()), 86400L * said.days);
        ::X509_set_pubkey(made.get(), key);
        set_subject(::X509_get_subject_name(made.get()), said.subject);
        ::X509_set_issuer_name(made.get(), ::X509_get_subject_name(is_authority ? made.get() : certificate_.get()));
        if (is_authority) {
            X509_EXTENSION* const basic = ::X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "CA:TRUE");
            ::X509_add_ext(made.get(), basic, -1);
            ::X509_EXTENSION_free(basic);
        }
        if (!said.names.empty()) {
            GENERAL_NAMES* const all = sk_GENERAL_NAME_new_null();
            for (const std::string& name : said.names) {
                GENERAL_NAME* const one = ::GENERAL_NAME_new();
                ASN1_IA5STRING* const text = ::ASN1_IA5STRING_new();
                ::ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
                ::GENERAL_NAME_set0_value(one, GEN_DNS, text);
                sk_GENERAL_NAME_push(all, one);
            }
            ::X509_add1_ext_i2d(made.get(), NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT);
            ::GENERAL_NAMES_free(all);
        }
        EXPECT_GT(::X509_sign(made.get(), key_.get(), ::EVP_sha256()), 0);
        return made;
    }

    Key key_;
    Certificate certificate_;
    std::string file_;
};

/// Empty: the client took the server for the host that it meant; else why not.
std::string problem_with(SSL_CTX* server, const Security& security, const std::string& host) {
    TlsStream client(security, host);
    const Ssl peer(::SSL_new(server));
    BIO* const in = ::BIO_new(::BIO_s_mem());
    BIO* const out = ::BIO_new(::BIO_s_mem());
    ::SSL_set_bio(peer.get(), in, out);
    ::SSL_set_accept_state(peer.get());
    for (int round = 0; round < 10; ++round) {
        const TlsStream::Progress progress = client.handshake();
        if (progress != TlsStream::Progress::wants_input) {
            return progress == TlsStream::Progress::ready ? std::string() : client.error();
        }
        const std::string said = client.take_output();
        ::BIO_write(in, said.data(), static_cast<int>(said.size()));
        ::SSL_do_handshake(peer.get());
        std::array<char, 16384> answer{};
        const int size = ::BIO_read(out, answer.data(), static_cast<int>(answer.size()));
        client.feed({answer.data(), static_cast<std::size_t>(std::max(size, 0))});
    }
    return "no end";
}

// Shows: RFC 6125 section 6.4.3 and RFC 7672 section 3.2.3: a wildcard is a whole label, the first. CVE-2009-2408: a
// name does not end at a NUL. RFC 7672 section 3.1.2: of an authority that DANE names, names and dates count as well.
TEST(TlsStreamCertificate, IsForTheHostOrIsRefused) {
    using namespace std::string_literals;
    const struct {
        Said said;
        bool good;
    } cases[] = {
        {{"x", {"mx.example.com"}}, true},
        {{"x", {"other.example", "MX.Example.COM"}}, true},
        {{"x", {"*.example.com"}}, true},
        {{"x", {"m*.example.com"}}, false},
        {{"x", {"*x.example.com"}}, false},
        {{"x", {"m*x.example.com"}}, false},
        {{"x", {"mx.*.com"}}, false},
        {{"x", {"*.com"}}, false},
        {{"x", {"*"}}, false},
        {{"x", {".example.com"}}, false},
        {{"x", {"example.com"}}, false},
        {{"x", {"a.mx.example.com"}}, false},
        {{"x", {"mx.example.com\0.evil.example"s}}, false},
        {{"x", {"mx.example.com\0"s}}, false},
        {{"mx.example.com\0.evil.example"s, {}}, false},
        {{"mx.example.com", {"evil.example"}}, false},
        {{"x", {"mx.example.com"}, -1}, false},
    };
    const Authority authority;
    const auto context = TlsContext::make(authority.file());
    ASSERT_TRUE(context.has_value());
    Security trusting;
    trusting.tls = Security::Tls::required;
    trusting.context = *context;
    Security by_dane = trusting;
    by_dane.dane.emplace();
    by_dane.dane->records.push_back({2, 0, 1, authority.digest()});
    for (const auto& one : cases) {
        const Context server = authority.server(one.said);
        for (const Security* security : {&trusting, &by_dane}) {
            const std::string problem = problem_with(server.get(), *security, "mx.example.com");
            EXPECT_EQ(problem.empty(), one.good)
                << testing::PrintToString(one.said.names) << one.said.subject << (security == &by_dane) << problem;
        }
    }
    const Authority another;
    const Context stranger = another.server({"x", {"mx.example.com"}});
    EXPECT_NE(problem_with(stranger.get(), trusting, "mx.example.com"), "");
    EXPECT_NE(problem_with(stranger.get(), by_dane, "mx.example.com"), "");
}

}  // namespace
}  // namespace postern::lmtp_client::detail
