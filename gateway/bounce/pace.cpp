#include "gateway/bounce/pace.hpp"

#include <algorithm>

namespace postern::bounce {

namespace {

constexpr std::size_t domains_max = 10'000;
constexpr std::int64_t second = 1'000'000;

}  // namespace

queue::Duration Pace::wait(const std::string& domain, std::uint32_t per_second, queue::SteadyInstant now) {
    const std::int64_t at = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
    if (gone_at_.size() >= domains_max && gone_at_.count(domain) == 0) {
        std::erase_if(gone_at_, [at](const auto& entry) { return entry.second <= at; });
    }
    if (gone_at_.size() >= domains_max) {
        gone_at_.clear();  // ten thousand domains at once: no one of them is flooded
    }
    std::int64_t& gone = gone_at_[domain];
    gone = std::max(gone, at) + second / std::max<std::uint32_t>(1, per_second);
    return queue::Duration(std::max<std::int64_t>(0, gone - at - second) / 1000);
}

}  // namespace postern::bounce
