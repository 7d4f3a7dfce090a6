#include "gateway/delivery/admission.hpp"

#include <utility>

namespace postern::delivery {

namespace {

constexpr std::chrono::seconds well_again{30};

}  // namespace

bool Admission::look(const BackendOptions& options, const Facts& facts, queue::SteadyInstant now) {
    if (facts.down) {
        well_since_.reset();
        down_since_ = down_since_.value_or(now);
    } else {
        well_since_ = well_since_.value_or(now);
    }
    const bool down_limit = options.refuse_after_down > queue::Duration(0);
    const bool backlog_limit = options.refuse_backlog > 0;
    const bool down_long = down_limit && facts.down && down_since_ && now - *down_since_ >= options.refuse_after_down;
    const bool too_many = backlog_limit && facts.backlog > options.refuse_backlog;
    // Well for a while, or down anew so shortly that nothing was proved: only the first ends an outage.
    if (well_since_ && now - *well_since_ >= well_again) {
        down_since_.reset();
    }
    if (!is_refusing()) {
        if (down_long) {
            why_ = "its stores have been down for " +
                   std::to_string(std::chrono::duration_cast<std::chrono::seconds>(now - *down_since_).count()) + " s";
        } else if (too_many) {
            why_ = std::to_string(facts.backlog) + " recipients wait for it";
        }
        return is_refusing();
    }
    const bool still_down = down_limit && down_since_ && now - *down_since_ >= options.refuse_after_down;
    const bool still_many = backlog_limit && facts.backlog > options.refuse_backlog - options.refuse_backlog / 5;
    if (still_down || still_many) {
        return false;
    }
    why_.clear();
    return true;
}

std::optional<queue::SteadyInstant> Admission::look_again_at(const BackendOptions& options) const {
    if (well_since_ && down_since_) {
        return *well_since_ + well_again;
    }
    if (!is_refusing() && down_since_ && options.refuse_after_down > queue::Duration(0)) {
        return *down_since_ + options.refuse_after_down;
    }
    return std::nullopt;
}

void RefusalBoard::publish(Refusing refusing) {
    const bool any = !refusing.empty();
    refusing_.store(std::make_shared<const Refusing>(std::move(refusing)));
    any_ = any;
}

std::optional<std::string> RefusalBoard::why(const std::string& backend) const {
    if (!any_.load(std::memory_order_acquire)) {
        return std::nullopt;
    }
    const auto refusing = refusing_.load();
    const auto found = refusing->find(backend);
    if (found == refusing->end()) {
        return std::nullopt;
    }
    return found->second;
}

}  // namespace postern::delivery
