// What the kernel says of this process: memory, time, descriptors. Threads: any.
#pragma once

#include "gateway/control/metrics.hpp"

namespace postern::gateway {

/// What cannot be read is 0. Walks through the open descriptors, of which there are as many as connections.
[[nodiscard]] control::ProcessUsage process_usage();

}  // namespace postern::gateway
