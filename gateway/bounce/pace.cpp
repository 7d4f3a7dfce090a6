#include "gateway/bounce/pace.hpp"

#include <algorithm>

namespace postern::bounce {

namespace {

constexpr std::size_t domains_max = 10'000;
constexpr std::int64_t second = 1'000'000;

}  // namespace

queue::Instant Pace::next(const std::string& domain, std::uint32_t per_second, queue::Instant now) {
    const std::int64_t at = std::int64_t{now.time_since_epoch().count()} * 1000;
    if (gone_at_.size() >= domains_max && gone_at_.count(domain) == 0) {
        std::erase_if(gone_at_, [at](const auto& entry) { return entry.second <= at; });
    }
    if (gone_at_.size() >= domains_max) {
        gone_at_.clear();  // ten thousand domains at once: no one of them is flooded
    }
    std::int64_t& gone = gone_at_[domain];
    gone = std::max(gone, at) + second / std::max<std::uint32_t>(1, per_second);
    const std::int64_t wait = std::max<std::int64_t>(0, gone - at - second);
    return now + queue::Duration(wait / 1000);
}

}  // namespace postern::bounce
