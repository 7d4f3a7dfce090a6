// Which backend an address belongs to. Made from a configuration, immutable.
//
// A domain is compared as Mailbox::domain_key() gives it, octet by octet: nothing is folded but ASCII letters, so that
// no look-alike (a full stop of another script, a zero-width space, a dot at the end) is taken for a domain of ours. An
// exact name goes before a pattern, a longer pattern before a shorter one; "*.example.com" is any depth below
// example.com and not example.com itself.
//
// Threads: any, after construction.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "gateway/config/config.hpp"
#include "queue/mail/mailbox.hpp"

namespace postern::routing {

struct RouteFound {
    const config::Domain* rule = nullptr;      ///< never nullptr; as the configuration has it
    const config::Backend* backend = nullptr;  ///< never nullptr
};

class Routes {
public:
    explicit Routes(std::shared_ptr<const config::Config> config);

    /// nullopt: the domain is not ours.
    [[nodiscard]] std::optional<RouteFound> find(const mail::Mailbox& address) const;
    /// The domain in which postmaster is at home when the gateway's own name is no domain of ours: the first that is no
    /// pattern.
    [[nodiscard]] const std::string& first_domain() const { return first_domain_; }

private:
    [[nodiscard]] RouteFound found(const config::Domain& rule) const;

    std::shared_ptr<const config::Config> config_;
    std::unordered_map<std::string, const config::Domain*> exact_;
    std::unordered_map<std::string, const config::Domain*> below_;  ///< by what stands behind "*."
    std::string first_domain_;
};

}  // namespace postern::routing
