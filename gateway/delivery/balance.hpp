// Which endpoint of a backend is the home of a recipient under `balance: sticky`. Pure.
//
// Rendezvous hashing: each endpoint has a weight for each recipient, and the greatest of those that are well wins. So
// an endpoint that goes down moves its own recipients and nobody else's, and they come back when it does.
#pragma once

#include <cstdint>
#include <string_view>

#include "queue/mail/mailbox.hpp"

namespace postern::delivery {

/// The same for ever and on every machine: a recipient keeps its endpoint across restarts.
[[nodiscard]] std::uint64_t sticky_weight(std::uint64_t recipient, std::string_view endpoint);
/// What of an address counts: the local part as it is, the domain without regard to case.
[[nodiscard]] std::uint64_t sticky_key(const mail::Mailbox& recipient);

}  // namespace postern::delivery
