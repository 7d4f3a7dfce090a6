// What two sections say together that cannot both be meant.
#include <fmt/format.h>

#include <set>
#include <unordered_map>

#include "gateway/config/detail/nearest.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

void check_listeners(const Draft& draft, Problems& problems) {
    std::unordered_map<std::string, int> lines;
    for (std::size_t i = 0; i < draft.listeners_at.size(); ++i) {
        const Listener& listener = draft.config.listeners[i];
        const Position at = draft.listeners_at[i];
        const std::string address = listener.address.to_string();
        if (listener.protocol == Listener::Protocol::lmtp && listener.address.port == 25) {
            problems.error(at,
                           fmt::format("`address`: {}: an lmtp listener is not on port 25 (RFC 2033 section 5); its "
                                       "usual port is 24",
                                       quote(address)));
        }
        if (listener.tls && listener.tls->required && listener.protocol == Listener::Protocol::smtp &&
            listener.address.port == 25) {
            problems.warning(at, fmt::format("`tls.required`: {}: the MX of a domain must also take mail in clear (RFC "
                                             "3207 section 4); senders without TLS will return it",
                                             quote(address)));
        }
        const bool is_chosen_by_kernel = listener.address.unix_path.empty() && listener.address.port == 0;
        const auto [first, is_new] = lines.emplace(address, at.line);
        if (!is_new && !is_chosen_by_kernel) {
            problems.error(
                at, fmt::format("`address`: {} is given twice; first in line {}", quote(address), first->second));
        }
    }
}

/// Points each domain at its backend, and finds the backends that no domain uses.
void check_backends(Draft& draft, Problems& problems) {
    const auto& backends = draft.config.backends;
    if (backends.empty()) {
        return;  // reported; that each domain names an unknown one is no news
    }
    std::vector<std::string> names;
    for (const auto& [name, backend] : backends) {
        names.push_back(name);
    }
    std::set<std::string> used;
    for (std::size_t i = 0; i < draft.config.domains.size(); ++i) {
        Domain& domain = draft.config.domains[i];
        const Draft::DomainPlace& place = draft.domains_at[i];
        if (!place.names_backend && names.size() == 1) {
            domain.backend = names.front();
        } else if (!place.names_backend) {
            problems.error(place.at,
                           fmt::format("{} needs a `backend`, as there is more than one", quote(domain.pattern)));
            continue;
        }
        if (backends.count(domain.backend) == 0) {
            problems.error(place.at,
                           fmt::format("unknown backend {}{}", quote(domain.backend), proposal(domain.backend, names)));
            // The likely meaning is not unused as well.
            used.insert(nearest(domain.backend, names).value_or(std::string()));
        }
        used.insert(domain.backend);
    }
    for (const auto& [name, place] : draft.backends_at) {
        if (used.count(name) == 0) {
            problems.warning(place.at, fmt::format("no domain uses the backend {}", quote(name)));
        }
    }
}

bool is_everywhere(const std::string& host) { return host == "0.0.0.0" || host == "::"; }
bool is_loopback(const std::string& host) {
    return host == "localhost" || host == "::1" || host.substr(0, 4) == "127.";
}

/// Whether what is sent to `endpoint` comes in at `listener`, as far as the addresses alone can tell.
bool is_same_place(const Address& endpoint, const Address& listener) {
    if (!endpoint.unix_path.empty() || !listener.unix_path.empty()) {
        return endpoint.unix_path == listener.unix_path;
    }
    return endpoint.port == listener.port &&
           (endpoint.host == listener.host ||
            (is_everywhere(listener.host) && (is_loopback(endpoint.host) || is_everywhere(endpoint.host))));
}

void check_endpoints(const Draft& draft, Problems& problems) {
    std::unordered_map<std::string, std::string> backend_of;
    for (const auto& [name, place] : draft.backends_at) {
        const std::vector<Address>& endpoints = draft.config.backends.at(name).endpoints;
        for (std::size_t i = 0; i < endpoints.size(); ++i) {
            const std::string address = endpoints[i].to_string();
            const auto [first, is_new] = backend_of.emplace(address, name);
            if (!is_new) {
                problems.warning(place.endpoints_at[i],
                                 fmt::format("`endpoints`: {} is also an endpoint of {}: each backend counts its "
                                             "connections alone",
                                             quote(address), quote(first->second)));
            }
            for (const Listener& listener : draft.config.listeners) {
                if (is_same_place(endpoints[i], listener.address)) {
                    problems.error(
                        place.endpoints_at[i],
                        fmt::format("`endpoints`: {} is this gateway's own listener: mail would go in a circle",
                                    quote(address)));
                    break;
                }
            }
        }
    }
}

void check_relay(const Draft& draft, Problems& problems) {
    const auto& relay = draft.config.bounces.relay;
    if (!relay) {
        return;
    }
    for (const Listener& listener : draft.config.listeners) {
        if (is_same_place(*relay, listener.address)) {
            problems.error(draft.relay_at, fmt::format("`relay`: {} is this gateway's own listener: mail would go in a "
                                                       "circle",
                                                       quote(relay->to_string())));
            return;
        }
    }
}

/// Whether two sockets that are bound to these are in each other's way.
bool overlap(const Address& one, const Address& other) {
    const auto is_six = [](const Address& address) { return address.host.find(':') != std::string::npos; };
    return one.unix_path.empty() && other.unix_path.empty() && one.port == other.port && is_six(one) == is_six(other) &&
           (one.host == other.host || is_everywhere(one.host) || is_everywhere(other.host));
}

void check_http(const Draft& draft, Problems& problems) {
    const auto& http = draft.config.control.http;
    if (!http) {
        return;
    }
    for (const Listener& listener : draft.config.listeners) {
        if (overlap(*http, listener.address)) {
            problems.error(draft.http_at, fmt::format("`http`: {} is taken by the listener {}",
                                                      quote(http->to_string()), quote(listener.address.to_string())));
            return;
        }
    }
    if (!is_loopback(http->host)) {
        problems.warning(draft.http_at,
                         fmt::format("`http`: {} is no loopback address: whoever reaches it may read how "
                                     "much mail there is and where it goes; it asks for no password",
                                     quote(http->to_string())));
    }
}

}  // namespace

void check_contradictions(Draft& draft, Problems& problems) {
    check_listeners(draft, problems);
    check_backends(draft, problems);
    check_endpoints(draft, problems);
    check_relay(draft, problems);
    check_http(draft, problems);
}

}  // namespace postern::config::detail
