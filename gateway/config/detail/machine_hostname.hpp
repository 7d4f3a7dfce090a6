// The machine's own name.
#pragma once

#include <string>

namespace postern::config::detail {

/// The fully qualified name of this machine; without one the plain name, and without that "localhost". May ask the
/// resolver.
[[nodiscard]] std::string machine_hostname();

}  // namespace postern::config::detail
