// What the control API shows of a message: plain values, with every text still as the stranger wrote it (JSON and the
// terminal escape it).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "queue/reader.hpp"

namespace postern::control {

struct RecipientView {
    queue::Ordinal ordinal = 0;
    std::string address;
    queue::RecipientState state = queue::RecipientState::ready;
    std::uint32_t attempts = 0;
    std::uint32_t unknowns = 0;                     ///< attempts whose answer never came
    std::optional<queue::Instant> next_attempt_at;  ///< only while it may be tried
    std::string backend;
    std::string last_reply;
    bool failed = false;  ///< with parked: refused for good (else expired)
};

struct MessageView {
    queue::MessageId id;
    queue::Instant received_at{};
    std::uint64_t size = 0;
    std::string sender;  ///< empty: the null sender
    std::string client;  ///< IP address; empty for a Unix socket
    std::string helo;
    std::string rdns;
    std::string protocol;
    bool has_8bit = false;
    bool smtputf8 = false;
    bool require_tls = false;
    std::string envid;
    std::vector<RecipientView> recipients;
};

[[nodiscard]] MessageView view_of(const queue::QueuedMessage& message);

}  // namespace postern::control
