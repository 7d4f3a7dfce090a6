// The clients of a listening socket, each with a thread of its own, a bounded number: who is slow, silent or gone holds
// up himself and nobody else.
//
// Threads: one that accepts, and those of the clients; none of them takes signals.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "gateway/control/detail/socket_stream.hpp"

namespace postern::control::detail {

/// When every place is taken and one more comes.
enum class WhenFull : std::uint8_t {
    wait,        ///< he waits to be accepted
    cut_oldest,  ///< who came first is cut off: strangers who hold their places for nothing keep nobody out
};

class Attendants {
public:
    struct Options {
        std::size_t connections_max = 16;
        WhenFull when_full = WhenFull::wait;
    };
    /// Attends to one client, to the end. Called on his thread, for several at a time.
    using Attend = std::function<void(SocketStream&)>;

    /// Starts. `listening`, of which it is not the owner, does not block and outlives it, as `clock` does. `on_error`
    /// is told what goes wrong later, on one of the threads. An error text when it cannot start.
    [[nodiscard]] static Result<std::unique_ptr<Attendants>, std::string> start(
        int listening, const Options& options, const queue::Clock& clock, Attend attend,
        std::function<void(const std::string&)> on_error);

    /// Cuts the connections and waits for their threads.
    ~Attendants();
    Attendants(const Attendants&) = delete;
    Attendants& operator=(const Attendants&) = delete;

private:
    struct Worker {
        std::thread thread;
        int descriptor = -1;  ///< its thread's; -1 once that has closed it
        bool cut = false;
        bool done = false;
    };
    using Place = std::list<Worker>::iterator;

    Attendants(int listening, const Options& options, const queue::Clock& clock, Attend attend,
               std::function<void(const std::string&)> on_error, Descriptor wake);
    void accept_all();
    /// Joins the threads that have ended; waits while all places are taken. False: stopping.
    [[nodiscard]] bool wait_for_room();
    void cut_oldest();
    [[nodiscard]] bool wait_for_client();
    void wait_for_stop(int milliseconds);
    void begin(Descriptor client);
    void serve(Place place, Descriptor client);

    const int listening_;
    const Options options_;
    const queue::Clock& clock_;
    const Attend attend_;
    const std::function<void(const std::string&)> on_error_;
    const Descriptor wake_;

    std::mutex mutex_;  ///< guards the following; held for moments only
    std::condition_variable room_;
    std::list<Worker> workers_;  ///< the oldest first
    bool stopping_ = false;

    std::thread acceptor_;  ///< last
};

}  // namespace postern::control::detail
