#include "smtp-server/tls.hpp"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "smtp-server/detail/key_pair.hpp"
#include "smtp-server/detail/openssl.hpp"

namespace postern::smtp_server {

using namespace detail;

namespace {

// Forward secrecy, authenticated encryption first. The two CBC suites with SHA-2 are for Windows servers of 2012, which
// have nothing better for an RSA certificate; without them their mail would come in clear.
constexpr const char* suites_of_tls12 =
    "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:"
    "ECDHE-RSA-AES128-SHA256:!aNULL";
constexpr const char* groups = "X25519:P-256:P-384";
constexpr long client_chain_octets_max = 32 * 1024;
constexpr long sessions_kept_max = 1000;  // of clients without tickets (TLS 1.2), for each context; about 1 KiB each
constexpr int tickets_after_handshake = 1;

/// What the callbacks find behind a context: the secrets, and whom SNI may lead to.
struct Shared {
    std::shared_ptr<TicketKeys> tickets;
    std::map<std::string, SSL_CTX*, std::less<>> by_name;  // "mx.example.com", "*.example.com"
};

Shared& shared_of(SSL* ssl) { return *static_cast<Shared*>(::SSL_CTX_get_ex_data(::SSL_get_SSL_CTX(ssl), 0)); }

const EVP_CIPHER* ticket_cipher() {
    static const EVP_CIPHER* const cipher = ::EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
    return cipher;
}

bool arm(const TicketKey& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
    TicketKey copy = key;  // OSSL_PARAM takes no const
    std::array<char, 7> digest{"SHA256"};
    const std::array<OSSL_PARAM, 3> parameters{
        ::OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, copy.mac.data(), copy.mac.size()),
        ::OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), ::OSSL_PARAM_construct_end()};
    return ::EVP_CipherInit_ex2(cipher, ticket_cipher(), copy.cipher.data(), iv, sealing, nullptr) == 1 &&
           ::EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

/// Returns: 1 use it, 2 use it and give the client a new one, 0 no ticket, -1 error.
int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
    TicketKeys& keys = *shared_of(ssl).tickets;
    if (sealing == 1) {
        const auto key = keys.current();
        if (!key || ::RAND_bytes(iv, ::EVP_CIPHER_get_iv_length(ticket_cipher())) != 1) {
            return 0;
        }
        std::memcpy(name, key->name.data(), key->name.size());
        return arm(*key, iv, cipher, mac, sealing) ? 1 : -1;
    }
    std::array<unsigned char, 16> wanted{};
    std::memcpy(wanted.data(), name, wanted.size());
    const auto found = keys.find(wanted);
    if (!found) {
        return 0;
    }
    if (!arm(found->key, iv, cipher, mac, sealing)) {
        return -1;
    }
    return found->is_current ? 1 : 2;
}

SSL_CTX* context_for(const Shared& shared, std::string_view asked) {
    std::string name(asked);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    auto found = shared.by_name.find(name);
    const std::size_t dot = name.find('.');
    if (found == shared.by_name.end() && dot != std::string::npos) {
        found = shared.by_name.find('*' + name.substr(dot));  // a wildcard stands for one label (RFC 6125)
    }
    return found == shared.by_name.end() ? nullptr : found->second;
}

int on_server_name(SSL* ssl, int*, void*) {
    const char* const asked = ::SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX* const context = asked != nullptr ? context_for(shared_of(ssl), asked) : nullptr;
    if (context == nullptr) {
        return SSL_TLSEXT_ERR_NOACK;  // the first pair: who speaks TLS to an MX checks names rarely, and may be refused
                                      // never
    }
    ::SSL_set_SSL_CTX(ssl, context);
    return SSL_TLSEXT_ERR_OK;
}

/// Who asks for another protocol in so many words (a browser: "h2") has been led here by somebody else (ALPACA,
/// CVE-2021-3618).
int on_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* in, unsigned int in_length,
            void*) {
    bool foreign = false;
    for (unsigned int at = 0; at < in_length;) {
        const unsigned int length = in[at];
        if (length == 0 || at + 1 + length > in_length) {
            return SSL_TLSEXT_ERR_ALERT_FATAL;
        }
        const std::string_view name(reinterpret_cast<const char*>(in + at + 1), length);
        if (name == "smtp" || name == "lmtp") {
            *out = in + at + 1;
            *out_length = static_cast<unsigned char>(length);
            return SSL_TLSEXT_ERR_OK;
        }
        foreign = foreign || name == "h2" || name.substr(0, 5) == "http/" || name == "imap" || name == "pop3" ||
                  name == "ftp";
        at += 1 + length;
    }
    return foreign ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
}

/// A client's certificate is noted, whoever issued it.
int take_any(int, X509_STORE_CTX*) { return 1; }

