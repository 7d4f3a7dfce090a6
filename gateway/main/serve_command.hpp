// `postern serve`: the gateway, in the foreground.
#pragma once

#include "gateway/cli/command.hpp"

namespace postern::gateway {

void declare_serve(CLI::App& root, cli::Invocation& invocation);

}  // namespace postern::gateway
