// The client's side of a login, by libgsasl. No I/O. Source: RFC 4422; RFC 5802 and 7677 (SCRAM, which shows no
// password and makes the server prove that it knows it), RFC 4616 (PLAIN).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lmtp-client/tls.hpp"

namespace postern::lmtp_client::detail {

/// Mechanisms that are spoken here, the best one first.
inline constexpr std::string_view login_mechanisms[] = {"SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"};

class SaslClient {
public:
    /// `mechanism`: one of login_mechanisms.
    SaslClient(std::string_view mechanism, const Security::Login& login);
    ~SaslClient();
    SaslClient(const SaslClient&) = delete;
    SaslClient& operator=(const SaslClient&) = delete;

    /// What to answer to `challenge`, both in base64; at the first call it is empty, and the answer the initial
    /// response. nullopt: nothing can be answered, problem() says why.
    [[nodiscard]] std::optional<std::string> step(const std::string& challenge);
    /// All has been said, and the server has proved what it has to prove.
    [[nodiscard]] bool is_done() const noexcept { return done_; }
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
    std::string problem_;
    bool done_ = false;
};

}  // namespace postern::lmtp_client::detail
