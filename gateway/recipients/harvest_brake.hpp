// Clients that try out addresses: who has asked for more unknown recipients than a person or a list server would, and
// for more of them than it has given mail for, is refused for a while. (To ask for a good address proves nothing.)
//
// A bucket for each client (an IPv4 address, an IPv6 /64): an unknown recipient fills it, an hour empties it of
// `per_hour`; so that many may come at once, and then one now and then.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "queue/time.hpp"

namespace postern::recipients {

class HarvestBrake {
public:
    static constexpr std::size_t clients_max = 65536;  ///< beyond, who was heard of longest ago is forgotten

    /// 0: nobody is refused.
    void set_limit(std::uint32_t per_hour) { per_hour_ = per_hour; }

    /// The client at this address has asked for somebody who is not there. Who cannot be told apart (a Unix socket) is
    /// not counted.
    void asked_for_nobody(std::string_view client, queue::SteadyInstant now);
    /// It has given a message for so many, and was told 250.
    void gave(std::string_view client, std::size_t recipients, queue::SteadyInstant now);
    /// It has asked for too many.
    [[nodiscard]] bool refuses(std::string_view client, queue::SteadyInstant now) const;

private:
    struct Client {
        double unknown = 0;  ///< at `at`; they leak away
        double given = 0;
        queue::SteadyInstant at{};
        std::list<const std::string*>::iterator place;
    };
    void leak(Client& client, queue::SteadyInstant now) const;

    std::atomic<std::uint32_t> per_hour_{0};
    std::atomic<std::size_t> count_{0};  ///< of clients: mostly none, and then nothing is looked up
    mutable std::mutex mutex_;
    std::unordered_map<std::string, Client> clients_;
    std::list<const std::string*> order_;  ///< heard of last, last
};

}  // namespace postern::recipients