Result<SslCtxPtr, std::string> make_context(const TlsOptions& options, Shared& shared) {
    SslCtxPtr context(::SSL_CTX_new(::TLS_server_method()));
    if (!context || ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
        ::SSL_CTX_set_cipher_list(context.get(), suites_of_tls12) != 1 ||
        ::SSL_CTX_set1_groups_list(context.get(), groups) != 1) {
        return "TLS cannot be set up: " + openssl_error();
    }
    ::SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                             SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                             SSL_OP_IGNORE_UNEXPECTED_EOF);
    ::SSL_CTX_set_mode(context.get(),
                       SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    ::SSL_CTX_set_read_ahead(context.get(), 1);
    ::SSL_CTX_set_max_cert_list(context.get(), client_chain_octets_max);
    // The name of the service is part of each session: one of another service is not taken up here.
    std::array<unsigned char, SHA256_DIGEST_LENGTH> service{};
    ::SHA256(reinterpret_cast<const unsigned char*>(options.service.data()), options.service.size(), service.data());
    ::SSL_CTX_set_session_id_context(context.get(), service.data(), static_cast<unsigned int>(service.size()));
    ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_SERVER);
    ::SSL_CTX_sess_set_cache_size(context.get(), sessions_kept_max);
    ::SSL_CTX_set_timeout(context.get(), std::chrono::seconds(TicketKeys::ticket_age_max).count());
    ::SSL_CTX_set_num_tickets(context.get(), tickets_after_handshake);
    ::SSL_CTX_set_tlsext_ticket_key_evp_cb(context.get(), on_ticket);
    ::SSL_CTX_set_tlsext_servername_callback(context.get(), on_server_name);
    ::SSL_CTX_set_alpn_select_cb(context.get(), on_alpn, nullptr);
    if (options.ask_client_certificate) {
        ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, take_any);
    }
    ::SSL_CTX_set_ex_data(context.get(), 0, &shared);
    return context;
}

/// The pairs that serve a name: the first that has it, and beside it the first of each other kind of key.
std::vector<std::size_t> pairs_for(const std::vector<LoadedPair>& pairs, const std::string& name) {
    std::vector<std::size_t> chosen;
    for (std::size_t i = 0; i < pairs.size(); ++i) {
        const auto& names = pairs[i].facts.names;
        const bool has_name = std::find(names.begin(), names.end(), name) != names.end();
        const bool new_kind = std::none_of(chosen.begin(), chosen.end(), [&](std::size_t other) {
            return pairs[other].key_kind == pairs[i].key_kind;
        });
        if (has_name && new_kind) {
            chosen.push_back(i);
        }
    }
    return chosen;
}

/// What a client without SNI gets: the first pair, and of each other kind of key the first that shares a name with it.
std::vector<std::size_t> default_pairs(const std::vector<LoadedPair>& pairs) {
    std::vector<std::size_t> chosen{0};
    for (const std::string& name : pairs.front().facts.names) {
        for (const std::size_t i : pairs_for(pairs, name)) {
            const bool new_kind = std::none_of(chosen.begin(), chosen.end(), [&](std::size_t other) {
                return pairs[other].key_kind == pairs[i].key_kind;
            });
            if (new_kind) {
                chosen.push_back(i);
            }
        }
    }
    return chosen;
}

}  // namespace

struct TlsContext::Parts {
    Shared shared;
    std::vector<SslCtxPtr> contexts;  // the first is the default
    std::vector<CertificateFacts> facts;
};

TlsContext::TlsContext(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
TlsContext::~TlsContext() = default;

const std::vector<CertificateFacts>& TlsContext::certificates() const { return parts_->facts; }

ssl_ctx_st* TlsContext::initial() const { return parts_->contexts.front().get(); }

Result<std::shared_ptr<const TlsContext>, std::string> TlsContext::load(const TlsOptions& options) {
    std::vector<LoadedPair> pairs;
    for (const KeyPair& files : options.pairs) {
        auto loaded = load_pair(files);
        if (loaded.has_error()) {
            return loaded.error();
        }
        pairs.push_back(std::move(*loaded));
    }
    if (pairs.empty()) {
        return std::string("no certificate is given");
    }
    auto parts = std::make_unique<Parts>();
    parts->shared.tickets = options.tickets;
    std::map<std::vector<std::size_t>, SSL_CTX*> made;
    const auto context_with = [&](const std::vector<std::size_t>& chosen) -> Result<SSL_CTX*, std::string> {
        const auto known = made.find(chosen);
        if (known != made.end()) {
            return known->second;
        }
        auto context = make_context(options, parts->shared);
        if (context.has_error()) {
            return context.error();
        }
        for (const std::size_t i : chosen) {
            const LoadedPair& pair = pairs[i];
            if (::SSL_CTX_use_cert_and_key(context->get(), pair.certificate.get(), pair.key.get(), pair.chain.get(),
                                           1) != 1) {
                return pair.facts.file + ": cannot be used: " + openssl_error();
            }
        }
        parts->contexts.push_back(std::move(*context));
        return made[chosen] = parts->contexts.back().get();
    };
    const auto fallback = context_with(default_pairs(pairs));
    if (fallback.has_error()) {
        return fallback.error();
    }
    for (const LoadedPair& pair : pairs) {
        for (const std::string& name : pair.facts.names) {
            const auto context = context_with(pairs_for(pairs, name));
            if (context.has_error()) {
                return context.error();
            }
            parts->shared.by_name[name] = *context;
        }
    }
    for (LoadedPair& pair : pairs) {
        parts->facts.push_back(std::move(pair.facts));
    }
    return std::shared_ptr<const TlsContext>(new TlsContext(std::move(parts)));
}

}  // namespace postern::smtp_server
