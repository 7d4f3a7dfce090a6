#include "gateway/control/server.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

#include "gateway/control/detail/connection.hpp"
#include "gateway/control/detail/listening_socket.hpp"

namespace postern::control {

using detail::Descriptor;

namespace {

/// While it lives, a thread that is started takes no signals: they are the main thread's.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

private:
    sigset_t before_{};
};

}  // namespace

class Server::Impl {
public:
    Impl(const ServerOptions& options, const queue::Clock& clock, OpenReader open_reader, LiveGateway& gateway,
         std::function<void(const std::string&)> on_error, detail::ListeningSocket socket, Descriptor wake)
        : options_(options),
          clock_(clock),
          open_reader_(std::move(open_reader)),
          gateway_(gateway),
          on_error_(std::move(on_error)),
          socket_(std::move(socket)),
          wake_(std::move(wake)) {
        const SignalsBlocked blocked;
        acceptor_ = std::thread([this] { accept_all(); });
    }

    ~Impl() { stop(); }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) {
                return;
            }
            stopping_ = true;
            for (const Worker& worker : workers_) {
                ::shutdown(worker.descriptor, SHUT_RDWR);
            }
        }
        const std::uint64_t one = 1;
        // An eventfd whose counter is not near its end takes this without fail.
        static_cast<void>(!::write(wake_.get(), &one, sizeof(one)));
        room_.notify_all();
        acceptor_.join();
        for (Worker& worker : workers_) {
            worker.thread.join();
        }
        workers_.clear();
    }

private:
    struct Worker {
        std::thread thread;
        int descriptor = -1;  ///< its thread's; -1 once that has closed it
        bool done = false;
    };
    using Place = std::list<Worker>::iterator;

    void accept_all() {
        while (wait_for_room() && wait_for_client(-1)) {
            Descriptor client(::accept4(socket_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
            if (client) {
                start(std::move(client));
            } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
                on_error_("control: cannot accept: " + std::generic_category().message(errno));
                wait_for_stop(1000);  // out of descriptors, most likely: not at full speed
            }
        }
    }

    /// Joins the threads that have ended; waits while all places are taken. False: stopping.
    bool wait_for_room() {
        std::unique_lock lock(mutex_);
        for (;;) {
            workers_.remove_if([](Worker& worker) {
                if (worker.done) {
                    worker.thread.join();  // it has nothing left to do
                }
                return worker.done;
            });
            if (stopping_ || workers_.size() < options_.connections_max) {
                return !stopping_;
            }
            room_.wait(lock);
        }
    }

    bool wait_for_client(int milliseconds) {
        pollfd entries[] = {{socket_.descriptor(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
        static_cast<void>(::poll(entries, 2, milliseconds));
        const std::lock_guard lock(mutex_);
        return !stopping_;
    }

    void wait_for_stop(int milliseconds) {
        pollfd entry{wake_.get(), POLLIN, 0};
        static_cast<void>(::poll(&entry, 1, milliseconds));
    }

    void start(Descriptor client) {
        const std::lock_guard lock(mutex_);
        if (stopping_) {
            return;
        }
        const Place place = workers_.emplace(workers_.end());
        place->descriptor = client.get();
        const SignalsBlocked blocked;
        try {
            place->thread = std::thread([this, place, held = std::make_shared<Descriptor>(std::move(client))] {
                serve(place, std::move(*held));
            });
        } catch (const std::system_error& error) {
            workers_.erase(place);
            on_error_(std::string("control: cannot start a thread: ") + error.what());
        }
    }

    void serve(Place place, Descriptor client) {
        detail::UnixStream stream(std::move(client), clock_);
        try {
            detail::serve_connection(stream, options_, clock_, open_reader_, gateway_);
        } catch (const std::exception& error) {
            on_error_(std::string("control: a request broke off: ") + error.what());
        }
        const std::lock_guard lock(mutex_);
        // From here on stop() must not touch the descriptor, whose number may soon be another's.
        ::shutdown(place->descriptor, SHUT_RDWR);
        place->descriptor = -1;
        place->done = true;
        room_.notify_all();
    }

    const ServerOptions options_;
    const queue::Clock& clock_;
    const OpenReader open_reader_;
    LiveGateway& gateway_;
    const std::function<void(const std::string&)> on_error_;
    detail::ListeningSocket socket_;
    Descriptor wake_;

    std::mutex mutex_;  ///< guards the following; held for moments only
    std::condition_variable room_;
    std::list<Worker> workers_;
    bool stopping_ = false;

    std::thread acceptor_;
};

Result<std::unique_ptr<Server>, std::string> Server::start(const ServerOptions& options, const queue::Clock& clock,
                                                           OpenReader open_reader, LiveGateway& gateway,
                                                           std::function<void(const std::string&)> on_error) {
    auto socket = detail::ListeningSocket::open(options.socket);
    if (!socket) {
        return socket.error();
    }
    Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return "control: no eventfd: " + std::generic_category().message(errno);
    }
    return std::unique_ptr<Server>(new Server(std::make_unique<Impl>(
        options, clock, std::move(open_reader), gateway, std::move(on_error), std::move(*socket), std::move(wake))));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

void Server::stop() { impl_.reset(); }

}  // namespace postern::control
