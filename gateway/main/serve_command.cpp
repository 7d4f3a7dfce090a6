#include "gateway/main/serve_command.hpp"

#include <CLI/CLI.hpp>

#include "gateway/main/serve.hpp"
#include "gateway/main/signals.hpp"

namespace postern::gateway {

void declare_serve(CLI::App& root, cli::Invocation& invocation) {
    cli::add_command(root, invocation, "serve", "run the gateway in the foreground", [&invocation] {
        const auto config = invocation.load_config();
        if (!config) {
            return cli::exit_config;
        }
        SignalWaiter signals;  // before the first thread
        Gateway gateway(config, invocation.context.clock);
        if (const auto failure = gateway.start()) {
            invocation.complain(failure->text);
            return failure->exit_status;
        }
        gateway.run(signals);
        return cli::exit_done;
    });
}

}  // namespace postern::gateway
