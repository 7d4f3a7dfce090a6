// What is counted along in the queue, against what is there: the number of messages, and of recipients by state.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "queue/message.hpp"

namespace postern::queue {

/// What must be added to the counts to make them right. The same at any later time: each change of the rows changes the
/// counts by as much.
struct Miscount {
    std::map<RecipientState, std::int64_t> recipients;  ///< none of them 0
    std::int64_t messages = 0;

    [[nodiscard]] bool is_none() const { return messages == 0 && recipients.empty(); }
    /// "messages +1, ready -3, held +2".
    [[nodiscard]] std::string describe() const;
};

}  // namespace postern::queue
