#include "gateway/main/inherited_sockets.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace postern::gateway {

namespace {

/// Where a socket is bound.
struct Place {
    int family = AF_UNSPEC;
    std::array<unsigned char, 16> ip{};
    std::uint16_t port = 0;
    std::string path;
    friend bool operator==(const Place&, const Place&) = default;
};

Place place_of(int descriptor) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    Place place;
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
        return place;
    }
    place.family = storage.ss_family;
    if (place.family == AF_INET) {
        sockaddr_in address{};
        std::memcpy(&address, &storage, sizeof address);
        std::memcpy(place.ip.data(), &address.sin_addr, sizeof address.sin_addr);
        place.port = ntohs(address.sin_port);
    } else if (place.family == AF_INET6) {
        sockaddr_in6 address{};
        std::memcpy(&address, &storage, sizeof address);
        std::memcpy(place.ip.data(), &address.sin6_addr, sizeof address.sin6_addr);
        place.port = ntohs(address.sin6_port);
    } else if (place.family == AF_UNIX) {
        sockaddr_un address{};
        std::memcpy(&address, &storage, sizeof address);
        place.path = std::string(address.sun_path, ::strnlen(address.sun_path, sizeof address.sun_path));
    }
    return place;
}

Place place_of(const config::Address& address) {
    Place place;
    if (!address.unix_path.empty()) {
        place.family = AF_UNIX;
        place.path = address.unix_path;
        return place;
    }
    place.family = address.host.find(':') == std::string::npos ? AF_INET : AF_INET6;
    place.port = address.port;
    ::inet_pton(place.family, address.host.c_str(), place.ip.data());
    return place;
}

std::string text_of(const Place& place) {
    if (place.family == AF_UNIX) {
        return "unix:" + place.path;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (::inet_ntop(place.family, place.ip.data(), text.data(), text.size()) == nullptr) {
        return "a socket of an unknown kind";
    }
    const std::string ip = text.data();
    return (place.family == AF_INET6 ? '[' + ip + ']' : ip) + ':' + std::to_string(place.port);
}

}  // namespace

Result<std::vector<int>, std::string> inherited_sockets(const config::Config& config) {
    std::vector<int> descriptors(config.listeners.size(), -1);
    const int count = ::sd_listen_fds(1);
    for (int descriptor = SD_LISTEN_FDS_START; descriptor < SD_LISTEN_FDS_START + count; ++descriptor) {
        const Place place = place_of(descriptor);
        if (::sd_is_socket(descriptor, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
            return "the service manager passed " + text_of(place) + ", which does not listen (Accept=no is wanted)";
        }
        const auto same = std::find_if(config.listeners.begin(), config.listeners.end(),
                                       [&](const auto& listener) { return place_of(listener.address) == place; });
        if (same == config.listeners.end()) {
            return "the service manager passed a socket at " + text_of(place) +
                   ", which no listener names as its `address`";
        }
        descriptors.at(static_cast<std::size_t>(same - config.listeners.begin())) = descriptor;
    }
    return descriptors;
}

}  // namespace postern::gateway
