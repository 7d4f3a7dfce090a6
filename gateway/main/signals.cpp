#include "gateway/main/signals.hpp"

#include <cerrno>
#include <ctime>
#include <initializer_list>

namespace postern::gateway {

SignalWaiter::SignalWaiter() {
    ::sigemptyset(&waited_);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        ::sigaddset(&waited_, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &waited_, &before_);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
}

SignalWaiter::~SignalWaiter() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

Signal SignalWaiter::wait() {
    for (;;) {
        int signal = 0;
        if (::sigwait(&waited_, &signal) == 0) {
            return signal == SIGHUP ? Signal::reload : Signal::stop;
        }
    }
}

bool SignalWaiter::stop_within(long milliseconds) {
    timespec patience{};
    patience.tv_sec = milliseconds / 1000;
    patience.tv_nsec = milliseconds % 1000 * 1'000'000;
    const int signal = ::sigtimedwait(&waited_, nullptr, &patience);
    return signal == SIGTERM || signal == SIGINT;
}

}  // namespace postern::gateway
