// Checks a store against RFC 2033 without giving it a message: no content is ever sent, so nothing can be stored. For
// `postern backend conformance`.
//
// Source: RFC 2033 sections 4.1, 4.2 and 5; RFC 3207; RFC 5321 sections 4.1.1 and 4.2; RFC 2920; RFC 2034.
// Threads: the caller's. Blocks, on sockets of its own, within the time limits.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "lmtp-client/tls.hpp"
#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client {

struct ConformanceOptions {
    std::string hostname;  ///< for LHLO
    Security security;     ///< as mail for it goes; most checks are made within it
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
    std::chrono::milliseconds reply_timeout = std::chrono::seconds(30);  ///< for each reply
    std::optional<mail::Mailbox> recipient;  ///< one that the store should accept; none: that is not checked
    std::string nobody = "postern-conformance-no-such-mailbox@invalid.invalid";  ///< one that it should refuse
};

struct ConformanceCheck {
    enum class Result : std::uint8_t { pass, fail, cannot_tell };
    Result result = Result::cannot_tell;
    std::string what;         ///< "HELO is refused"
    std::string clause;       ///< "RFC 2033 4.1"
    std::string seen;         ///< the store's answer: a stranger's text
    std::string consequence;  ///< what this client does because of it; empty: nothing otherwise than with any store
};

/// In the order in which they were made. The first is the connection; when that fails it is the only one.
[[nodiscard]] std::vector<ConformanceCheck> check_conformance(const Endpoint& endpoint,
                                                              const ConformanceOptions& options);

}  // namespace postern::lmtp_client
