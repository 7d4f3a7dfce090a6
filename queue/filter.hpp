// Which messages and recipients a command means: the one filter grammar of list, retry, hold, release, remove and
// bounce. A message matches when at least one of its undone recipients matches everything that is set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "queue/message.hpp"

namespace postern::queue {

struct Filter {
    std::vector<MessageId> ids;  ///< empty: any
    std::vector<std::string> backends;
    std::vector<std::string> domains;     ///< of the recipient; globs, ASCII case folded
    std::vector<std::string> recipients;  ///< globs, ASCII case folded
    std::vector<std::string> senders;     ///< globs, ASCII case folded; "" or "<>" is the null sender
    std::vector<std::string> clients;     ///< IP address, or network as ADDRESS/BITS
    std::vector<RecipientState> states;
    std::optional<Duration> older_than;  ///< since acceptance
    std::optional<Duration> younger_than;
    std::optional<std::string> reply;    ///< text found anywhere in the last reply, ASCII case folded
    std::optional<std::uint64_t> limit;  ///< messages; the oldest first

    /// Nothing but perhaps a limit is set: every queued message.
    [[nodiscard]] bool is_everything() const;
};

}  // namespace postern::queue
