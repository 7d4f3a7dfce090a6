// Message ids: their text, and the generator.
#include "queue/message_id.hpp"

#include <algorithm>

namespace postern::queue {

namespace {

constexpr std::string_view digits = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t text_length = 13;  // 13 times 5 bits hold 63
constexpr int node_bits = 14;
constexpr int sequence_bits = 8;
constexpr std::int64_t sequence_mask = (std::int64_t{1} << sequence_bits) - 1;
constexpr std::int64_t milliseconds_max = (std::int64_t{1} << 41) - 1;
constexpr Instant epoch = std::chrono::sys_days(std::chrono::year(2020) / 1 / 1);

/// The value of a digit, or 32 for what is none.
std::int64_t digit_value(char c) {
    if (c >= 'A' && c <= 'Z') {
        c = static_cast<char>(c - 'A' + 'a');
    }
    if (c == 'o') {
        c = '0';
    }
    if (c == 'i' || c == 'l') {
        c = '1';
    }
    const auto at = digits.find(c);
    return at == std::string_view::npos ? 32 : static_cast<std::int64_t>(at);
}

constexpr std::int64_t ticket_of(MessageId id) {
    return ((id.value() >> (node_bits + sequence_bits)) << sequence_bits) | (id.value() & sequence_mask);
}
constexpr std::int64_t node_of(MessageId id) { return (id.value() >> sequence_bits) & ((1 << node_bits) - 1); }

/// The ticket that the next one must exceed, so that its id exceeds `last`: within a millisecond ids of a lower node
/// sort first.
std::int64_t ticket_behind(MessageId last, std::uint16_t node) {
    if (last.value() <= 0) {
        return 0;
    }
    return node_of(last) > node ? ticket_of(last) | sequence_mask : ticket_of(last);
}

}  // namespace

std::string MessageId::to_string() const {
    std::string text(text_length, '0');
    auto rest = static_cast<std::uint64_t>(value_);
    for (auto place = text.rbegin(); place != text.rend(); ++place) {
        *place = digits[rest & 31];
        rest >>= 5;
    }
    return text;
}

std::optional<MessageId> MessageId::parse(std::string_view text) {
    if (text.size() != text_length || digit_value(text.front()) > 7) {  // more would be a 64th bit
        return std::nullopt;
    }
    std::int64_t value = 0;
    for (const char c : text) {
        const std::int64_t digit = digit_value(c);
        if (digit > 31) {
            return std::nullopt;
        }
        value = (value << 5) | digit;
    }
    return MessageId(value);
}

Instant MessageId::time() const { return epoch + Duration(value_ >> (node_bits + sequence_bits)); }

MessageId MessageId::first_at(Instant instant) {
    const std::int64_t milliseconds = std::clamp<std::int64_t>((instant - epoch).count(), 0, milliseconds_max);
    return MessageId(milliseconds << (node_bits + sequence_bits));
}

MessageIdGenerator::MessageIdGenerator(const Clock& clock, std::uint16_t node, MessageId last)
    : clock_(clock), node_(node), ticket_(ticket_behind(last, node)) {}

MessageId MessageIdGenerator::next() {
    const std::int64_t now = std::clamp<std::int64_t>((clock_.wall() - epoch).count(), 1, milliseconds_max);
    std::int64_t old = ticket_.load(std::memory_order_relaxed);
    std::int64_t ticket = 0;
    do {
        ticket = std::max(now << sequence_bits, old + 1);
    } while (!ticket_.compare_exchange_weak(old, ticket, std::memory_order_relaxed));
    const std::int64_t milliseconds = ticket >> sequence_bits;
    return MessageId((milliseconds << (node_bits + sequence_bits)) | (std::int64_t{node_} << sequence_bits) |
                     (ticket & sequence_mask));
}

}  // namespace postern::queue
