#include "lanes.hpp"

#include <algorithm>

namespace postern::simulation {

using lmtp_client::Trouble;

namespace {

constexpr Timeline::Milliseconds rest_least = 60'000;
constexpr Timeline::Milliseconds remembered_least = 60 * 60'000;

}  // namespace

void Lanes::configured(const delivery::BackendOptions* way) {
    const bool are_there = way != nullptr && way->is_by_domain();
    if (!are_there || most_ == 0) {
        configured_at_ = timeline_.now();
    }
    most_ = are_there ? way->connections : 0;
    most_each_ = are_there ? way->connections_per_domain : 0;
    full_at_ = timeline_.now();
    for (auto& [domain, lane] : lanes_) {
        lane.has_failed = lane.has_failed && are_there;
    }
}

void Lanes::begins(const delivery::Plan& plan) {
    if (plan.domain.empty()) {
        return;
    }
    Lane& lane = lanes_[plan.domain];
    const std::string whom = " (plan " + std::to_string(plan.number) + " for " + plan.domain + ')';
    if (on_their_way_.size() >= most_) {
        throw Violation("19: " + std::to_string(on_their_way_.size() + 1) + " transactions go out at once" + whom);
    }
    const Timeline::Milliseconds ago = timeline_.now() - lane.failed_at;
    const bool is_alone = lane.has_failed && ago < remembered_least;
    if (lane.on_their_way >= (is_alone ? 1 : most_each_)) {
        throw Violation("19: " + std::to_string(lane.on_their_way + 1) + " transactions go to one domain" + whom);
    }
    if (lane.has_failed && ago < rest_least && !lane.may_hurry) {
        throw Violation("19: nobody could be reached " + std::to_string(ago) + " ms ago" + whom);
    }
    on_their_way_.emplace(plan.number, plan.domain);
    ++lane.on_their_way;
    lane.begun_at = lane.used_at = timeline_.now();
    if (on_their_way_.size() >= most_) {
        full_at_ = timeline_.now();
    }
}

void Lanes::ended(const delivery::Plan& plan, Trouble trouble) {
    const auto found = lanes_.find(plan.domain);
    if (plan.domain.empty() || found == lanes_.end()) {
        return;
    }
    Lane& lane = found->second;
    lane.used_at = timeline_.now();
    if (trouble == Trouble::none || most_ == 0) {  // or it began before a reload, and nobody need remember it
        lane.has_failed = false;
    } else if (trouble == Trouble::connect) {
        lane.has_failed = true;
        lane.may_hurry = false;
        lane.failed_at = timeline_.now();
    }
}

void Lanes::released(std::uint64_t plan) {
    const auto found = on_their_way_.find(plan);
    if (found == on_their_way_.end()) {
        return;
    }
    if (on_their_way_.size() >= most_) {
        full_at_ = timeline_.now();
    }
    Lane& lane = lanes_.at(found->second);
    --lane.on_their_way;
    lane.used_at = timeline_.now();
    on_their_way_.erase(found);
}

void Lanes::hurried() {
    for (auto& [domain, lane] : lanes_) {
        lane.may_hurry = true;
    }
}

void Lanes::crashed() {
    on_their_way_.clear();
    lanes_.clear();
    configured_at_ = full_at_ = timeline_.now();
}

bool Lanes::had_room_since(Timeline::Milliseconds then) const {
    return most_ > 0 && on_their_way_.size() < most_ && full_at_ <= then;
}

bool Lanes::are_there_since(Timeline::Milliseconds then) const { return most_ > 0 && configured_at_ <= then; }

bool Lanes::had_a_turn_since(const std::string& domain, Timeline::Milliseconds then) const {
    const auto found = lanes_.find(domain);
    return found != lanes_.end() && found->second.begun_at >= then;
}

std::size_t Lanes::used_since(Timeline::Milliseconds then) const {
    return static_cast<std::size_t>(std::count_if(lanes_.begin(), lanes_.end(), [then](const auto& lane) {
        return lane.second.used_at >= then || lane.second.on_their_way > 0;
    }));
}

}  // namespace postern::simulation
