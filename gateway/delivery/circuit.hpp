// Whether an endpoint may be used, and by how many transactions at once. A pure state machine with time as an argument.
//
//   closed --failed()--> open --probe_due()--> probing --probe_failed()--> open (longer)
//     ^------------------------probe_worked()--------'
//
// What is the endpoint's fault is charged here, and never to a recipient. The pause between probes grows from 1 s to 4
// s and no further: a connect a few seconds apart costs nothing, and after an outage mail flows within 5 s.
#pragma once

#include <cstdint>

#include "lmtp-client/transaction.hpp"
#include "queue/time.hpp"

namespace postern::delivery {

class Circuit {
public:
    enum class State : std::uint8_t { closed, open, probing };

    explicit Circuit(std::uint32_t connections) : connections_(connections), allowed_(connections) {}

    [[nodiscard]] State state() const noexcept { return state_; }
    /// How many transactions may run at once: after an outage few, doubled with every success.
    [[nodiscard]] std::uint32_t allowed() const noexcept { return state_ == State::closed ? allowed_ : 0; }
    void set_connections(std::uint32_t connections);

    /// A transaction ended without trouble.
    void worked();
    /// A transaction ended in trouble. True: the circuit has opened now.
    [[nodiscard]] bool failed(lmtp_client::Trouble trouble, queue::SteadyInstant now);

    [[nodiscard]] queue::SteadyInstant probe_at() const noexcept { return probe_at_; }
    /// In `open`, at probe_at() or later: the caller probes now.
    void probe_begins() { state_ = State::probing; }
    void probe_worked();
    void probe_failed(queue::SteadyInstant now);
    /// An operator is impatient: the next probe is due at once.
    void hurry(queue::SteadyInstant now) { probe_at_ = now; }

private:
    void open(queue::SteadyInstant now);

    std::uint32_t connections_;
    std::uint32_t allowed_;
    State state_ = State::closed;
    std::uint32_t breaks_ = 0;  ///< in a row
    queue::Duration pause_{1000};
    queue::SteadyInstant probe_at_{};
};

}  // namespace postern::delivery
