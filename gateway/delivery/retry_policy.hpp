// When a recipient is tried again, and when it is given up. Pure.
// Source: RFC 5321 section 4.5.4.1: delay a retry, keep trying for days; a shorter delay where the reason is known.
#pragma once

#include <cstdint>

#include "gateway/delivery/options.hpp"
#include "queue/mail/reply.hpp"

namespace postern::delivery {

/// How long to wait after attempt number `attempts` (from 1) was answered with `reply`: `first` times `factor` for each
/// attempt before, at most `maximum`, give or take a quarter, so that what failed together does not come back together.
/// A full mailbox (x.2.2) is emptied by people, not by the second: it waits five times as long from the start.
/// `chance`: from 0 to 1; where in the quarter.
[[nodiscard]] queue::Duration retry_delay(const RetryPolicy& policy, std::uint32_t attempts, const mail::Reply& reply,
                                          double chance);

/// Nothing that is tried later than this can succeed in time. An `accepted` in the future (a clock set back) counts as
/// now.
[[nodiscard]] bool is_expired(const RetryPolicy& policy, queue::Instant accepted, queue::Instant now);

}  // namespace postern::delivery
