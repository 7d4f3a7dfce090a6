// Where a host that takes mail is, and how it has to be spoken to.
//
// Source: RFC 5321 section 5.1 (addresses), RFC 7672 sections 2 and 3.1 (when TLSA records are asked for, what they
// mean, and what it means that they cannot be had).
// Threads: that of the coroutine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gateway/dns/resolver.hpp"
#include "gateway/outgoing/exchanges.hpp"
#include "gateway/outgoing/options.hpp"
#include "lmtp-client/tls.hpp"

namespace postern::outgoing {

struct Host {
    std::string name;
    std::vector<std::string> addresses;  ///< to be tried in this order; none: it is not there
    lmtp_client::Security security;
    bool is_own = false;        ///< one of its addresses is this gateway's
    bool is_forbidden = false;  ///< it has addresses, and mail must go to none of them
    std::string problem;        ///< why nothing may be sent to it now; empty: nothing
};

/// Whom and what a host is looked up for.
struct HostQuestion {
    std::string domain;  ///< in A-labels
    Exchange exchange;
    bool is_secure = false;  ///< DNS proves that this host takes the domain's mail
    std::uint16_t port = 25;
};

/// Asks for addresses, and where they are secure for TLSA records.
[[nodiscard]] boost::asio::awaitable<Host> find_host(dns::Resolver& resolver, HostQuestion question,
                                                     std::shared_ptr<const Options> options);

/// `ip`: of an address literal, which says all that there is.
[[nodiscard]] Host literal_host(const std::string& ip, const Options& options);

/// What the records say together: the certificate is theirs or, if none of them can be used for mail, at least the
/// connection is encrypted.
[[nodiscard]] lmtp_client::Security secured_by(const std::vector<dns::Tlsa>& records, lmtp_client::Security otherwise);

}  // namespace postern::outgoing
