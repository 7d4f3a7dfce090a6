#include "gateway/delivery/circuit.hpp"

#include <algorithm>

namespace postern::delivery {

using lmtp_client::Trouble;

namespace {

constexpr queue::Duration pause_min{1000};
constexpr queue::Duration pause_max{1500};
constexpr queue::Duration relapse_pause_max{30'000};
constexpr std::uint32_t breaks_max = 2;
constexpr queue::Duration lately{2000};

}  // namespace

void Circuit::worked(queue::SteadyInstant now) {
    breaks_ = 0;
    proven_ = true;
    worked_at_ = now;
}

bool Circuit::failed(Trouble trouble, std::uint32_t others, queue::SteadyInstant now) {
    if (trouble == Trouble::none || trouble == Trouble::content || state_ != State::closed) {
        return false;
    }
    const bool lives = others > 0 && worked_at_ != queue::SteadyInstant() && now - worked_at_ <= lately;
    const bool at_once = is_surely_the_endpoint(trouble) && !lives;
    if (!at_once && ++breaks_ < breaks_max) {
        return false;
    }
    first_pause_ = proven_ ? pause_min : std::min(relapse_pause_max, first_pause_ * 2);
    pause_ = first_pause_;
    open(now);
    return true;
}

void Circuit::open(queue::SteadyInstant now) {
    state_ = State::open;
    probe_at_ = now + pause_;
}

void Circuit::probe_worked() {
    state_ = State::closed;
    proven_ = false;
    breaks_ = 0;
}

void Circuit::probe_failed(queue::SteadyInstant now) {
    pause_ = std::min(pause_max, pause_ * 2);
    open(now);
}

}  // namespace postern::delivery
