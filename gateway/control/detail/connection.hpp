// One client of the control API, from its first octet to the close. Threads: one; blocks.
#pragma once

#include <functional>
#include <string>

#include "gateway/control/detail/socket_stream.hpp"
#include "gateway/control/server.hpp"

namespace postern::control::detail {

/// Who is at the other end, as the kernel knows it: the user's name, or "uid 1234".
[[nodiscard]] std::string peer_name(int descriptor);
/// The same of a user id.
[[nodiscard]] std::string user_name(unsigned uid);

/// Reads one request, does it, answers.
void serve_connection(SocketStream& stream, const ServerOptions& options, const queue::Clock& clock,
                      const Server::OpenReader& open_reader, LiveGateway& gateway);

}  // namespace postern::control::detail
