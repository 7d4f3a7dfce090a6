#include "smtp-server/detail/listener.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "smtp-server/detail/awaited.hpp"

namespace postern::smtp_server::detail {

namespace asio = boost::asio;

namespace {

constexpr int backlog = 1024;
constexpr std::chrono::milliseconds accept_pause{200};
constexpr std::chrono::seconds problem_pause{10};

std::string last_error(const std::string& name, const char* what) {
    return name + ": " + what + ": " + std::generic_category().message(errno);
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;
};

std::optional<SocketAddress> tcp_address(std::string host, std::uint16_t port) {
    if (host.size() > 2 && host.front() == '[') {
        host = host.substr(1, host.size() - 2);
    }
    SocketAddress address;
    sockaddr_in six4{};
    six4.sin_family = AF_INET;
    six4.sin_port = htons(port);
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &six4.sin_addr) == 1) {
        std::memcpy(&address.storage, &six4, sizeof six4);
        address.length = sizeof six4;
        return address;
    }
    if (::inet_pton(AF_INET6, host.c_str(), &six.sin6_addr) == 1) {
        std::memcpy(&address.storage, &six, sizeof six);
        address.length = sizeof six;
        return address;
    }
    return std::nullopt;
}

std::uint16_t port_of(const sockaddr_storage& storage) {
    if (storage.ss_family == AF_INET) {
        sockaddr_in address{};
        std::memcpy(&address, &storage, sizeof address);
        return ntohs(address.sin_port);
    }
    sockaddr_in6 address{};
    std::memcpy(&address, &storage, sizeof address);
    return ntohs(address.sin6_port);
}

std::string ip_of(const sockaddr_storage& storage) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (storage.ss_family == AF_INET) {
        sockaddr_in address{};
        std::memcpy(&address, &storage, sizeof address);
        ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
    } else if (storage.ss_family == AF_INET6) {
        sockaddr_in6 address{};
        std::memcpy(&address, &storage, sizeof address);
        if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {  // of a passed socket that takes both families
            ::inet_ntop(AF_INET, &address.sin6_addr.s6_addr[12], text.data(), text.size());
        } else {
            ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
        }
    }
    return text.data();
}

int tcp_socket(int family) {
    const int descriptor = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6) {
        ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    return descriptor;
}

/// SO_REUSEPORT would let a second process of the same user take half of our clients without a word. So the first
/// socket of an address is tried without it.
std::optional<std::string> somebody_listens(const std::string& name, const SocketAddress& address) {
    const int probe = tcp_socket(address.storage.ss_family);
    std::optional<std::string> error;
    if (probe >= 0 && ::bind(probe, reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
        error = last_error(name, "cannot listen");
    }
    if (probe >= 0) {
        ::close(probe);
    }
    return error;
}

/// Somebody answers on the Unix socket: it must not be taken away from him.
bool is_alive(const sockaddr_un& address) {
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool alive = probe >= 0 && ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    if (probe >= 0) {
        ::close(probe);
    }
    return alive;
}

}  // namespace

Listener::Listener(IoThread& thread, ListenerState& state, const std::function<void(const std::string&)>& on_problem)
    : thread_(thread), state_(state), on_problem_(on_problem), acceptor_(thread.context()), pause_(thread.context()) {}

Listener::~Listener() {
    if (unlink_) {
        ::unlink(state_.options.unix_path.c_str());
    }
}

std::optional<std::string> Listener::open() {
    if (state_.options.inherited >= 0) {
        return open_inherited();
    }
    return state_.options.unix_path.empty() ? open_tcp() : open_unix();
}

/// All threads accept from the one queue of such a socket.
std::optional<std::string> Listener::open_inherited() {
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    const int descriptor = ::fcntl(state_.options.inherited, F_DUPFD_CLOEXEC, 0);
    if (descriptor < 0 || ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
        std::string error = last_error(state_.options.name, "cannot use the socket that was passed");
        ::close(descriptor);
        return error;
    }
    if (bound.ss_family != AF_UNIX) {
        const int on = 1;
        ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        state_.port = port_of(bound);
    }
    return take_over(descriptor, bound.ss_family);
}

