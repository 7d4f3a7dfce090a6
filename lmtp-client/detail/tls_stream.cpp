#include "lmtp-client/detail/tls_stream.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <utility>

namespace postern::lmtp_client {

struct TlsContext::Impl {
    SSL_CTX* context = nullptr;
    ~Impl() { SSL_CTX_free(context); }
};

namespace {

/// The last of OpenSSL's errors of this thread; all of them are taken away.
std::string taken_error() {
    std::string text = "unknown error";
    while (const unsigned long code = ERR_get_error()) {
        std::array<char, 256> line{};
        ERR_error_string_n(code, line.data(), line.size());
        const char* const reason = ERR_reason_error_string(code);
        text = reason != nullptr ? reason : line.data();
    }
    return text;
}

}  // namespace

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>, std::string> TlsContext::make(const std::string& authorities) {
    using Made = Result<std::shared_ptr<const TlsContext>, std::string>;
    ERR_clear_error();
    auto impl = std::make_unique<Impl>();
    impl->context = SSL_CTX_new(TLS_client_method());
    if (impl->context == nullptr) {
        return Made(boost::system::in_place_error, taken_error());
    }
    // RFC 8997: nothing older. And no tickets of sessions that are never taken up again.
    SSL_CTX_set_min_proto_version(impl->context, TLS1_2_VERSION);
    SSL_CTX_set_session_cache_mode(impl->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(impl->context, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_dane_enable(impl->context) != 1) {
        return Made(boost::system::in_place_error, taken_error());
    }
    const int loaded = authorities.empty() ? SSL_CTX_set_default_verify_paths(impl->context)
                                           : SSL_CTX_load_verify_locations(impl->context, authorities.c_str(), nullptr);
    if (loaded != 1) {
        return Made(boost::system::in_place_error,
                    (authorities.empty() ? "the system's certificates" : authorities) + ": " + taken_error());
    }
    return Made(boost::system::in_place_value, std::shared_ptr<const TlsContext>(new TlsContext(std::move(impl))));
}

namespace detail {

struct TlsStream::Impl {
    SSL* session = nullptr;
    BIO* in = nullptr;  // the session's, as out
    BIO* out = nullptr;
    ~Impl() { SSL_free(session); }
};

namespace {

bool is_address(const std::string& host) {
    ASN1_OCTET_STRING* const octets = a2i_IPADDRESS(host.c_str());
    ASN1_OCTET_STRING_free(octets);
    return octets != nullptr;
}

int as_length(std::size_t size) {
    return static_cast<int>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
}

}  // namespace

TlsStream::TlsStream(const Security& security, const std::string& host) : impl_(std::make_unique<Impl>()) {
    ERR_clear_error();
    impl_->session = SSL_new(security.context->impl().context);
    impl_->in = BIO_new(BIO_s_mem());
    impl_->out = BIO_new(BIO_s_mem());
    if (impl_->session == nullptr || impl_->in == nullptr || impl_->out == nullptr) {
        BIO_free(impl_->in);
        BIO_free(impl_->out);
        throw std::bad_alloc();
    }
    SSL_set_bio(impl_->session, impl_->in, impl_->out);
    SSL_set_connect_state(impl_->session);
    if (!is_address(host)) {
        SSL_set_tlsext_host_name(impl_->session, host.c_str());
    }
    if (security.tls != Security::Tls::required) {
        return;
    }
    // RFC 6125 section 6.4.3, RFC 7672 section 3.2.3: a wildcard is the whole of the first label.
    SSL_set_hostflags(impl_->session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (security.dane) {
        check_dane(*security.dane, host);
    } else {
        check_certificate(host);
    }
}

void TlsStream::check_certificate(const std::string& host) {
    X509_VERIFY_PARAM* const wanted = SSL_get0_param(impl_->session);
    const int set = is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str())
                                     : X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size());
    if (set != 1) {
        error_ = "no certificate can be for this host";
    }
    SSL_set_verify(impl_->session, SSL_VERIFY_PEER, nullptr);
}

/// RFC 7672 section 3.1.3: usages 0 and 1, of the authorities, are not for mail. Section 3.1.1: what a record says of
/// the certificate itself (usage 3) holds whatever names and dates stand in it.
void TlsStream::check_dane(const Security::Dane& dane, const std::string& host) {
    if (SSL_dane_enable(impl_->session, host.c_str()) != 1) {
        error_ = "DANE: " + taken_error();
        return;
    }
    SSL_dane_set_flags(impl_->session, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    bool is_any_usable = false;
    for (const Security::Dane::Record& record : dane.records) {
        const bool is_for_mail = record.usage == 2 || record.usage == 3;
        is_any_usable |=
            is_for_mail &&
            SSL_dane_tlsa_add(impl_->session, record.usage, record.selector, record.matching,
                              reinterpret_cast<const unsigned char*>(record.data.data()), record.data.size()) == 1;
    }
    ERR_clear_error();  // of records that are malformed
    for (const std::string& name : dane.names) {
        SSL_add1_host(impl_->session, name.c_str());
    }
    if (is_any_usable) {
        SSL_set_verify(impl_->session, SSL_VERIFY_PEER, nullptr);
    }
}

TlsStream::~TlsStream() = default;

TlsStream::Progress TlsStream::handshake() {
    if (!error_.empty()) {
        return Progress::failed;
    }
    ERR_clear_error();
    const int result = SSL_do_handshake(impl_->session);
    if (result == 1) {
        return Progress::ready;
    }
    if (SSL_get_error(impl_->session, result) == SSL_ERROR_WANT_READ) {
        return Progress::wants_input;
    }
    const long verdict = SSL_get_verify_result(impl_->session);
    error_ = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : taken_error();
    ERR_clear_error();
    return Progress::failed;
}

std::string TlsStream::description() const {
    return std::string(SSL_get_version(impl_->session)) + " with cipher " + SSL_get_cipher_name(impl_->session);
}

void TlsStream::feed(std::string_view octets) {
    while (!octets.empty()) {
        const int taken = BIO_write(impl_->in, octets.data(), as_length(octets.size()));
        if (taken <= 0) {
            throw std::bad_alloc();
        }
        octets.remove_prefix(static_cast<std::size_t>(taken));
    }
}

std::string TlsStream::take_output() {
    std::string output(BIO_ctrl_pending(impl_->out), '\0');
    const int taken = output.empty() ? 0 : BIO_read(impl_->out, output.data(), as_length(output.size()));
    output.resize(taken > 0 ? static_cast<std::size_t>(taken) : 0);
    return output;
}

std::size_t TlsStream::read(std::span<char> into) {
    ERR_clear_error();
    const int count = SSL_read(impl_->session, into.data(), as_length(into.size()));
    if (count > 0) {
        return static_cast<std::size_t>(count);
    }
    const int why = SSL_get_error(impl_->session, count);
    if (why != SSL_ERROR_WANT_READ) {
        ended_ = true;
        error_ = why == SSL_ERROR_ZERO_RETURN ? "the TLS session was closed" : taken_error();
        ERR_clear_error();
    }
    return 0;
}

bool TlsStream::write(std::string_view plaintext) {
    ERR_clear_error();
    while (!plaintext.empty()) {
        const int count = SSL_write(impl_->session, plaintext.data(), as_length(plaintext.size()));
        if (count <= 0) {
            error_ = taken_error();
            ended_ = true;
            return false;
        }
        plaintext.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace detail
}  // namespace postern::lmtp_client
