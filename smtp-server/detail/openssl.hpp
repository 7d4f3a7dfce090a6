// Owners for OpenSSL's objects, and its errors as text.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace postern::smtp_server::detail {

template <auto free_it>
struct FreedBy {
    template <class T>
    void operator()(T* object) const noexcept {
        free_it(object);
    }
};
inline void free_chain(STACK_OF(X509) * chain) { sk_X509_pop_free(chain, ::X509_free); }
inline void free_names(GENERAL_NAMES* names) { ::GENERAL_NAMES_free(names); }
inline void free_bio(BIO* bio) { ::BIO_free(bio); }

using SslPtr = std::unique_ptr<SSL, FreedBy<::SSL_free>>;
using SslCtxPtr = std::unique_ptr<SSL_CTX, FreedBy<::SSL_CTX_free>>;
using X509Ptr = std::unique_ptr<X509, FreedBy<::X509_free>>;
using ChainPtr = std::unique_ptr<STACK_OF(X509), FreedBy<free_chain>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreedBy<::EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, FreedBy<free_bio>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, FreedBy<free_names>>;

/// The newest error of this thread's queue, which is empty afterwards. Empty: there is none.
inline std::string openssl_error() {
    const unsigned long code = ::ERR_peek_last_error();
    ::ERR_clear_error();
    if (code == 0) {
        return {};
    }
    const char* const reason = ::ERR_reason_error_string(code);
    return reason != nullptr ? std::string(reason) : "OpenSSL error " + std::to_string(code);
}

}  // namespace postern::smtp_server::detail
