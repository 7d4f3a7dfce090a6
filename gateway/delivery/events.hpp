// What the delivery side tells the log. Values may be strangers' texts.
// Threads: called on the delivery thread; must not block.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "queue/message.hpp"

namespace postern::delivery {

/// One recipient's attempt, or what was decided about it.
struct RecipientEvent {
    std::string_view event;  ///< delivered, deferred, failed, expired, unknown, held
    queue::MessageId message;
    const queue::Recipient& recipient;  ///< as it is afterwards
    std::string endpoint;
    queue::Duration delay{};     ///< since acceptance
    queue::Duration duration{};  ///< of the attempt
};

class Events {
public:
    virtual ~Events() = default;
    virtual void recipient(const RecipientEvent& event) = 0;
    virtual void endpoint_down(const std::string& backend, const std::string& endpoint, const std::string& why) = 0;
    virtual void endpoint_up(const std::string& backend, const std::string& endpoint) = 0;
    /// A message that does not fit its checksum: held.
    virtual void damaged(queue::MessageId message, const std::string& detail) = 0;
    /// Something an operator should know.
    virtual void problem(const std::string& text) = 0;
};

}  // namespace postern::delivery
