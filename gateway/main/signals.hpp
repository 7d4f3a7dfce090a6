// The signals of a program that serves: TERM and INT end it, HUP reloads, PIPE is nothing. They stay blocked to the end
// of the process: one that comes behind the last wait() must not kill it on its way out.
//
// Threads: make it before any other thread, so that all inherit the blocked mask; wait() on the thread that made it.
#pragma once

#include <csignal>
#include <cstdint>

namespace postern::gateway {

enum class Signal : std::uint8_t { stop, reload };

class SignalWaiter {
public:
    /// Blocks the signals in this thread and all that it starts.
    SignalWaiter();

    /// However many reloads have been asked for, a stop goes before them.
    [[nodiscard]] Signal wait();

private:
    sigset_t waited_{};
    sigset_t stopping_{};
};

}  // namespace postern::gateway
