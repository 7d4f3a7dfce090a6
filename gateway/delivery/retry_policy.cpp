#include "gateway/delivery/retry_policy.hpp"

#include <algorithm>
#include <cmath>

namespace postern::delivery {

namespace {

using queue::Duration;

constexpr int full_mailbox_factor = 5;
constexpr double jitter = 0.25;

RetryCurve derived(const RetryPolicy& policy, ReplyKind kind) {
    const auto at_most = [&policy](Duration first, Duration maximum) {
        return RetryCurve{std::min(policy.first, first), policy.factor, std::min(policy.maximum, maximum)};
    };
    switch (kind) {
        case ReplyKind::mailbox_full:
            return {policy.first * full_mailbox_factor, policy.factor, policy.maximum};
        case ReplyKind::busy:
            return at_most(std::chrono::seconds(2), std::chrono::minutes(1));
        case ReplyKind::store:
            return at_most(std::chrono::seconds(30), std::chrono::minutes(10));
        case ReplyKind::connection:
            return at_most(std::chrono::seconds(5), std::chrono::minutes(5));
        case ReplyKind::policy:
        case ReplyKind::other:
            break;
    }
    return {policy.first, policy.factor, policy.maximum};
}

}  // namespace

RetryCurve retry_curve(const RetryPolicy& policy, ReplyKind kind) {
    RetryCurve curve = derived(policy, kind);
    const RetryClass& given = policy.classes.at(static_cast<std::size_t>(kind));
    curve.factor = given.factor.value_or(curve.factor);
    if (given.first) {
        curve.first = *given.first;
        curve.maximum = std::max(curve.maximum, curve.first);
    }
    curve.maximum = given.maximum.value_or(curve.maximum);
    curve.first = std::min(curve.first, curve.maximum);
    return curve;
}

Duration retry_delay(const RetryPolicy& policy, std::uint32_t attempts, ReplyKind kind, double chance) {
    const RetryCurve curve = retry_curve(policy, kind);
    const double grown = static_cast<double>(curve.first.count()) *
                         std::pow(curve.factor, std::min<double>(attempts > 0 ? attempts - 1 : 0, 1000));
    const double spread = 1 - jitter + 2 * jitter * chance;
    const double delay = std::min(grown, static_cast<double>(curve.maximum.count())) * spread;
    return Duration(std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(delay, 1e15))));
}

queue::Instant retry_at(queue::Instant now, Duration delay) {
    const std::int64_t grid = std::max<std::int64_t>(1, delay.count() / 64);
    const std::int64_t exact = (now + delay).time_since_epoch().count();
    return queue::Instant(Duration((exact + grid - 1) / grid * grid));
}

bool is_expired(const RetryPolicy& policy, queue::Instant accepted, queue::Instant now) {
    return now > accepted && now - accepted >= policy.expire;
}

}  // namespace postern::delivery
