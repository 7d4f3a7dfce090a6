// `backends`: the stores behind the gateway.
#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

/// Names stand in logs, on command lines and in globs.
bool is_backend_name(const std::string& name) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return !name.empty() && name.size() <= 64 && name.find_first_not_of(allowed) == std::string::npos;
}

void add_endpoint(const Node& item, Backend& backend, Draft::BackendPlace& place, Problems& problems) {
    const auto text = item_text(item, "endpoints", "HOST:PORT, \"[IPV6]:PORT\" or \"unix:/path\", in quotes", problems);
    if (!text) {
        return;
    }
    const auto address = parse_address(*text, PortZero::refused);
    if (!address) {
        problems.error(item.at, fmt::format("`endpoints`: {}: {}", quote(*text), address.error()));
        return;
    }
    if (address->port == 25) {
        problems.error(item.at, fmt::format("`endpoints`: {}: LMTP is not spoken on port 25 (RFC 2033 section 5); its "
                                            "usual port is 24",
                                            quote(*text)));
        return;
    }
    const std::string canonical = address->to_string();
    for (std::size_t i = 0; i < backend.endpoints.size(); ++i) {
        if (backend.endpoints[i].to_string() == canonical) {
            problems.error(item.at, fmt::format("`endpoints`: {} is given twice; first in line {}", quote(canonical),
                                                place.endpoints_at[i].line));
            return;
        }
    }
    backend.endpoints.push_back(*address);
    place.endpoints_at.push_back(item.at);
}

void read_endpoints(Section& section, Backend& backend, Draft::BackendPlace& place, Problems& problems) {
    constexpr std::size_t endpoints_max = 1000;
    const std::vector<Node>& items = section.list("endpoints", "a list, as [\"127.0.0.1:24\"]");
    if (!section.has("endpoints")) {
        problems.error(place.at,
                       fmt::format("backend {} needs `endpoints`, as [\"127.0.0.1:24\"]", quote(backend.name)));
        return;
    }
    if (const Node* list = section.find("endpoints"); list != nullptr && list->kind == Node::Kind::sequence) {
        if (items.empty() || items.size() > endpoints_max) {
            problems.error(list->at,
                           fmt::format("`endpoints`: expected 1 to {} of them, found {}", endpoints_max, items.size()));
            return;
        }
    }
    for (const Node& item : items) {
        add_endpoint(item, backend, place, problems);
    }
}

void read_choices(Section& section, Backend& backend, Problems& problems) {
    section.choice("balance", backend.balance,
                   {{"least_busy", Backend::Balance::least_busy},
                    {"failover", Backend::Balance::failover},
                    {"sticky", Backend::Balance::sticky}});
    section.choice(
        "tls", backend.tls,
        {{"off", Encryption::off}, {"opportunistic", Encryption::opportunistic}, {"required", Encryption::required}});
    section.path("tls_authorities", backend.tls_authorities);
    if (section.has("tls_authorities") && backend.tls != Encryption::required) {
        problems.warning(section.at("tls_authorities"), "`tls_authorities` is of use only with `tls: required`");
    }
}

void read_brake(const Node& node, Brake& brake, Problems& problems) {
    using namespace std::chrono_literals;
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    section.number("failures", brake.failures, {0U, 1'000'000U});
    section.number("recipients", brake.recipients, {1U, 10'000U});
    section.decimal("ratio", brake.ratio, {0, 1});
    section.duration("window", brake.window, {1s, 24h});
    section.finish();
    if (brake.failures > 0 && brake.recipients > brake.failures) {
        problems.error(section.at(section.has("recipients") ? "recipients" : "failures"),
                       fmt::format("`recipients` ({}) is more than `failures` ({}): the brake would wait for more",
                                   brake.recipients, brake.failures));
    }
}

void read_backend(const Node::Key& key, const Node& node, Draft& draft, Problems& problems) {
    using namespace std::chrono_literals;
    Backend backend;
    backend.name = key.text;
    Draft::BackendPlace place{key.at, {}};
    Section section(node, problems);
    if (section.is_usable()) {
        read_endpoints(section, backend, place, problems);
        read_choices(section, backend, problems);
        section.number("connections", backend.connections, {1U, 10'000U});
        section.number("recipients_per_transaction", backend.recipients_per_transaction, {1U, 100'000U});
        section.duration("connect_timeout", backend.connect_timeout, {100ms, 1h});
        section.duration("reply_timeout", backend.reply_timeout, {100ms, 24h});
        if (const Node* brake = section.find("brake")) {
            read_brake(*brake, backend.brake, problems);
        }
        section.duration("refuse_after_down", backend.refuse_after_down, {0ms, 24h * 30});
        section.number("refuse_backlog", backend.refuse_backlog, {std::uint64_t{0}, std::uint64_t{1'000'000'000}});
        section.finish();
    }
    // Also when something is wrong with it: that a domain names it is not.
    draft.backends_at.emplace(key.text, std::move(place));
    draft.config.backends.emplace(key.text, std::move(backend));
}

}  // namespace

void read_backends(const Node& node, Draft& draft, Problems& problems) {
    const bool is_mapping = node.kind == Node::Kind::mapping;
    if (!is_mapping && node.kind != Node::Kind::nothing) {
        problems.error(
            node.at,
            fmt::format("`backends`: expected a mapping, as `stores: {{ endpoints: [\"127.0.0.1:24\"] }}`, found {}",
                        describe(node)));
        return;
    }
    if (node.keys.empty()) {
        problems.error(node.at, "`backends` is empty: where does the mail go?");
        return;
    }
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
        const Node::Key& key = node.keys[i];
        if (!is_backend_name(key.text)) {
            problems.error(key.at, fmt::format("{}: the name of a backend has 1 to 64 letters, digits, - _ or .",
                                               quote(key.text)));
        } else if (key.text == outgoing_backend) {
            problems.error(key.at, fmt::format("{}: this name is taken: it is what mail that goes out to other domains "
                                               "waits for",
                                               quote(key.text)));
        }
        read_backend(key, node.items[i], draft, problems);
    }
}

}  // namespace postern::config::detail
