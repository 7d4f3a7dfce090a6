#include "gateway/routing/routes.hpp"

#include <utility>

namespace postern::routing {

namespace {

constexpr std::string_view any_depth = "*.";

}  // namespace

Routes::Routes(std::shared_ptr<const config::Config> config) : config_(std::move(config)) {
    for (const config::Domain& rule : config_->domains) {
        if (rule.pattern.starts_with(any_depth)) {
            below_.emplace(rule.pattern.substr(any_depth.size()), &rule);
        } else {
            exact_.emplace(rule.pattern, &rule);
            if (first_domain_.empty()) {
                first_domain_ = rule.pattern;
            }
        }
    }
}

RouteFound Routes::found(const config::Domain& rule) const {
    RouteFound route;
    route.rule = &rule;
    route.backend = &config_->backends.at(rule.backend);
    return route;
}

std::optional<RouteFound> Routes::find(const mail::Mailbox& address) const {
    const std::string domain = address.domain_key();
    if (const auto exact = exact_.find(domain); exact != exact_.end()) {
        return found(*exact->second);
    }
    if (below_.empty() || domain.front() == '[') {
        return std::nullopt;
    }
    for (std::size_t dot = domain.find('.'); dot != std::string::npos; dot = domain.find('.', dot + 1)) {
        if (const auto below = below_.find(domain.substr(dot + 1)); below != below_.end()) {
            return found(*below->second);
        }
    }
    return std::nullopt;
}

}  // namespace postern::routing
