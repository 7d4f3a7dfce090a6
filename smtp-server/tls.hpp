// What a listener needs to speak TLS: its certificates and keys, read once, as an immutable snapshot that sessions
// share. Knows no socket.
//
// A listener may have several pairs of certificate and key: of another kind of key for the same names (ECDSA beside
// RSA: the client chooses), and for other names (chosen by SNI, RFC 6066 section 3). The first pair is what a client
// gets who asks for no name, or for one that nobody has.
//
// TLS 1.2 and up; no compression, no renegotiation, no early data. Of TLS 1.2 the suites with forward secrecy.
//
// Threads: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "queue/mail/result.hpp"
#include "smtp-server/ticket_keys.hpp"

struct ssl_ctx_st;

namespace postern::smtp_server {

/// Files in PEM. `certificate` holds the chain, the server's own first; `key` may be the same file.
struct KeyPair {
    std::string certificate;
    std::string key;
    KeyPair(std::string certificate_file, std::string key_file)
        : certificate(std::move(certificate_file)), key(std::move(key_file)) {}
    friend bool operator==(const KeyPair&, const KeyPair&) = default;
};

struct TlsOptions {
    std::vector<KeyPair> pairs;  ///< at least one
    /// Tells services apart: a ticket of one is worth nothing at another.
    std::string service;
    /// Ask the client for a certificate. It may have none, and it is not verified: only noted.
    bool ask_client_certificate = false;
    std::shared_ptr<TicketKeys> tickets;  ///< never nullptr
};

/// A certificate in use, for an operator.
struct CertificateFacts {
    std::string file;
    std::string key_kind;            ///< "RSA 2048", "ECDSA P-256", ...
    std::vector<std::string> names;  ///< DNS names, lower case; a stranger's text, perhaps
    std::chrono::system_clock::time_point not_before;
    std::chrono::system_clock::time_point not_after;
};

class TlsContext {
public:
    /// Reads and checks the files. The error says which file, what is wrong, and what to do.
    [[nodiscard]] static Result<std::shared_ptr<const TlsContext>, std::string> load(const TlsOptions& options);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    /// One for each pair, in their order.
    [[nodiscard]] const std::vector<CertificateFacts>& certificates() const;
    /// What a new connection begins with; lives as long as this.
    [[nodiscard]] ssl_ctx_st* initial() const;

private:
    struct Parts;
    explicit TlsContext(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace postern::smtp_server
