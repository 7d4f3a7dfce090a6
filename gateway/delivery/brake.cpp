#include "gateway/delivery/brake.hpp"

#include <algorithm>

#include "gateway/delivery/balance.hpp"

namespace postern::delivery {

namespace {

constexpr std::size_t recipients_per_bucket_max = 2000;
constexpr double learning = 0.002;  // by one verdict: a few hundred make a habit
constexpr double share_left = 0.25;

}  // namespace

Brake::Bucket& Brake::bucket(const BrakeOptions& options, queue::SteadyInstant now) {
    const auto width = std::max<queue::Duration>(queue::Duration(1), options.window / static_cast<int>(buckets));
    const std::int64_t number = std::chrono::duration_cast<queue::Duration>(now.time_since_epoch()) / width;
    for (Bucket& old : buckets_) {
        if (old.number >= 0 && old.number <= number - static_cast<std::int64_t>(buckets)) {
            // What has passed without alarm becomes what is usual.
            const std::uint32_t verdicts = std::min<std::uint32_t>(old.delivered + old.failed, 1000);
            const double share =
                old.delivered + old.failed > 0 ? old.failed / static_cast<double>(old.delivered + old.failed) : 0;
            for (std::uint32_t i = 0; i < verdicts; ++i) {
                usual_failures_ += (share - usual_failures_) * learning;
            }
            old = Bucket();
        }
    }
    Bucket& now_at = buckets_.at(static_cast<std::size_t>(number) % buckets);
    if (now_at.number != number) {
        now_at = Bucket();
        now_at.number = number;
    }
    return now_at;
}

Brake::Sums Brake::sums() const {
    Sums sums;
    std::unordered_set<std::uint64_t> recipients;
    for (const Bucket& each : buckets_) {
        sums.delivered += each.delivered;
        sums.failed += each.failed;
        recipients.insert(each.recipients.begin(), each.recipients.end());
    }
    sums.recipients = recipients.size();
    return sums;
}

void Brake::delivered(const BrakeOptions& options, queue::SteadyInstant now) { ++bucket(options, now).delivered; }

bool Brake::failed(const BrakeOptions& options, const mail::Mailbox& recipient, queue::SteadyInstant now) {
    Bucket& at = bucket(options, now);
    ++at.failed;
    if (at.recipients.size() < recipients_per_bucket_max) {
        at.recipients.insert(sticky_key(recipient));
    }
    if (on_ || !options.on) {
        return false;
    }
    std::uint64_t failures = 0;
    std::uint64_t deliveries = 0;
    for (const Bucket& each : buckets_) {
        failures += each.failed;
        deliveries += each.delivered;
    }
    const double share = static_cast<double>(failures) / static_cast<double>(failures + deliveries);
    const double least = std::max(options.ratio, 1 - (1 - usual_failures_) * share_left);
    on_ = failures >= options.failures && share >= least && sums().recipients >= options.recipients;
    return on_;
}

void Brake::release() {
    const Sums seen = sums();
    if (seen.failed + seen.delivered > 0) {
        usual_failures_ = std::max(
            usual_failures_, static_cast<double>(seen.failed) / static_cast<double>(seen.failed + seen.delivered));
    }
    buckets_ = {};
    on_ = false;
}

std::string Brake::describe(const BrakeOptions& options) const {
    const Sums seen = sums();
    return std::to_string(seen.failed) + " of the last " + std::to_string(seen.failed + seen.delivered) +
           " verdicts in " + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(options.window).count()) +
           " s were permanent failures, for " + std::to_string(seen.recipients) + " recipients";
}

}  // namespace postern::delivery
