// postern backend conformance: examines the stores of a backend. It needs the configuration alone, no gateway.
#pragma once

#include "gateway/cli/command.hpp"

namespace postern::gateway {

void declare_conformance(CLI::App& root, cli::Invocation& invocation);

}  // namespace postern::gateway
