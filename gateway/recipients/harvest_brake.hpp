// Clients that try out addresses: who has asked for more unknown recipients than a person or a list server would, and
// for more unknown than known ones, is refused for a while.
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

    /// RCPT of the client at this address was answered. Who cannot be told apart (a Unix socket) is not counted.
    void answered(std::string_view client, bool is_unknown, queue::SteadyInstant now);
    /// It has asked for too many.
    [[nodiscard]] bool refuses(std::string_view client, queue::SteadyInstant now) const;

private:
    struct Client {
        double unknown = 0;  ///< at `at`; they leak away
        double known = 0;
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
