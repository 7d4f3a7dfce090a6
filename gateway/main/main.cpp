// The program `postern`: all commands, and the parts that they need.
#include "gateway/cli/command.hpp"
#include "gateway/main/conformance_command.hpp"
#include "gateway/main/serve_command.hpp"
#include "gateway/main/store_command.hpp"
#include "gateway/routing/routes.hpp"

namespace {

std::optional<postern::cli::Route> find_route(const postern::config::Config& config,
                                              const postern::mail::Mailbox& address) {
    const postern::routing::Routes routes(std::make_shared<const postern::config::Config>(config));
    const auto found = routes.find(address);
    if (!found) {
        return std::nullopt;
    }
    postern::cli::Route route;
    route.rule = found->rule->pattern;
    route.check = "any";
    route.backend = found->backend->name;
    for (const postern::config::Address& endpoint : found->backend->endpoints) {
        route.endpoints.push_back(endpoint.to_string());
    }
    return route;
}

}  // namespace

int main(int count, char** arguments) {
    using namespace postern;
    return cli::main(count, arguments, {gateway::declare_serve, gateway::declare_store, gateway::declare_conformance},
                     find_route);
}
