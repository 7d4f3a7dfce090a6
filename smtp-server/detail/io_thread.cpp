#include "smtp-server/detail/io_thread.hpp"

#include <pthread.h>
#include <csignal>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "smtp-server/detail/turned_away.hpp"

namespace postern::smtp_server::detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t scratch_octets = 256 * 1024;
constexpr std::chrono::seconds turned_away_pause{10};

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
    Session::Client client;
    const Limits& limits = options->limits;
    client.behind_balancer = options->balancer && options->balancer(info.client_address);
    info.trusted = !client.behind_balancer && options->trusted && options->trusted(info.client_address);
    // A balancer is not its clients: only what is free in all counts, until it has said whom it brings.
    const std::string key = client.behind_balancer ? std::string() : client_key(info.client_address);
    auto entered = shared_.clients.enter(key, limits, standing_of(info), Session::SteadyClock::now());
    if (entered.verdict != ClientTable::Verdict::admitted) {
        turn_away(std::move(socket), info, *options, entered.verdict);
        return;
    }
    auto shortest = std::min({limits.command_timeout, limits.data_timeout, limits.handshake_timeout});
    if (limits.stress_timeout.count() > 0) {
        shortest = std::min(shortest, limits.stress_timeout);
    }
    sweep_interval_ = std::clamp(shortest / 8, std::chrono::milliseconds(10), sweep_interval_);
    const std::uint64_t number = ++shared_.session_numbers;
    info.session_id = shared_.session_id_prefix + std::to_string(number);
    client.info = std::move(info);
    client.place = std::move(entered.place);
    try {
        const Session::Surroundings around{shared_.hooks, shared_.counters, shared_.clients, scratch_};
        auto session = std::make_unique<Session>(std::move(socket), std::move(client), std::move(options), around);
        Session& running = *session;
        sessions_.emplace(number, std::move(session));
        if (draining_) {
            running.drain();
        }
        auto task = running.run(std::nullopt);
        asio::co_spawn(context_, std::move(task), [this, number](const std::exception_ptr& problem) {
            report(problem);
            forget(number);
        });
    } catch (...) {  // no memory: this client goes, and its place with it
        forget(number);
        throw;
    }
}

// Said without a session: who is turned away must cost next to nothing.
void IoThread::turn_away(Session::Socket socket, const SessionInfo& info, const SessionOptions& options,
                         ClientTable::Verdict verdict) {
    const mail::Reply reply = turned_away_reply(verdict);
    const auto now = Session::SteadyClock::now();
    if (shared_.on_problem && now >= quiet_until_) {
        quiet_until_ = now + turned_away_pause;
        shared_.on_problem(info.listener + ": clients are turned away, " + std::to_string(shared_.clients.refused()) +
                           " so far; now [" + info.client_address + "]: " + reply.to_string());
    }
    boost::system::error_code ignored;
    if (options.tls && options.tls_use == TlsUse::implicit) {
        socket.close(ignored);  // it would have to be said in TLS
        return;
    }
    std::string line;
    reply.append_wire(line);
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(line), ignored);
    socket.shutdown(asio::socket_base::shutdown_send, ignored);
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

void IoThread::forget(std::uint64_t number) {
    sessions_.erase(number);
    end_if_done();
}

void IoThread::sweep() {
    const auto now = Session::SteadyClock::now();
    const bool stressed = shared_.clients.stressed();
    for (const auto& [number, session] : sessions_) {
        session->expire_if_overdue(now, stressed);
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
