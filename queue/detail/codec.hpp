// Rows of the queue file to values and back, and the checksum that binds a message together. The only place that knows
// both the columns and the types of queue/message.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "queue/message.hpp"
#include "queue/store.hpp"

namespace postern::queue::detail {

class Statement;

/// For SELECT: the columns that read_envelope() and read_recipient() expect, in order, of `message AS m` and `recipient
/// AS r`.
inline constexpr std::string_view envelope_columns =
    "m.id, m.received_at, m.size, m.sender, m.body_type, m.has_8bit, m.smtputf8, m.dsn_ret, m.dsn_envid, "
    "m.client_address, m.client_helo, m.client_rdns, m.client_protocol, "
    "(SELECT kind FROM origin WHERE message = m.id), (SELECT about FROM origin WHERE message = m.id)";
inline constexpr int envelope_column_count = 15;
inline constexpr std::string_view recipient_columns =
    "r.ordinal, r.address, r.backend, r.state, r.attempts, r.unknowns, r.next_attempt_at, r.last_reply, "
    "r.dsn_notify, r.dsn_orcpt, r.failed, r.delay_told";
inline constexpr int recipient_column_count = 12;
/// Of `history AS h`, for read_history_event().
inline constexpr std::string_view history_columns =
    "h.message, h.at, h.ordinal, h.event, h.sender, h.recipient, h.backend, h.endpoint, h.attempt, h.duration, "
    "h.reply, h.actor, h.client, h.session, h.tls";
inline constexpr int history_column_count = 15;

inline constexpr std::string_view backend_marks_query = "SELECT backend, kind, at, actor, reason FROM backend_mark";
[[nodiscard]] BackendMark read_backend_mark(const Statement& row);

/// What `origin.kind` holds beside the number of an Origin.
inline constexpr std::int64_t origin_require_tls = 4;

/// Of the current row, from column `first` on. What no row can hold is read as something near it (an address as
/// unreadable_address): one damaged row must not hide the others from the scheduler and from the operator. The checksum
/// is what tells; so the engine finds it before it delivers, and holds the message.
[[nodiscard]] Envelope read_envelope(const Statement& row, int first = 0);
[[nodiscard]] Recipient read_recipient(const Statement& row, int first = 0);
[[nodiscard]] HistoryEvent read_history_event(const Statement& row, int first = 0);

[[nodiscard]] constexpr std::int64_t to_stored(Instant instant) { return instant.time_since_epoch().count(); }
[[nodiscard]] constexpr Instant from_stored(std::int64_t milliseconds) { return Instant(Duration(milliseconds)); }

using Checksum = std::array<std::byte, 16>;
[[nodiscard]] inline std::string_view as_blob(const Checksum& checksum) {
    return {reinterpret_cast<const char*>(checksum.data()), checksum.size()};
}

/// XXH3-128 over the content, then the envelope (size included), then of each recipient what never changes: ordinal,
/// address and DSN options. Against bit rot and software, not against people. Contents come in parts; where they are
/// cut does not matter.
///
/// Stored: a change of what is hashed is a change of the schema's version.
class MessageChecksum {
public:
    MessageChecksum();
    ~MessageChecksum();
    MessageChecksum(MessageChecksum&&) noexcept;
    MessageChecksum& operator=(MessageChecksum&&) noexcept;

    void add_content(std::string_view part);
    /// Once, after the whole content. `envelope.id` and `envelope.size` are set.
    [[nodiscard]] Checksum finish(const Envelope& envelope, std::span<const Recipient> recipients);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace postern::queue::detail
