#include "gateway/delivery/retry_policy.hpp"

#include <algorithm>
#include <cmath>

namespace postern::delivery {

namespace {

constexpr double full_mailbox_factor = 5;
constexpr double jitter = 0.25;

bool is_full_mailbox(const mail::Reply& reply) {
    const auto& status = reply.status();
    return status && status->subject == 2 && status->detail == 2;
}

}  // namespace

queue::Duration retry_delay(const RetryPolicy& policy, std::uint32_t attempts, const mail::Reply& reply,
                            double chance) {
    const auto maximum = static_cast<double>(policy.maximum.count());
    const double first = static_cast<double>(policy.first.count()) * (is_full_mailbox(reply) ? full_mailbox_factor : 1);
    const double grown = first * std::pow(policy.factor, std::min<double>(attempts > 0 ? attempts - 1 : 0, 1000));
    const double spread = 1 - jitter + 2 * jitter * chance;
    const double delay = std::min(grown, maximum) * spread;
    return queue::Duration(std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(delay, 1e15))));
}

bool is_expired(const RetryPolicy& policy, queue::Instant accepted, queue::Instant now) {
    return now > accepted && now - accepted >= policy.expire;
}

}  // namespace postern::delivery
