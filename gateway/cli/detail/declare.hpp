// What the commands share: the filter options, and getting at the operations. CLI11 is known in detail/ and command.cpp
// alone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "gateway/cli/command.hpp"
#include "gateway/cli/filter_arguments.hpp"
#include "gateway/control/operations.hpp"

namespace postern::cli::detail {

/// --all --backend ... --limit on `app`. `with_ids`: also ID... as arguments.
enum class Ids : bool { no, yes };
void add_filter_options(CLI::App& app, FilterArguments& arguments, Ids ids);
void add_json_flag(CLI::App& app, bool& json);

/// Prints the failure; its exit status.
[[nodiscard]] int fail(const Invocation& invocation, const control::Failure& failure);
[[nodiscard]] int fail_usage(const Invocation& invocation, const std::string& text);

/// Loads the configuration, connects, and runs `use`; or prints why not.
[[nodiscard]] int with_operations(const Invocation& invocation, const std::function<int(control::Operations&)>& use);

void declare_config_commands(CLI::App& root, Invocation& invocation);  ///< check, route, version
void declare_backend_commands(CLI::App& root, Invocation& invocation);
void declare_gateway_commands(CLI::App& root, Invocation& invocation);  ///< status, reload, history
void declare_queue_commands(CLI::App& root, Invocation& invocation);    ///< queue ...
void declare_verb_commands(CLI::App& queue, Invocation& invocation);    ///< queue retry, hold, release, remove

}  // namespace postern::cli::detail
