// What a status means and what its reader can do, in plain words. Source: RFC 3463 section 3 and the registry that RFC
// 5248 set up.
#pragma once

#include <string_view>

#include "queue/mail/enhanced_status.hpp"

namespace postern::bounce::detail {

struct Advice {
    std::string_view meaning;  ///< "The mailbox is full."
    std::string_view action;   ///< "Ask the recipient to ..., then send the message again."
};

/// For a recipient that failed. Never empty.
[[nodiscard]] Advice advice_for(const mail::EnhancedStatus& status);

}  // namespace postern::bounce::detail
