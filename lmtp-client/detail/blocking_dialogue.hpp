// One blocking connection to a store, line by line, for tools that ask it something and may wait. Deliveries do not use
// it. Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lmtp-client/detail/reply_parser.hpp"
#include "lmtp-client/detail/tls_stream.hpp"
#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client::detail {

class BlockingDialogue {
public:
    using Clock = std::chrono::steady_clock;

    BlockingDialogue() = default;
    ~BlockingDialogue();
    BlockingDialogue(const BlockingDialogue&) = delete;
    BlockingDialogue& operator=(const BlockingDialogue&) = delete;

    /// Empty: connected. Else why not.
    [[nodiscard]] std::string connect(const Endpoint& endpoint, std::chrono::milliseconds patience);
    /// From here on in TLS; the server has said that it is ready. Empty: it is. Else why not: the connection is of no
    /// more use.
    [[nodiscard]] std::string start_tls(const Security& security, const std::string& host,
                                        std::chrono::milliseconds patience);
    /// Of the session; empty: in clear.
    [[nodiscard]] std::string tls() const { return tls_ ? tls_->description() : std::string(); }
    /// False: the connection is gone; error() says why.
    bool send(std::string_view bytes);
    /// The next reply. nullopt: none came; error() says why.
    [[nodiscard]] std::optional<mail::Reply> reply(std::chrono::milliseconds patience);
    /// The store closes within `patience` and says nothing more.
    [[nodiscard]] bool closes(std::chrono::milliseconds patience);
    /// Something that nothing asked for has come within `patience`.
    [[nodiscard]] bool says_more(std::chrono::milliseconds patience);
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

private:
    enum class Read : std::uint8_t { bytes, end, nothing };
    /// More octets of the stream into input_.
    Read read_some(Clock::time_point until);
    Read receive(Clock::time_point until, std::string& into);
    bool transmit(std::string_view octets);

    int descriptor_ = -1;
    std::unique_ptr<TlsStream> tls_;
    std::string input_;
    std::string error_;
};

}  // namespace postern::lmtp_client::detail
