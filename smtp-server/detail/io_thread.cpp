#include "smtp-server/detail/io_thread.hpp"

#include <pthread.h>
#include <csignal>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace postern::smtp_server::detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t scratch_octets = 256 * 1024;

Refusal refusal_of(ConnectionCount::Verdict verdict) {
    switch (verdict) {
        case ConnectionCount::Verdict::admitted:
            break;
        case ConnectionCount::Verdict::too_many:
            return mail::Reply(421, mail::EnhancedStatus(4, 3, 2), "Too many connections; try again later");
        case ConnectionCount::Verdict::too_many_from_client:
            return mail::Reply(421, mail::EnhancedStatus(4, 7, 0), "Too many connections from your address");
    }
    return std::nullopt;
}

}  // namespace

IoThread::IoThread(Shared shared)
    : shared_(shared),
      work_(asio::make_work_guard(context_)),
      sweep_timer_(context_),
      grace_timer_(context_),
      scratch_(scratch_octets, '\0') {}

IoThread::~IoThread() {
    if (thread_.joinable()) {
        thread_.join();
    }
}

void IoThread::start() {
    asio::post(context_, [this] { sweep(); });
    thread_ = std::thread([this] {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are main's
        context_.run();
        finished_ = true;
    });
}

void IoThread::join() {
    if (thread_.joinable()) {
        thread_.join();
    }
}

void IoThread::adopt(Session::Socket socket, SessionInfo info, std::shared_ptr<const SessionOptions> options) {
    const std::string key = client_key(info.client_address);
    const Limits& limits = options->limits;
    info.trusted = options->trusted && options->trusted(info.client_address);
    const auto verdict = shared_.connections.enter(key, limits, info.trusted);
    if (verdict != ConnectionCount::Verdict::admitted) {
        // Said without a session: who is turned away must cost next to nothing.
        std::string line;
        refusal_of(verdict)->append_wire(line);
        boost::system::error_code ignored;
        socket.non_blocking(true, ignored);
        socket.write_some(asio::buffer(line), ignored);
        socket.shutdown(asio::socket_base::shutdown_send, ignored);
        return;
    }
    sweep_interval_ = std::clamp(std::min(limits.command_timeout, limits.data_timeout) / 8,
                                 std::chrono::milliseconds(10), sweep_interval_);
    const std::uint64_t number = ++shared_.session_numbers;
    info.session_id = shared_.session_id_prefix + std::to_string(number);
    try {
        auto session = std::make_unique<Session>(std::move(socket), std::move(info), std::move(options),
                                                 Session::Surroundings{shared_.hooks, shared_.messages, scratch_});
        Session& running = *session;
        sessions_.emplace(number, std::move(session));
        if (draining_) {
            running.drain();
        }
        auto task = running.run(std::nullopt);
        asio::co_spawn(context_, std::move(task), [this, number, key](const std::exception_ptr& problem) {
            report(problem);
            forget(number, key);
        });
    } catch (...) {  // no memory: this client goes, and is counted no longer
        forget(number, key);
        throw;
    }
}

void IoThread::report(const std::exception_ptr& problem) {
    if (!problem || !shared_.on_problem) {
        return;
    }
    try {
        std::rethrow_exception(problem);
    } catch (const std::exception& error) {
        shared_.on_problem("session: " + std::string(error.what()));
    } catch (...) {
        shared_.on_problem("session: an exception without a name");
    }
}

void IoThread::forget(std::uint64_t number, const std::string& key) {
    sessions_.erase(number);
    shared_.connections.leave(key);
    end_if_done();
}

void IoThread::sweep() {
    const auto now = Session::SteadyClock::now();
    for (const auto& [number, session] : sessions_) {
        session->expire_if_overdue(now);
    }
    if (draining_ && sessions_.empty()) {
        return;  // the end has come while this waited its turn: a new wait would keep the thread for ever
    }
    sweep_timer_.expires_after(sweep_interval_);
    sweep_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) {
            sweep();
        }
    });
}

void IoThread::drain(std::chrono::milliseconds grace) {
    asio::post(context_, [this, grace] { drain_here(grace); });
}

void IoThread::drain_here(std::chrono::milliseconds grace) {
    draining_ = true;
    for (const auto& [number, session] : sessions_) {
        session->drain();
    }
    grace_timer_.expires_after(grace);
    grace_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) {
            for (const auto& [number, session] : sessions_) {
                session->abort();
            }
        }
    });
    end_if_done();
}

void IoThread::end_if_done() {
    if (draining_ && sessions_.empty()) {
        sweep_timer_.cancel();
        grace_timer_.cancel();
        work_.reset();
    }
}

}  // namespace postern::smtp_server::detail
