// What an operator's "give this back to its sender" makes of a recipient. Pure; the scheduler and the commands of a
// stopped gateway share it.
#pragma once

#include <string>

#include "queue/store.hpp"

namespace postern::queue {

/// Makes `update`, which holds what `recipient` is now, that of its return at `at`. It is recorded as `returned`; where
/// nobody can be told, as `parked`. What made it undeliverable, when it was parked already, says more than who returns
/// it and so stays its last reply; else `reason`, which may be empty, becomes it.
void return_by_hand(RecipientUpdate& update, const Recipient& recipient, const std::string& reason, Instant at);

}  // namespace postern::queue
