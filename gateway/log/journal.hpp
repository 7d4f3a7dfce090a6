// systemd's journal as the reader of standard error: it takes the priority of a line from a prefix of it
// (sd-daemon(3)), so that `journalctl -p warning` finds what is a warning. Pure, but for one look at a descriptor.
#pragma once

#include <string_view>

#include "gateway/log/line.hpp"

namespace postern::log {

/// Whether the descriptor leads to the journal: `journal_stream` is the value of JOURNAL_STREAM, "DEVICE:INODE" of what
/// the service manager has connected (systemd.exec(5)); it is inherited even by who writes elsewhere. Null: no.
[[nodiscard]] bool leads_to_journal(int descriptor, const char* journal_stream);

/// "<3>" and the like; the numbers are syslog's.
[[nodiscard]] std::string_view journal_prefix(Level level);

}  // namespace postern::log
