#include "smtp-server/server.hpp"

#include <atomic>
#include <deque>
#include <thread>
#include <utility>

#include "smtp-server/detail/client_table.hpp"
#include "smtp-server/detail/io_thread.hpp"
#include "smtp-server/detail/listener.hpp"

namespace postern::smtp_server {

struct Server::Parts {
    ServerOptions options;
    detail::ClientTable clients;
    detail::Session::Counters counters;
    std::atomic<std::uint64_t> session_numbers{0};
    std::vector<std::unique_ptr<detail::IoThread>> threads;
    std::deque<detail::ListenerState> states;
    std::vector<std::unique_ptr<detail::Listener>> listeners;
    bool started = false;
    bool joined = false;
    std::atomic<bool> stopping{false};
};

Server::Server(Hooks& hooks, ServerOptions options) : parts_(std::make_unique<Parts>()) {
    parts_->options = std::move(options);
    const detail::IoThread::Shared shared{hooks,
                                          parts_->clients,
                                          parts_->counters,
                                          parts_->session_numbers,
                                          parts_->options.session_id_prefix,
                                          parts_->options.on_problem};
    for (std::size_t i = 0; i < std::max<std::size_t>(1, parts_->options.threads); ++i) {
        parts_->threads.push_back(std::make_unique<detail::IoThread>(shared));
    }
}

Server::~Server() {
    if (parts_->started && !parts_->joined) {
        stop(std::chrono::milliseconds(0));
        (void)wait_for(std::chrono::seconds(10));
    }
}

std::optional<std::string> Server::open(const std::vector<ListenerOptions>& listeners) {
    for (const ListenerOptions& options : listeners) {
        auto& state = parts_->states.emplace_back();
        state.options = options;
        state.session.store(options.session);
        for (const auto& thread : parts_->threads) {
            auto listener = std::make_unique<detail::Listener>(*thread, state, parts_->options.on_problem);
            if (auto error = listener->open()) {
                parts_->listeners.clear();
                parts_->states.clear();
                return error;
            }
            parts_->listeners.push_back(std::move(listener));
            if (!options.unix_path.empty()) {
                break;  // a Unix socket has one queue of clients, and so one thread
            }
        }
    }
    return std::nullopt;
}

std::uint16_t Server::port(std::size_t listener) const { return parts_->states.at(listener).port; }

std::vector<boost::asio::any_io_executor> Server::executors() const {
    std::vector<boost::asio::any_io_executor> executors;
    for (const auto& thread : parts_->threads) {
        executors.emplace_back(thread->context().get_executor());
    }
    return executors;
}

void Server::start() {
    for (const auto& listener : parts_->listeners) {
        listener->start();
    }
    for (const auto& thread : parts_->threads) {
        thread->start();
    }
    parts_->started = true;
}

void Server::replace(std::size_t listener, std::shared_ptr<const SessionOptions> session) {
    parts_->states.at(listener).session.store(std::move(session));
}

void Server::stop(std::chrono::milliseconds grace) {
    if (!parts_->stopping.exchange(true)) {
        for (const auto& listener : parts_->listeners) {
            listener->close();
        }
    }
    for (const auto& thread : parts_->threads) {
        thread->drain(grace);
    }
}

void Server::wait() {
    if (!parts_->started) {
        return;
    }
    for (const auto& thread : parts_->threads) {
        thread->join();
    }
    parts_->joined = true;
    parts_->listeners.clear();
}

bool Server::wait_for(std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    const auto finished = [this] {
        for (const auto& thread : parts_->threads) {
            if (!thread->finished()) {
                return false;
            }
        }
        return true;
    };
    while (!finished() && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    if (!finished()) {
        return false;
    }
    wait();
    return true;
}

ServerCounters Server::counters() const {
    ServerCounters counters;
    counters.connections = parts_->clients.current();
    counters.connections_total = parts_->clients.total();
    counters.refused = parts_->clients.refused();
    counters.messages = parts_->counters.messages;
    counters.tls_full = parts_->counters.tls_full;
    counters.tls_resumed = parts_->counters.tls_resumed;
    counters.tls_failed = parts_->counters.tls_failed;
    return counters;
}

}  // namespace postern::smtp_server
