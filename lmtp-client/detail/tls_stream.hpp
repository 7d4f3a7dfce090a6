// One TLS session as a state machine over memory, the client's end: what the peer sent goes in, what goes to the peer
// comes out. Knows no socket. OpenSSL stays in the .cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lmtp-client/tls.hpp"

namespace postern::lmtp_client::detail {

class TlsStream {
public:
    /// `security` has a context. `host`: its host or, when it names none, the endpoint's: a name, sent as SNI, or an IP
    /// address.
    TlsStream(const Security& security, const std::string& host);
    ~TlsStream();
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    enum class Progress : std::uint8_t { ready, wants_input, failed };
    /// Until it is ready or has failed: send take_output(), then feed() what comes, and again.
    [[nodiscard]] Progress handshake();
    /// Once it is ready: "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384".
    [[nodiscard]] std::string description() const;
    /// Why it failed, or ended.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

    /// What came from the peer.
    void feed(std::string_view octets);
    /// What must go to the peer; empty: nothing.
    [[nodiscard]] std::string take_output();

    /// Plaintext that has come, at most the size of `into`. 0: none yet, or has_ended().
    [[nodiscard]] std::size_t read(std::span<char> into);
    /// The peer has ended the session, or broken it.
    [[nodiscard]] bool has_ended() const noexcept { return ended_; }
    /// False: the session is broken.
    [[nodiscard]] bool write(std::string_view plaintext);

private:
    void check_certificate(const std::string& host);
    void check_dane(const Security::Dane& dane, const std::string& host);

    struct Impl;
    std::unique_ptr<Impl> impl_;
    std::string error_;
    bool ended_ = false;
};

}  // namespace postern::lmtp_client::detail
