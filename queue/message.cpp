// The names of recipients' states.
#include "queue/message.hpp"

#include <array>

namespace postern::queue {

namespace {

constexpr std::array<std::string_view, 8> state_names = {"ready",  "waiting",   "unknown", "held",
                                                         "parked", "delivered", "removed", "returned"};

}  // namespace

std::string_view to_string(RecipientState state) {
    const auto index = static_cast<std::size_t>(state);
    return index < state_names.size() ? state_names[index] : std::string_view("invalid");
}

std::optional<RecipientState> parse_recipient_state(std::string_view text) {
    for (std::size_t i = 0; i < state_names.size(); ++i) {
        if (state_names[i] == text) {
            return static_cast<RecipientState>(i);
        }
    }
    return std::nullopt;
}

}  // namespace postern::queue
