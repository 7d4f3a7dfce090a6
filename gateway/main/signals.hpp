// The signals of a program that serves: TERM and INT end it, HUP reloads, PIPE is nothing.
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
    ~SignalWaiter();
    SignalWaiter(const SignalWaiter&) = delete;
    SignalWaiter& operator=(const SignalWaiter&) = delete;

    [[nodiscard]] Signal wait();
    /// TERM or INT, within this time: the operator has no patience for a graceful end.
    [[nodiscard]] bool stop_within(long milliseconds);

private:
    sigset_t waited_{};
    sigset_t before_{};
};

}  // namespace postern::gateway
