#include "gateway/control/detail/tcp_socket.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

namespace postern::control::detail {
namespace {

constexpr int tcp_backlog = 1024;  // a flood of strangers should not fill it before whoever is honest comes

struct InternetAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
};

std::optional<InternetAddress> internet_address(const std::string& ip, std::uint16_t port) {
    InternetAddress address;
    sockaddr_in four{};
    sockaddr_in6 six{};
    if (::inet_pton(AF_INET, ip.c_str(), &four.sin_addr) == 1) {
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        address.length = sizeof(four);
        std::memcpy(&address.storage, &four, sizeof(four));
        return address;
    }
    if (::inet_pton(AF_INET6, ip.c_str(), &six.sin6_addr) == 1) {
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(port);
        address.length = sizeof(six);
        std::memcpy(&address.storage, &six, sizeof(six));
        return address;
    }
    return std::nullopt;
}

bool listen_at(const Descriptor& socket, const InternetAddress& address) {
    const int on = 1;
    const auto set = [&](int level, int option) {
        return ::setsockopt(socket.get(), level, option, &on, sizeof(on)) == 0;
    };
    return socket && set(SOL_SOCKET, SO_REUSEADDR) && set(IPPROTO_TCP, TCP_NODELAY) &&  // accepted sockets take it over
           (address.storage.ss_family != AF_INET6 || set(IPPROTO_IPV6, IPV6_V6ONLY)) &&
           ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0 &&
           ::listen(socket.get(), tcp_backlog) == 0;
}

}  // namespace

Result<Descriptor, std::string> listen_tcp(const std::string& ip, std::uint16_t port) {
    const bool is_six = ip.find(':') != std::string::npos;
    const std::string name = fmt::format("{}{}{}:{}", is_six ? "[" : "", ip, is_six ? "]" : "", port);
    const auto address = internet_address(ip, port);
    if (!address) {
        return name + ": not an IP address to listen on";
    }
    Descriptor socket(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listen_at(socket, *address)) {
        return fmt::format("{}: cannot listen: {}", name, std::generic_category().message(errno));
    }
    return socket;
}

std::uint16_t port_of(const Descriptor& socket) {
    sockaddr_storage bound{};
    socklen_t length = sizeof(bound);
    if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
        return 0;
    }
    sockaddr_in6 six{};
    sockaddr_in four{};
    std::memcpy(&six, &bound, sizeof(six));
    std::memcpy(&four, &bound, sizeof(four));
    return ntohs(bound.ss_family == AF_INET6 ? six.sin6_port : four.sin_port);
}

}  // namespace postern::control::detail
