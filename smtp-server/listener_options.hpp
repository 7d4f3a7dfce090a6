// What a listener is told: where it listens, and how its sessions behave. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "smtp-server/envelope.hpp"
#include "smtp-server/limits.hpp"
#include "smtp-server/tls.hpp"

namespace postern::smtp_server {

/// What TLS is to a listener that has a certificate.
enum class TlsUse : std::uint8_t {
    offered,   ///< STARTTLS (RFC 3207); who does not want it goes on in clear
    required,  ///< STARTTLS; without it nothing but EHLO, NOOP, QUIT (530). Not for the MX of a domain: RFC 3207
               ///< section 4
    implicit,  ///< from the first octet; STARTTLS is not offered
};

/// How sessions behave. A session keeps the snapshot that it began with; a reload gives later sessions another.
struct SessionOptions {
    Protocol protocol = Protocol::smtp;
    std::string hostname;  ///< ASCII; in the greeting and EHLO's reply, and the domain of a bare <postmaster>
    BareNewline bare_newline = BareNewline::normalize;
    Limits limits;
    std::shared_ptr<const TlsContext> tls;  ///< nullptr: no TLS
    TlsUse tls_use = TlsUse::offered;
    /// Whether REQUIRETLS (RFC 8689) is offered, in TLS: who takes the mail further can keep that promise.
    bool require_tls = false;
    /// Whether a client may relay; such a one is also spared `connections_per_client` and `errors_per_session`.
    /// Called on any I/O thread, with an IP address as text ("" on a Unix socket). Empty: nobody is trusted.
    std::function<bool(const std::string& ip)> trusted;
    /// Whether who connects from there is a balancer, which says first who the client is (PROXY protocol, version 1 or
    /// 2), and must. As `trusted`. Empty: nobody is.
    std::function<bool(const std::string& ip)> balancer;
    /// Whether who talks before its turn is hung up on: before the greeting, behind EHLO before its reply, behind DATA
    /// before the 354. No mail server does (RFC 5321 section 4.3.1, RFC 2920 section 3.1); what does is a robot, or a
    /// browser that was led here.
    bool hang_up_on_early_talk = false;
    /// How long the greeting waits, for early talkers to betray themselves. Not for trusted clients.
    std::chrono::milliseconds greeting_delay{0};
};

struct ListenerOptions {
    std::string name;        ///< the address as configured: in errors, and SessionInfo::listener
    std::string host;        ///< an IP address, with or without brackets; an IPv6 one never takes IPv4 clients
    std::uint16_t port = 0;  ///< 0: any free one, see Server::port()
    std::string unix_path;   ///< not empty: a Unix socket, `host` and `port` unused
    /// Not negative: a socket that listens already, at this address; it is not closed or unlinked here.
    int inherited = -1;
    std::uint32_t unix_mode = 0666;                 ///< of the socket's file; who may reach it is its folder's to say
    std::shared_ptr<const SessionOptions> session;  ///< never nullptr
};

}  // namespace postern::smtp_server
