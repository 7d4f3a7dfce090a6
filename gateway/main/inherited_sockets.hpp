// Listening sockets that the service manager has opened for us (systemd.socket, sd_listen_fds): so port 25 needs no
// privilege, and no client is refused while the gateway restarts.
#pragma once

#include <string>
#include <vector>

#include "gateway/config/config.hpp"
#include "queue/mail/result.hpp"

namespace postern::gateway {

/// For each listener of the configuration the descriptor that is open at its address; -1: there is none, and it opens
/// its own. The error names what is wrong: a socket that no listener names, or that does not listen. To be called once,
/// before threads.
[[nodiscard]] Result<std::vector<int>, std::string> inherited_sockets(const config::Config& config);

}  // namespace postern::gateway
