// Every bound of the receiving side, in one place. Defaults are the contract's.
#pragma once

#include <chrono>
#include <cstdint>

namespace postern::smtp_server {

/// What a bare CR or LF in the data becomes (SMTP smuggling; RFC 5321 section 2.3.8).
enum class BareNewline : std::uint8_t { normalize, reject };

struct Limits {
    std::uint64_t message_size = 50ULL << 20;     ///< octets of content; announced as SIZE (RFC 1870)
    std::uint32_t recipients_per_message = 1000;  ///< never below 100 (RFC 5321 section 4.5.3.1.8)
    std::uint32_t connections = 2000;             ///< in all
    std::uint32_t connections_per_client = 50;    ///< per IPv4 address or IPv6 /64
    // Of one client (as above), by the minute; as many may come at once. 0: no limit. Not of clients on this machine.
    std::uint32_t connections_per_minute = 120;
    std::uint32_t messages_per_minute = 600;     ///< MAIL; then 450
    std::uint32_t recipients_per_minute = 3000;  ///< RCPT; then 450
    std::uint32_t errors_per_minute = 60;        ///< replies 5xx; then 421, also to new connections
    std::uint32_t errors_per_session = 10;       ///< replies 5xx to commands; then 421
    std::uint32_t commands_without_mail = 100;   ///< NOOP, RSET, EHLO, ..., MAIL and RCPT answered 4xx; then 421
    std::chrono::milliseconds command_timeout = std::chrono::minutes(5);  ///< for a whole command line (4.5.3.2.7)
    /// In place of it, once four fifths of `connections` are taken: who is slow makes room. The time for a message and
    /// for a handshake shrinks by the same factor, but not below this. 0: never.
    std::chrono::milliseconds stress_timeout = std::chrono::seconds(10);
    std::chrono::milliseconds data_timeout =
        std::chrono::minutes(10);  ///< for a whole message, extended by progress: see session
    std::chrono::milliseconds handshake_timeout =
        std::chrono::seconds(30);         ///< of TLS, from its first octet to its last
    std::uint32_t received_headers = 50;  ///< hops; more is a loop (RFC 5321 section 6.3)
    std::size_t command_line = 4096;      ///< octets with CRLF; above the 512 plus all extensions
    std::size_t chunk = 256 * 1024;       ///< octets of content held before they go to the sink
};

}  // namespace postern::smtp_server
