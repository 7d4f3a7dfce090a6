#include "gateway/main/signals.hpp"

#include <ctime>
#include <initializer_list>

namespace postern::gateway {

SignalWaiter::SignalWaiter() {
    ::sigemptyset(&waited_);
    ::sigemptyset(&stopping_);
    for (const int signal : {SIGTERM, SIGINT}) {
        ::sigaddset(&waited_, signal);
        ::sigaddset(&stopping_, signal);
    }
    ::sigaddset(&waited_, SIGHUP);
    ::pthread_sigmask(SIG_BLOCK, &waited_, nullptr);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
}

Signal SignalWaiter::wait() {
    for (;;) {
        int signal = 0;
        if (::sigwait(&waited_, &signal) != 0) {
            continue;
        }
        // Of several that are pending HUP comes first, as its number is lower: who sends it without end would keep
        // TERM waiting for as long.
        const timespec at_once{};
        const bool stops = signal != SIGHUP || ::sigtimedwait(&stopping_, nullptr, &at_once) > 0;
        return stops ? Signal::stop : Signal::reload;
    }
}

}  // namespace postern::gateway
