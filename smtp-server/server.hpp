// The receiving side as a whole: listeners, I/O threads, sessions.
//
//     Server server(hooks, options);
//     if (auto error = server.open(listeners)) { ... }   // as root, perhaps
//     ... drop privileges ...
//     server.start();
//     ...
//     server.stop(grace);   // from any thread
//     server.wait();
//
// Each I/O thread has its own io_context and, for every TCP address, its own listening socket (SO_REUSEPORT); a session
// stays on the thread that accepted it. A Unix socket is served by one of the threads.
//
// Threads: open(), start(), wait() and the destructor from one thread; all else from any.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "smtp-server/hooks.hpp"
#include "smtp-server/listener_options.hpp"

namespace postern::smtp_server {

struct ServerOptions {
    std::size_t threads = 2;  ///< at least 1
    /// Begins every session id; the rest counts up from 1. Something that differs from one start to the next.
    std::string session_id_prefix;
    /// Told, on an I/O thread, of what an operator should know: no descriptors left to accept with, a hook that threw.
    /// May be empty. Must not throw.
    std::function<void(const std::string& problem)> on_problem;
};

struct ServerCounters {
    std::uint64_t connections = 0;        ///< now
    std::uint64_t connections_total = 0;  ///< since the start, without `refused`
    std::uint64_t refused = 0;            ///< turned away by `connections` or `connections_per_client`
    std::uint64_t messages = 0;           ///< whose content was answered with 2xx, for at least one recipient
    std::uint64_t tls_full = 0;           ///< handshakes that were made whole
    std::uint64_t tls_resumed = 0;        ///< handshakes that took an earlier session up
    std::uint64_t tls_failed = 0;         ///< handshakes begun and not finished
};

class Server {
public:
    /// `hooks` outlives the server.
    Server(Hooks& hooks, ServerOptions options);
    /// Closes what is still open at once, and waits as wait_for(10 s) does. After that no hook may resume a session any
    /// more: so first let whatever still holds one (a store) answer everything.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Opens all listeners, or none. Nothing: done. Else what went wrong, beginning with the listener's name. Clients
    /// may connect from here on; they are greeted after start().
    [[nodiscard]] std::optional<std::string> open(const std::vector<ListenerOptions>& listeners);

    /// The port that a TCP listener is bound to; 0 for a Unix socket. After open().
    [[nodiscard]] std::uint16_t port(std::size_t listener) const;

    /// The executors of the I/O threads: where hooks are called, and where their awaitables resume.
    [[nodiscard]] std::vector<boost::asio::any_io_executor> executors() const;

    void start();

    /// Sessions that begin from now on follow `session`. Not nullptr; the protocol should stay.
    void replace(std::size_t listener, std::shared_ptr<const SessionOptions> session);

    /// Stops accepting. A session between two commands ends with 421 4.3.2; one that receives content goes on to the
    /// end of it, for `grace` at most. A second call can shorten the grace. Returns at once.
    void stop(std::chrono::milliseconds grace);

    /// Waits until all sessions are over and the threads have ended. Only after stop(); ends when every hook has
    /// answered.
    void wait();
    /// The same, for `patience` at most. False: some session still waits for a hook.
    [[nodiscard]] bool wait_for(std::chrono::milliseconds patience);

    [[nodiscard]] ServerCounters counters() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postern::smtp_server
