// What an operator can do to a recipient, and from which states. Pure; the live gateway and the offline commands share
// it.
//
//   retry    ready, waiting, unknown         -> ready, due now
//   hold     ready, waiting, unknown, parked -> held
//   release  held, parked                    -> ready, due now
//   remove   every undone state              -> removed
//   bounce   every undone state              -> returned, or parked where nobody can be told
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/message.hpp"
#include "queue/store.hpp"

namespace postern::control {

enum class Verb : std::uint8_t { retry, hold, release, remove, bounce };

[[nodiscard]] std::string_view to_string(Verb verb);  ///< "retry"
[[nodiscard]] std::optional<Verb> parse_verb(std::string_view text);
/// The event that it leaves in the history: "retried", "held", "released", "removed", "returned".
[[nodiscard]] std::string_view event_name(Verb verb);

/// The states that `verb` acts on.
[[nodiscard]] const std::vector<queue::RecipientState>& source_states(Verb verb);
[[nodiscard]] bool applies(Verb verb, queue::RecipientState state);

/// The recipient as it stands after `verb`. Its attempts and its last reply stay: they are what happened. `reason`: of
/// `bounce`, for the sender; may be empty.
[[nodiscard]] queue::RecipientUpdate update_for(Verb verb, queue::MessageId message, const queue::Recipient& recipient,
                                                queue::Instant now, const std::string& reason = {});

/// One recipient of one message.
struct RecipientRef {
    queue::MessageId message;
    queue::Ordinal ordinal = 0;

    RecipientRef() = default;
    RecipientRef(queue::MessageId id, queue::Ordinal place) : message(id), ordinal(place) {}
    friend bool operator==(const RecipientRef&, const RecipientRef&) = default;
};

}  // namespace postern::control
