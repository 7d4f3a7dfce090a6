// When a recipient is tried again, and when it is given up. Pure.
// Source: RFC 5321 section 4.5.4.1: delay a retry, keep trying for days; a shorter delay where the reason is known.
#pragma once

#include <cstdint>

#include "gateway/delivery/options.hpp"

namespace postern::delivery {

/// A curve of delays: `first`, and `factor` times as long after each attempt, to `maximum`.
struct RetryCurve {
    queue::Duration first{};
    double factor = 1;
    queue::Duration maximum{};
};

/// The curve of a kind of reply. What `retry.classes` leaves open comes from `retry` F, X, M (first, factor, maximum):
///
///   mailbox_full  5 F, X, M             emptied by people
///   busy          F, but at most 2 s; X; M, but at most 1 m    over in seconds
///   store         F, but at most 30 s; X; M, but at most 10 m  a store in trouble is watched
///   connection    F, but at most 5 s; X; M, but at most 5 m    there was no verdict
///   policy, other F, X, M
///
/// `first` never exceeds the curve's maximum. All attempts count, of whatever kind they were: a store that says now
/// this, now that, is not tried at the beginning of each curve for days.
[[nodiscard]] RetryCurve retry_curve(const RetryPolicy& policy, ReplyKind kind);

/// How long to wait after attempt number `attempts` (from 1), give or take a quarter, so that what failed together does
/// not come back together. `chance`: from 0 to 1; where in the quarter.
[[nodiscard]] queue::Duration retry_delay(const RetryPolicy& policy, std::uint32_t attempts, ReplyKind kind,
                                          double chance);

/// When that is over: up to a 64th of `delay` later than `now` + `delay`, so that recipients of a message who were
/// deferred some milliseconds apart are tried again in one transaction.
[[nodiscard]] queue::Instant retry_at(queue::Instant now, queue::Duration delay);

/// Nothing that is tried later than this can succeed in time. An `accepted` in the future (a clock set back) counts as
/// now.
[[nodiscard]] bool is_expired(const RetryPolicy& policy, queue::Instant accepted, queue::Instant now);

}  // namespace postern::delivery
