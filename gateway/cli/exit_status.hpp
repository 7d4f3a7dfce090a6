// The exit statuses of the program: sysexits.h's numbers, as scripts rely on them.
#pragma once

#include "gateway/control/failure.hpp"

namespace postern::cli {

constexpr int exit_done = 0;
constexpr int exit_no = 1;  ///< it ran and the answer is no
constexpr int exit_usage = 64;
constexpr int exit_data = 65;         ///< a message or address that cannot be read
constexpr int exit_unreachable = 69;  ///< the gateway
constexpr int exit_disk = 74;
constexpr int exit_busy = 75;  ///< another gateway holds this queue, or try again
constexpr int exit_config = 78;

[[nodiscard]] int exit_status(control::FailureKind kind);

}  // namespace postern::cli
