// The configuration in the words of each part. Pure.
#pragma once

#include <memory>
#include <vector>

#include "gateway/acceptance/policy.hpp"
#include "gateway/config/config.hpp"
#include "gateway/delivery/options.hpp"
#include "gateway/delivery/scheduler.hpp"
#include "gateway/log/line.hpp"
#include "gateway/routing/routes.hpp"
#include "queue/sqlite_store.hpp"
#include "smtp-server/listener_options.hpp"

namespace postern::gateway {

[[nodiscard]] queue::SqliteStoreOptions store_options(const config::Config& config);
[[nodiscard]] delivery::Options delivery_options(const config::Config& config);
[[nodiscard]] std::shared_ptr<const smtp_server::SessionOptions> session_options(const config::Config& config,
                                                                                 const config::Listener& listener);
[[nodiscard]] std::vector<smtp_server::ListenerOptions> listener_options(const config::Config& config);
[[nodiscard]] std::shared_ptr<const acceptance::Policy> policy(const config::Config& config,
                                                               std::shared_ptr<const routing::Routes> routes,
                                                               const delivery::RefusalBoard& refusals);
[[nodiscard]] delivery::Route route(std::shared_ptr<const routing::Routes> routes);
[[nodiscard]] log::Level level(config::Log::Level level);
[[nodiscard]] log::Format format(config::Log::Format format);

/// What a gateway that runs on `now` follows after a reload of `wanted`: all of it, but for what needs_restart() names.
/// Its listeners are those of `now`, in their order; one that `wanted` has as well has its other keys from there.
[[nodiscard]] config::Config in_force(const config::Config& now, const config::Config& wanted);

/// What cannot change without a restart and differs between the two: for the operator who reloads.
[[nodiscard]] std::vector<std::string> needs_restart(const config::Config& now, const config::Config& wanted);

}  // namespace postern::gateway
