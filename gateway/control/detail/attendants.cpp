#include "gateway/control/detail/attendants.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace postern::control::detail {
namespace {

constexpr int accept_pause = 1000;                  // ms, when there are no descriptors left: not at full speed
constexpr std::chrono::milliseconds cut_pause{50};  // whoever was cut should be gone by then; or else the next one

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

Result<std::unique_ptr<Attendants>, std::string> Attendants::start(int listening, const Options& options,
                                                                   const queue::Clock& clock, Attend attend,
                                                                   std::function<void(const std::string&)> on_error) {
    Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) {
        return "no eventfd: " + std::generic_category().message(errno);
    }
    return std::unique_ptr<Attendants>(
        new Attendants(listening, options, clock, std::move(attend), std::move(on_error), std::move(wake)));
}

Attendants::Attendants(int listening, const Options& options, const queue::Clock& clock, Attend attend,
                       std::function<void(const std::string&)> on_error, Descriptor wake)
    : listening_(listening),
      options_(options),
      clock_(clock),
      attend_(std::move(attend)),
      on_error_(std::move(on_error)),
      wake_(std::move(wake)) {
    const SignalsBlocked blocked;
    acceptor_ = std::thread([this] { accept_all(); });
}

Attendants::~Attendants() {
    {
        const std::lock_guard lock(mutex_);
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
}

void Attendants::accept_all() {
    while (wait_for_client() && wait_for_room()) {
        Descriptor client(::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (client) {
            begin(std::move(client));
        } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
            on_error_("cannot accept: " + std::generic_category().message(errno));
            wait_for_stop(accept_pause);
        }
    }
}

bool Attendants::wait_for_room() {
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
        if (options_.when_full == WhenFull::cut_oldest) {
            cut_oldest();
            room_.wait_for(lock, cut_pause);
        } else {
            room_.wait(lock);
        }
    }
}

void Attendants::cut_oldest() {
    const auto oldest =
        std::find_if(workers_.begin(), workers_.end(), [](const Worker& worker) { return !worker.cut; });
    if (oldest != workers_.end()) {
        oldest->cut = true;
        ::shutdown(oldest->descriptor, SHUT_RDWR);
    }
}

bool Attendants::wait_for_client() {
    pollfd entries[] = {{listening_, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    static_cast<void>(::poll(entries, 2, -1));
    const std::lock_guard lock(mutex_);
    return !stopping_;
}

void Attendants::wait_for_stop(int milliseconds) {
    pollfd entry{wake_.get(), POLLIN, 0};
    static_cast<void>(::poll(&entry, 1, milliseconds));
}

void Attendants::begin(Descriptor client) {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
        return;
    }
    const Place place = workers_.emplace(workers_.end());
    place->descriptor = client.get();
    const SignalsBlocked blocked;
    try {
        place->thread = std::thread(
            [this, place, held = std::make_shared<Descriptor>(std::move(client))] { serve(place, std::move(*held)); });
    } catch (const std::system_error& error) {
        workers_.erase(place);
        on_error_(std::string("cannot start a thread: ") + error.what());
    }
}

void Attendants::serve(Place place, Descriptor client) {
    SocketStream stream(std::move(client), clock_);
    try {
        attend_(stream);
    } catch (const std::exception& error) {
        on_error_(std::string("a request broke off: ") + error.what());
    }
    const std::lock_guard lock(mutex_);
    // From here on nobody must touch the descriptor, whose number may soon be another's.
    ::shutdown(place->descriptor, SHUT_RDWR);
    place->descriptor = -1;
    place->done = true;
    room_.notify_all();
}

}  // namespace postern::control::detail
