// What a listener is told: where it listens, and how its sessions behave. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "smtp-server/envelope.hpp"
#include "smtp-server/limits.hpp"

namespace postern::smtp_server {

/// How sessions behave. A session keeps the snapshot that it began with; a reload gives later sessions another.
struct SessionOptions {
    Protocol protocol = Protocol::smtp;
    std::string hostname;  ///< ASCII; in the greeting and EHLO's reply, and the domain of a bare <postmaster>
    BareNewline bare_newline = BareNewline::normalize;
    Limits limits;
    /// Whether a client may relay; such a one is also spared `connections_per_client` and `errors_per_session`.
    /// Called on any I/O thread, with an IP address as text ("" on a Unix socket). Empty: nobody is trusted.
    std::function<bool(const std::string& ip)> trusted;
};

struct ListenerOptions {
    std::string name;                ///< the address as configured: in errors, and SessionInfo::listener
    std::string host;                ///< an IP address, with or without brackets; an IPv6 one never takes IPv4 clients
    std::uint16_t port = 0;          ///< 0: any free one, see Server::port()
    std::string unix_path;           ///< not empty: a Unix socket, `host` and `port` unused
    std::uint32_t unix_mode = 0666;  ///< of the socket's file; who may reach it is its folder's to say
    std::shared_ptr<const SessionOptions> session;  ///< never nullptr
};

}  // namespace postern::smtp_server
