// What stands for an address that a damaged row of the queue file no longer gives. The checksum of its message cannot
// fit: whoever is about to deliver it finds that, and holds it. Threads: any.
#pragma once

#include <string_view>

#include "queue/mail/mailbox.hpp"

namespace postern::queue {

inline constexpr std::string_view unreadable_address = "damaged@invalid";

[[nodiscard]] inline bool is_unreadable(const mail::Mailbox& address) {
    return address.domain() == "invalid" && address.to_string() == unreadable_address;
}

}  // namespace postern::queue
