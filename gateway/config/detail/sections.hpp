// The sections of the file, one reader each. A reader fills in its part of the draft and leaves defaults alone; what
// two sections say together is checked afterwards, by contradictions.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "gateway/config/config.hpp"
#include "gateway/config/detail/node.hpp"
#include "gateway/config/detail/problems.hpp"

namespace postern::config::detail {

/// A configuration in the making, with the places of what may contradict something else.
struct Draft {
    Config config;

    std::vector<Position> listeners_at;  ///< of the address of each of config.listeners; empty: the default listener
    struct DomainPlace {
        Position at;  ///< of the backend's name, or of the domain when it names none
        bool names_backend = false;
    };
    std::vector<DomainPlace> domains_at;  ///< one for each of config.domains
    struct BackendPlace {
        Position at;
        std::vector<Position> endpoints_at;  ///< one for each endpoint
    };
    std::map<std::string, BackendPlace> backends_at;
    Position relay_at;  ///< of `bounces.relay`, when it is given
    Position http_at;   ///< of `control.http`, when it is given
};

void read_top(const Node& root, Draft& draft, Problems& problems);

void read_listeners(const std::vector<Node>& items, Draft& draft, Problems& problems);
/// Nothing when a certificate or key is missing, which is reported.
[[nodiscard]] std::optional<Tls> read_tls(const Node& node, Problems& problems);
void read_limits(const Node& node, Limits& limits, Problems& problems);
void read_screening(const Node& node, Screening& screening, Problems& problems);
void read_queue(const Node& node, Queue& queue, Problems& problems);
void read_control(const Node& node, Draft& draft, Problems& problems);
void read_domains(const Node& node, Draft& draft, Problems& problems);
/// The value of `recipients`, in the rule for `pattern`.
void read_recipients(const Node& node, const std::string& pattern, RecipientCheck& check, Problems& problems);
void read_ask(const Node& node, Ask& ask, Problems& problems);
void read_backends(const Node& node, Draft& draft, Problems& problems);
void read_retry(const Node& node, Retry& retry, Problems& problems);
void read_bounces(const Node& node, Draft& draft, Problems& problems);
void read_dns(const Node& node, Dns& dns, Problems& problems);
void read_log(const Node& node, Log& log, Problems& problems);

void check_contradictions(Draft& draft, Problems& problems);

}  // namespace postern::config::detail
