#include "gateway/main/serve_command.hpp"

#include <CLI/CLI.hpp>

#include "gateway/main/notify.hpp"
#include "gateway/main/serve.hpp"
#include "gateway/main/signals.hpp"

namespace postern::gateway {

void declare_serve(CLI::App& root, cli::Invocation& invocation) {
    cli::add_command(root, invocation, "serve", "run the gateway in the foreground", [&invocation] {
        SignalWaiter signals;  // before the first thread, and before a HUP can come that would end it
        const config::Loaded loaded = invocation.context.load_config(invocation.config_file);
        if (!loaded.config) {
            for (const config::Problem& problem : loaded.problems) {
                invocation.context.terminal.err.write(problem.to_string() + '\n');
            }
            notify_failed(loaded.problems.front().to_string());
            return cli::exit_config;
        }
        Gateway gateway(loaded, invocation.context.clock);
        if (const auto failure = gateway.start()) {
            invocation.complain(failure->text);
            notify_failed(failure->text);
            return failure->exit_status;
        }
        gateway.run(signals);
        return cli::exit_done;
    });
}

}  // namespace postern::gateway
