// What the way to other domains is told by the configuration. Immutable; a reload makes a new one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "lmtp-client/tls.hpp"

namespace postern::outgoing {

struct Options {
    std::string hostname;     ///< ours: an MX of this name is this gateway
    std::uint16_t port = 25;  ///< of every domain's servers
    std::shared_ptr<const lmtp_client::TlsContext> context;
    std::set<std::string>
        tls_required;  ///< domains, lower case: encrypted, and with a valid certificate, or not at all
    /// Whether this gateway itself listens at an address on `port`.
    std::function<bool(const std::string& ip)> is_own;
    /// Whether no mail goes to an address, whatever DNS says.
    std::function<bool(const std::string& ip)> is_forbidden;
};

}  // namespace postern::outgoing
