// The program `postern`: all commands, and the parts that they need.
#include "gateway/cli/command.hpp"
#include "gateway/main/certificates.hpp"
#include "gateway/main/conformance_command.hpp"
#include "gateway/main/recipient_parts.hpp"
#include "gateway/main/serve_command.hpp"
#include "gateway/main/store_command.hpp"
#include "gateway/main/translate.hpp"
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
    route.check = postern::gateway::describe_recipient(config, *found, address);
    route.backend = found->backend->name;
    for (const postern::config::Address& endpoint : found->backend->endpoints) {
        route.endpoints.push_back(endpoint.to_string());
    }
    return route;
}

std::unique_ptr<postern::queue::Reporter> make_reporter(std::shared_ptr<const postern::config::Config> config,
                                                        const postern::queue::Clock& clock) {
    const auto routes = std::make_shared<const postern::routing::Routes>(config);
    return std::make_unique<postern::bounce::Reporter>(clock, postern::gateway::bounce_rules(*config, routes));
}

/// What the gateway would stumble over when it reads the files that the configuration names.
std::vector<std::string> check_files(const postern::config::Config& config, const postern::queue::Clock& clock) {
    using namespace postern::gateway;
    std::vector<std::string> faults = recipient_faults(config);
    postern::log::Log silent(clock, postern::log::Format::logfmt, postern::log::Level::error);
    const auto certificates = Certificates(silent, clock).read(config);
    if (certificates.has_error()) {
        faults.push_back(certificates.error());
    }
    const auto delivery = delivery_options(config);
    if (delivery.has_error()) {
        faults.push_back(delivery.error());
    }
    return faults;
}

}  // namespace

int main(int count, char** arguments) {
    using namespace postern;
    return cli::main(count, arguments, {gateway::declare_serve, gateway::declare_store, gateway::declare_conformance},
                     {find_route, make_reporter, check_files});
}
