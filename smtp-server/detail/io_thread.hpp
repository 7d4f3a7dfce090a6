// One I/O thread: an io_context, the sessions that live on it, and the sweep that keeps their deadlines. A session
// never leaves its thread.
//
// Threads: construct, start(), join() from the owner; post-like functions say so; the rest on the thread.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "smtp-server/detail/client_table.hpp"
#include "smtp-server/detail/session.hpp"

namespace postern::smtp_server::detail {

class IoThread {
public:
    struct Shared {
        Hooks& hooks;
        ClientTable& clients;
        Session::Counters& counters;
        std::atomic<std::uint64_t>& session_numbers;
        const std::string& session_id_prefix;
        const std::function<void(const std::string&)>& on_problem;
    };
    explicit IoThread(Shared shared);
    ~IoThread();
    IoThread(const IoThread&) = delete;
    IoThread& operator=(const IoThread&) = delete;

    [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
    void start();
    /// Any thread. Sessions end as Server::stop() says; at the end of `grace` they are cut.
    void drain(std::chrono::milliseconds grace);
    /// Any thread. All sessions have ended and the thread is about to.
    [[nodiscard]] bool finished() const noexcept { return finished_; }
    void join();

    /// On the thread: begins a session for a client that has connected.
    void adopt(Session::Socket socket, SessionInfo info, std::shared_ptr<const SessionOptions> options);

private:
    void drain_here(std::chrono::milliseconds grace);
    void sweep();
    void report(const std::exception_ptr& problem);
    void turn_away(Session::Socket socket, const SessionInfo& info, const SessionOptions& options,
                   ClientTable::Verdict verdict);
    void forget(std::uint64_t number);
    void end_if_done();

    Shared shared_;
    boost::asio::io_context context_{1};
    std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
    boost::asio::steady_timer sweep_timer_;
    boost::asio::steady_timer grace_timer_;
    std::chrono::milliseconds sweep_interval_{1000};
    std::unordered_map<std::uint64_t, std::unique_ptr<Session>> sessions_;
    std::string scratch_;
    Session::SteadyClock::time_point quiet_until_{};  // for the log of who is turned away
    bool draining_ = false;
    std::atomic<bool> finished_{false};
    std::thread thread_;
};

}  // namespace postern::smtp_server::detail