std::optional<std::string> Listener::open_tcp() {
    const ListenerOptions& options = state_.options;
    const std::uint16_t port = state_.port != 0 ? state_.port : options.port;
    const auto address = tcp_address(options.host, port);
    if (!address) {
        return options.name + ": not an IP address to listen on";
    }
    const int family = address->storage.ss_family;
    if (state_.port == 0 && port != 0) {
        if (auto error = somebody_listens(options.name, *address)) {
            return error;
        }
    }
    const int descriptor = tcp_socket(family);
    if (descriptor < 0) {
        return last_error(options.name, "cannot make a socket");
    }
    const int on = 1;
    ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets take it over
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address->storage), address->length) != 0) {
        std::string error = last_error(options.name, "cannot listen");
        ::close(descriptor);
        return error;
    }
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &length);
    state_.port = port_of(bound);
    return take_over(descriptor, family);
}

std::optional<std::string> Listener::open_unix() {
    const ListenerOptions& options = state_.options;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (options.unix_path.size() >= sizeof address.sun_path) {
        return options.name + ": the path is too long for a Unix socket";
    }
    std::memcpy(address.sun_path, options.unix_path.c_str(), options.unix_path.size() + 1);
    struct stat entry {};
    if (::lstat(options.unix_path.c_str(), &entry) == 0) {
        if (!S_ISSOCK(entry.st_mode)) {
            return options.name + ": there is a file that is no socket";
        }
        if (is_alive(address)) {
            return options.name + ": somebody listens there already";
        }
        ::unlink(options.unix_path.c_str());
    }
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return last_error(options.name, "cannot make a socket");
    }
    if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(options.unix_path.c_str(), options.unix_mode) != 0) {
        std::string error = last_error(options.name, "cannot listen");
        ::close(descriptor);
        return error;
    }
    unlink_ = true;
    return take_over(descriptor, AF_UNIX);
}

std::optional<std::string> Listener::take_over(int descriptor, int family) {
    if (::listen(descriptor, backlog) != 0) {
        std::string error = last_error(state_.options.name, "cannot listen");
        ::close(descriptor);
        return error;
    }
    boost::system::error_code error;
    acceptor_.assign(asio::generic::stream_protocol(family, 0), descriptor, error);
    if (error) {
        ::close(descriptor);
        return state_.options.name + ": " + error.message();
    }
    return std::nullopt;
}

void Listener::start() {
    auto task = accept();
    // It ends when close() closes the acceptor; the owner destroys this only after the thread has ended.
    asio::co_spawn(thread_.context(), std::move(task), asio::detached);
}

void Listener::close() {
    asio::post(thread_.context(), [this] {
        boost::system::error_code ignored;
        acceptor_.close(ignored);
        pause_.cancel();
    });
}

asio::awaitable<void> Listener::accept() {
    while (acceptor_.is_open()) {
        Session::Socket socket(thread_.context());
        asio::generic::stream_protocol::endpoint peer;
        const auto [error] = co_await acceptor_.async_accept(socket, peer, awaited);
        if (!error) {
            try {
                welcome(std::move(socket), peer);
            } catch (const std::exception& problem) {
                tell(std::string("a client was turned away: ") + problem.what());
            }
            continue;
        }
        if (!acceptor_.is_open()) {
            break;
        }
        if (error == asio::error::connection_aborted) {
            continue;  // that client has gone again
        }
        // No descriptors, no memory, a network that is down: the client stays in the kernel's queue; asking again at
        // once would only heat the machine.
        const int code = error.value();
        const bool descriptors = code == EMFILE || code == ENFILE;
        tell("cannot accept: " + error.message() + (descriptors ? "; raise the limit of open files" : ""));
        pause_.expires_after(accept_pause);
        [[maybe_unused]] const auto paused = co_await pause_.async_wait(awaited);
    }
}

// Clients can bring the same problem about a thousand times a second; the operator hears of it once in a while.
void Listener::tell(const std::string& problem) {
    const auto now = std::chrono::steady_clock::now();
    if (on_problem_ && now >= quiet_until_) {
        quiet_until_ = now + problem_pause;
        on_problem_(state_.options.name + ": " + problem);
    }
}

void Listener::welcome(Session::Socket socket, const asio::generic::stream_protocol::endpoint& peer) {
    SessionInfo info;
    auto options = state_.session.load();
    info.listener = state_.options.name;
    info.protocol = options->protocol;
    if (state_.options.unix_path.empty()) {
        sockaddr_storage address{};
        std::memcpy(&address, peer.data(), std::min(peer.size(), sizeof address));
        info.client_address = ip_of(address);
        info.client_port = port_of(address);
    }
    thread_.adopt(std::move(socket), std::move(info), std::move(options));
}

}  // namespace postern::smtp_server::detail
