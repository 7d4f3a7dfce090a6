// What the endpoints of a backend can be given at all, as each said in its last answer to LHLO. What none of them takes
// is refused while the sender is on the line, instead of being returned later.
//
// Only what is surely so counts: all endpoints of the backend have spoken, and within the last minutes. Else nothing is
// known and mail is accepted.
//
// Threads: any.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lmtp-client/transaction.hpp"
#include "queue/time.hpp"

namespace postern::recipients {

using lmtp_client::Abilities;

class AbilityBoard {
public:
    /// The endpoints there are, by backend. What is known of others is forgotten.
    void reconfigure(const std::map<std::string, std::vector<lmtp_client::Endpoint>>& backends);
    /// An endpoint has introduced itself.
    void learned(const std::string& backend, const lmtp_client::Endpoint& endpoint, const Abilities& abilities,
                 queue::SteadyInstant now);
    /// What at least one endpoint takes; nullopt: not known.
    [[nodiscard]] std::optional<Abilities> of(const std::string& backend, queue::SteadyInstant now) const;

private:
    struct Told {
        lmtp_client::Endpoint endpoint;
        std::optional<Abilities> abilities;
        queue::SteadyInstant at{};
    };
    mutable std::mutex mutex_;
    std::map<std::string, std::vector<Told>> backends_;
};

}  // namespace postern::recipients
