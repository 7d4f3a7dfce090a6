// The capabilities of the process (capabilities(7)): none is needed once the listeners are open.
//
// Threads: these hold for the calling thread, and for those that it starts from then on. So: before the first thread.
#pragma once

#include <optional>
#include <string>

namespace postern::sandbox {

/// Takes every capability out of the bounding set, as far as the process may: with CAP_SETPCAP, which root has.
void empty_bounding_set();

/// Gives up all capabilities for good. Who stays root keeps those to read and write files of others, without which root
/// cannot open what the gateway left behind as another user. An error text when the kernel refuses.
[[nodiscard]] std::optional<std::string> give_up_capabilities();

}  // namespace postern::sandbox
