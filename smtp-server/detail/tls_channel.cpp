#include "smtp-server/detail/tls_channel.hpp"

#include <array>
#include <cerrno>
#include <new>
#include <system_error>

#include "smtp-server/detail/openssl.hpp"
#include "smtp-server/tls.hpp"

namespace postern::smtp_server::detail {

namespace {

/// SSL_get_error() looks at what earlier calls left in the thread's queue, and errno only means something after an
/// error.
void forget_errors() {
    ::ERR_clear_error();
    errno = 0;
}

/// SHA-256 over the certificate, in hex: says which, and nothing that a stranger chose.
std::string fingerprint_of(X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int length = 0;
    if (::X509_digest(certificate, ::EVP_sha256(), digest.data(), &length) != 1) {
        return "unknown";
    }
    constexpr const char* digits = "0123456789abcdef";
    std::string text;
    for (unsigned int i = 0; i < length; ++i) {
        text += digits[digest.at(i) >> 4U];
        text += digits[digest.at(i) & 0xFU];
    }
    return text;
}

}  // namespace

void TlsChannel::Free::operator()(ssl_st* ssl) const noexcept { ::SSL_free(ssl); }

TlsChannel::TlsChannel(const TlsContext& context, int socket) : ssl_(::SSL_new(context.initial())) {
    if (!ssl_ || ::SSL_set_fd(ssl_.get(), socket) != 1) {
        ::ERR_clear_error();
        throw std::bad_alloc();
    }
    ::SSL_set_accept_state(ssl_.get());
}

TlsChannel::~TlsChannel() = default;

TlsChannel::Need TlsChannel::accept() {
    forget_errors();
    return need_of(::SSL_do_handshake(ssl_.get()));
}

TlsChannel::Moved TlsChannel::read(char* into, std::size_t octets) {
    forget_errors();
    Moved moved;
    const int result = ::SSL_read_ex(ssl_.get(), into, octets, &moved.octets);
    moved.need = need_of(result);
    return moved;
}

TlsChannel::Moved TlsChannel::write(std::string_view octets) {
    forget_errors();
    Moved moved;
    const int result = ::SSL_write_ex(ssl_.get(), octets.data(), octets.size(), &moved.octets);
    moved.need = need_of(result);
    return moved;
}

TlsChannel::Need TlsChannel::need_of(int result) {
    if (result == 1) {
        return Need::nothing;
    }
    const int code = errno;
    switch (::SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return Need::readable;
        case SSL_ERROR_WANT_WRITE:
            return Need::writable;
        case SSL_ERROR_ZERO_RETURN:
            break;  // close_notify, or the end of the connection: nothing is read after it, whatever comes
        case SSL_ERROR_SYSCALL:
            sound_ = false;
            if (code != 0) {
                trouble_ = std::generic_category().message(code);
            }
            break;
        default:
            sound_ = false;
            trouble_ = openssl_error();
            break;
    }
    ::ERR_clear_error();
    return Need::closed;
}

void TlsChannel::close() noexcept {
    if (sound_ && ::SSL_is_init_finished(ssl_.get()) == 1) {
        ::ERR_clear_error();
        ::SSL_shutdown(ssl_.get());
        ::ERR_clear_error();
    }
}

std::string TlsChannel::description() const {
    std::string text = ::SSL_get_version(ssl_.get());
    text += " with cipher ";
    text += ::SSL_get_cipher_name(ssl_.get());
    if (X509* const certificate = ::SSL_get0_peer_certificate(ssl_.get())) {
        text += ", client certificate SHA-256 " + fingerprint_of(certificate) + ", not verified";
    }
    return text;
}

bool TlsChannel::resumed() const { return ::SSL_session_reused(ssl_.get()) == 1; }

}  // namespace postern::smtp_server::detail
