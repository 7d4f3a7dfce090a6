// A listening socket and its accept loop, on one I/O thread. Of a TCP address each thread has one of its own
// (SO_REUSEPORT).
//
// Threads: open() from the owner before the thread starts; the rest on the thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "queue/mail/snapshot.hpp"
#include "smtp-server/detail/io_thread.hpp"
#include "smtp-server/listener_options.hpp"

namespace postern::smtp_server::detail {

/// What the sockets of one configured listener share.
struct ListenerState {
    ListenerOptions options;
    Snapshot<SessionOptions> session;
    std::uint16_t port = 0;  ///< bound to, once the first socket is open
};

class Listener {
public:
    Listener(IoThread& thread, ListenerState& state, const std::function<void(const std::string&)>& on_problem);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    /// Binds and listens. Nothing: done; else what went wrong.
    [[nodiscard]] std::optional<std::string> open();
    void start();
    /// Any thread.
    void close();

private:
    using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

    [[nodiscard]] std::optional<std::string> open_tcp();
    [[nodiscard]] std::optional<std::string> open_unix();
    [[nodiscard]] std::optional<std::string> open_inherited();
    [[nodiscard]] std::optional<std::string> take_over(int descriptor, int family);
    boost::asio::awaitable<void> accept();
    void tell(const std::string& problem);
    void welcome(Session::Socket socket, const boost::asio::generic::stream_protocol::endpoint& peer);

    IoThread& thread_;
    ListenerState& state_;
    const std::function<void(const std::string&)>& on_problem_;
    Acceptor acceptor_;
    boost::asio::steady_timer pause_;
    std::chrono::steady_clock::time_point quiet_until_{};
    bool unlink_ = false;
};

}  // namespace postern::smtp_server::detail
