// The configuration in the words of each part. Pure.
#pragma once

#include <memory>
#include <vector>

#include "gateway/acceptance/policy.hpp"
#include "gateway/bounce/reporter.hpp"
#include "gateway/config/config.hpp"
#include "gateway/delivery/options.hpp"
#include "gateway/delivery/scheduler.hpp"
#include "gateway/dns/unbound_resolver.hpp"
#include "gateway/log/line.hpp"
#include "gateway/main/certificates.hpp"
#include "gateway/outgoing/options.hpp"
#include "gateway/routing/routes.hpp"
#include "gateway/screening/screen.hpp"
#include "lmtp-client/tls.hpp"
#include "queue/sqlite_store.hpp"
#include "smtp-server/listener_options.hpp"

namespace postern::gateway {

[[nodiscard]] queue::SqliteStoreOptions store_options(const config::Config& config);
/// Reads the files of certificates and passwords that the configuration names; the error is for the operator.
[[nodiscard]] Result<delivery::Options, std::string> delivery_options(const config::Config& config);
/// How mail goes to the stores of backend `name`. Reads the file of its authorities.
[[nodiscard]] Result<lmtp_client::Security, std::string> backend_security(const config::Backend& backend,
                                                                          const std::string& name);
/// The way to the servers of other domains. Looks at this machine's addresses, as they are now, and reads the system's
/// authorities.
[[nodiscard]] Result<std::shared_ptr<const outgoing::Options>, std::string> way_out(const config::Config& config);
[[nodiscard]] std::shared_ptr<const screening::Rules> screening_rules(const config::Config& config);
/// Without a trust anchor when the file of the default one is not there.
[[nodiscard]] dns::UnboundOptions dns_options(const config::Config& config);
[[nodiscard]] std::shared_ptr<const smtp_server::SessionOptions> session_options(
    const config::Config& config, const config::Listener& listener, std::shared_ptr<const smtp_server::TlsContext> tls);
/// `contexts`: one for each listener.
[[nodiscard]] std::vector<smtp_server::ListenerOptions> listener_options(const config::Config& config,
                                                                         const TlsContexts& contexts);
/// Without what it takes to know recipients: see RecipientParts::complete().
[[nodiscard]] std::shared_ptr<acceptance::Policy> policy(const config::Config& config,
                                                         std::shared_ptr<const routing::Routes> routes,
                                                         const delivery::RefusalBoard& refusals);
/// Who is told what, and by which way: `routes` are those of `config`.
[[nodiscard]] std::shared_ptr<const bounce::Rules> bounce_rules(const config::Config& config,
                                                                std::shared_ptr<const routing::Routes> routes);
[[nodiscard]] delivery::Route route(std::shared_ptr<const routing::Routes> routes);
[[nodiscard]] log::Level level(config::Log::Level level);
[[nodiscard]] log::Format format(config::Log::Format format);

/// What a gateway that runs on `now` follows after a reload of `wanted`: all of it, but for what needs_restart() names.
/// Its listeners are those of `now`, in their order; one that `wanted` has as well has its other keys from there.
[[nodiscard]] config::Config in_force(const config::Config& now, const config::Config& wanted);

/// What cannot change without a restart and differs between the two: for the operator who reloads.
[[nodiscard]] std::vector<std::string> needs_restart(const config::Config& now, const config::Config& wanted);

}  // namespace postern::gateway
