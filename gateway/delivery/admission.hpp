// Whether mail for a backend is still taken: not once it has been down for longer than `refuse_after_down`, or more
// than `refuse_backlog` recipients wait for it. Then RCPT for its domains answers 451 4.4.1 and the senders keep their
// mail; other domains go on.
//
// Hysteresis: taken again once the backend has been well for `well_again` and the backlog is below four fifths.
//
// Admission is pure and the scheduler's. RefusalBoard carries what it decided to the sessions. Threads: RefusalBoard
// any, Admission one.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "gateway/delivery/options.hpp"
#include "queue/mail/snapshot.hpp"

namespace postern::delivery {

class Admission {
public:
    struct Facts {
        bool down = false;  ///< none of its endpoints can be used
        std::uint64_t backlog = 0;
    };
    /// True: it changed.
    [[nodiscard]] bool look(const BackendOptions& options, const Facts& facts, queue::SteadyInstant now);
    [[nodiscard]] bool is_refusing() const noexcept { return !why_.empty(); }
    /// "down for 4 h": for the log and the operator; empty: mail is taken.
    [[nodiscard]] const std::string& why() const noexcept { return why_; }
    /// When looking again may change something although nothing happens.
    [[nodiscard]] std::optional<queue::SteadyInstant> look_again_at(const BackendOptions& options) const;

private:
    std::string why_;
    std::optional<queue::SteadyInstant> down_since_;
    std::optional<queue::SteadyInstant> well_since_;
};

class RefusalBoard {
public:
    using Refusing = std::map<std::string, std::string>;  ///< backend, and why

    void publish(Refusing refusing);
    /// Why mail for `backend` is not taken now; nullopt: it is. One atomic load while nothing is refused.
    [[nodiscard]] std::optional<std::string> why(const std::string& backend) const;

private:
    std::atomic<bool> any_{false};
    Snapshot<Refusing> refusing_;
};

}  // namespace postern::delivery
