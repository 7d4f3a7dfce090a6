// Whether and how a connection is encrypted, and as whom we speak on it.
//
// Source: RFC 3207 (STARTTLS), RFC 7435 (opportunistic: better than nothing, and no worse), RFC 4954 (AUTH), RFC
// 6698 and 7672 (certificates held against what a signed zone says of them).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/mail/result.hpp"

namespace postern::lmtp_client {

/// What all connections share: protocol versions and whose certificates are believed. Immutable; any thread.
class TlsContext {
public:
    /// `authorities`: a PEM file; empty: the system's. The error says what is wrong with it.
    [[nodiscard]] static Result<std::shared_ptr<const TlsContext>, std::string> make(const std::string& authorities);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    struct Impl;
    [[nodiscard]] const Impl& impl() const { return *impl_; }

private:
    explicit TlsContext(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

struct Security {
    enum class Tls : std::uint8_t {
        off,
        opportunistic,  ///< when it is offered and works, with whatever certificate; else in clear
        encrypted,      ///< or not at all, with whatever certificate
        required,       ///< or not at all, and the certificate must be valid for the host, or be the one of `dane`
    };
    Tls tls = Tls::off;
    std::shared_ptr<const TlsContext> context;  ///< not nullptr unless `off`
    std::string host;  ///< the name to ask for and to be found in the certificate; empty: the endpoint's

    /// What a signed zone says of the certificates of `host`. With it the authorities do not count.
    struct Dane {
        struct Record {
            std::uint8_t usage = 0;
            std::uint8_t selector = 0;
            std::uint8_t matching = 0;
            std::string data;  ///< octets
            friend bool operator==(const Record&, const Record&) = default;
        };
        std::vector<Record> records;     ///< those that cannot be used are passed over; none left: as `encrypted`
        std::vector<std::string> names;  ///< beside `host`, that a certificate may have (RFC 7672 section 3.2.3)
        friend bool operator==(const Dane&, const Dane&) = default;
    };
    std::optional<Dane> dane;  ///< with `required`

    struct Login {
        std::string user;
        std::string password;
        friend bool operator==(const Login&, const Login&) = default;
    };
    std::optional<Login> login;  ///< AUTH; only with `required`: a password never goes out in clear, or to a stranger

    friend bool operator==(const Security&, const Security&) = default;
};

}  // namespace postern::lmtp_client
