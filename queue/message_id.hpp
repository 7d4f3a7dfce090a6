// The name of a queued message, used by every log line and every command.
//
// 63 bits: 41 of milliseconds since 2020-01-01 UTC, 14 of node, 8 of sequence. Sorts by time of acceptance, is
// unique across nodes, and is written as 13 characters of Crockford's base 32 in lower case, which has no letters
// that are mistaken for one another over a telephone.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "queue/time.hpp"

namespace postern::queue {

class MessageId {
public:
    constexpr MessageId() = default;
    constexpr explicit MessageId(std::int64_t value) : value_(value) {}

    /// As the store keeps it: the rowid, never negative.
    [[nodiscard]] constexpr std::int64_t value() const noexcept { return value_; }
    [[nodiscard]] std::string to_string() const;
    /// Accepts what to_string() gives, in either case, with o for 0 and i or l for 1. nullopt: not an id.
    [[nodiscard]] static std::optional<MessageId> parse(std::string_view text);
    [[nodiscard]] Instant time() const;
    /// No id given out at `instant` or later is smaller.
    [[nodiscard]] static MessageId first_at(Instant instant);

    friend constexpr auto operator<=>(const MessageId&, const MessageId&) = default;

private:
    std::int64_t value_ = 0;
};

/// Makes ids that only grow, also when the wall clock steps back or more than 256 are asked for in a millisecond.
/// Threads: any (one atomic).
class MessageIdGenerator {
public:
    /// `node`: 0 to 16383. `last`: ids come out greater than this one (the greatest ever given, as far as known).
    MessageIdGenerator(const Clock& clock, std::uint16_t node, MessageId last);
    [[nodiscard]] MessageId next();

private:
    const Clock& clock_;
    std::uint16_t node_;
    std::atomic<std::int64_t> ticket_;  ///< milliseconds and sequence of the last id, without the node
};

}  // namespace postern::queue

template <>
struct std::hash<postern::queue::MessageId> {
    std::size_t operator()(const postern::queue::MessageId& id) const noexcept {
        return std::hash<std::int64_t>()(id.value());
    }
};
