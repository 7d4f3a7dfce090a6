// Clients that say and hear octets, whatever they mean.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/control/detail/socket_stream.hpp"

namespace postern::control::test {

/// Sends until it is all gone or the server has had enough.
inline void send(const detail::Descriptor& to, std::string_view text) {
    while (!text.empty()) {
        pollfd entry{to.get(), POLLOUT, 0};
        ::poll(&entry, 1, -1);
        const ssize_t count = ::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN) {
            return;
        }
        text.remove_prefix(count < 0 ? 0 : static_cast<std::size_t>(count));
    }
}

/// All that the server says until it closes.
inline std::string read_all(const detail::Descriptor& from) {
    std::string text;
    char part[4096];
    for (;;) {
        pollfd entry{from.get(), POLLIN, 0};
        ::poll(&entry, 1, -1);
        const ssize_t count = ::recv(from.get(), part, sizeof(part), 0);
        if (count <= 0) {
            return text;
        }
        text.append(part, static_cast<std::size_t>(count));
    }
}

/// To this machine.
inline detail::Descriptor connect_tcp(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    detail::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return {};
    }
    return socket;
}

}  // namespace postern::control::test
