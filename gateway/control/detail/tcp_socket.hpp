// A listening TCP socket on an IP address.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/control/detail/socket_stream.hpp"

namespace postern::control::detail {

/// Binds and listens, without blocking; [::] is IPv6 alone. An error text that names the address when it cannot.
[[nodiscard]] Result<Descriptor, std::string> listen_tcp(const std::string& ip, std::uint16_t port);

/// The port that it is bound to.
[[nodiscard]] std::uint16_t port_of(const Descriptor& socket);

}  // namespace postern::control::detail
