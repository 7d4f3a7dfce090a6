#include "queue/miscount.hpp"

#include <fmt/format.h>

namespace postern::queue {

std::string Miscount::describe() const {
    std::string text;
    const auto add = [&text](std::string_view what, std::int64_t change) {
        text += fmt::format("{}{} {:+}", text.empty() ? "" : ", ", what, change);
    };
    if (messages != 0) {
        add("messages", messages);
    }
    for (const auto& [state, change] : recipients) {
        add(to_string(state), change);
    }
    return text;
}

}  // namespace postern::queue
