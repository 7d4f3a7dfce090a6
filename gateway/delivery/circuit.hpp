// Whether an endpoint may be used at all. A pure state machine with time as an argument.
//
//   closed --failed()--> open --probe_due()--> probing --probe_failed()--> open (longer)
//     ^------------------------probe_worked()--------'
//
// What is the endpoint's fault is charged here, and never to a recipient. The pause between probes grows from 1 s to
// 1.5 s and no further: such a connect costs nothing, and after an outage mail flows within 2 s. An endpoint that
// greets a probe well and then fails every transaction has relapsed: each time the first pause is twice as long, to 30
// s.
#pragma once

#include <cstdint>

#include "lmtp-client/transaction.hpp"
#include "queue/time.hpp"

namespace postern::delivery {

class Circuit {
public:
    enum class State : std::uint8_t { closed, open, probing };

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] bool is_closed() const noexcept { return state_ == State::closed; }

    /// A transaction has ended without trouble since it closed last: it is more than a greeting.
    [[nodiscard]] bool is_proven() const noexcept { return proven_; }

    /// A transaction ended without trouble.
    void worked(queue::SteadyInstant now);
    /// A transaction ended in trouble, while `others` more are at work there. True: the circuit has opened now.
    ///
    /// One connection that breaks may be about one message: the second in a row opens. No connection, a 421 or a
    /// refused greeting open at once, unless others are at work and one of them has just ended well: then the store
    /// lives and only has enough (its own limit of connections), and it takes two in a row as well.
    [[nodiscard]] bool failed(lmtp_client::Trouble trouble, std::uint32_t others, queue::SteadyInstant now);

    [[nodiscard]] queue::SteadyInstant probe_at() const noexcept { return probe_at_; }
    /// In `open`, at probe_at() or later: the caller probes now.
    void probe_begins() { state_ = State::probing; }
    void probe_worked();
    void probe_failed(queue::SteadyInstant now);
    /// An operator is impatient: the next probe is due at once.
    void hurry(queue::SteadyInstant now) { probe_at_ = now; }

private:
    void open(queue::SteadyInstant now);

    State state_ = State::closed;
    bool proven_ = true;        ///< at first: nothing speaks against it
    std::uint32_t breaks_ = 0;  ///< in a row
    queue::Duration pause_{1000};
    queue::Duration first_pause_{1000};
    queue::SteadyInstant probe_at_{};
    queue::SteadyInstant worked_at_{};
};

/// Whether trouble of this kind is the endpoint's own, without any doubt: no recipient of the transaction is charged.
[[nodiscard]] constexpr bool is_surely_the_endpoint(lmtp_client::Trouble trouble) {
    using lmtp_client::Trouble;
    return trouble == Trouble::connect || trouble == Trouble::greeting || trouble == Trouble::shutting_down;
}

}  // namespace postern::delivery
