#include "gateway/delivery/circuit.hpp"

#include <algorithm>

namespace postern::delivery {

using lmtp_client::Trouble;

namespace {

constexpr queue::Duration pause_min{1000};
constexpr queue::Duration pause_max{4000};
constexpr std::uint32_t allowed_after_outage = 2;
constexpr std::uint32_t breaks_max = 2;  // a single one may be about one message

}  // namespace

void Circuit::set_connections(std::uint32_t connections) {
    allowed_ = allowed_ >= connections_ ? connections : std::min(allowed_, connections);
    connections_ = connections;
}

void Circuit::worked() {
    breaks_ = 0;
    allowed_ = std::min(connections_, allowed_ * 2);
}

bool Circuit::failed(Trouble trouble, queue::SteadyInstant now) {
    if (trouble == Trouble::none || trouble == Trouble::content || state_ != State::closed) {
        return false;
    }
    const bool surely_the_endpoint =
        trouble == Trouble::connect || trouble == Trouble::greeting || trouble == Trouble::shutting_down;
    if (!surely_the_endpoint && ++breaks_ < breaks_max) {
        allowed_ = std::max<std::uint32_t>(1, allowed_ / 2);
        return false;
    }
    pause_ = pause_min;
    open(now);
    return true;
}

void Circuit::open(queue::SteadyInstant now) {
    state_ = State::open;
    probe_at_ = now + pause_;
}

void Circuit::probe_worked() {
    state_ = State::closed;
    breaks_ = 0;
    allowed_ = std::min(connections_, allowed_after_outage);
}

void Circuit::probe_failed(queue::SteadyInstant now) {
    pause_ = std::min(pause_max, pause_ * 2);
    open(now);
}

}  // namespace postern::delivery
