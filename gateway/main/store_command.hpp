// `postern store`: a small LMTP store, for trying the gateway out and for tests.
#pragma once

#include "gateway/cli/command.hpp"

namespace postern::gateway {

void declare_store(CLI::App& root, cli::Invocation& invocation);

}  // namespace postern::gateway
