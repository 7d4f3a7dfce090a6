// `domains`: what this gateway is the MX of.
#include <fmt/format.h>

#include <unordered_map>

#include "gateway/config/detail/domain_pattern.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

void read_domain(const Node::Key& key, const Node& node, std::string pattern, Draft& draft, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    Domain domain;
    domain.pattern = std::move(pattern);
    Draft::DomainPlace place{key.at, false};
    if (const auto backend = section.text("backend", "the name of a backend")) {
        domain.backend = *backend;
        place = {section.find("backend")->at, true};
    }
    const bool is_wrong = section.has("backend") && !place.names_backend;
    if (const Node* recipients = section.find("recipients")) {
        read_recipients(*recipients, domain.pattern, domain.recipients, problems);
    }
    section.finish();
    if (!is_wrong) {
        draft.config.domains.push_back(std::move(domain));
        draft.domains_at.push_back(place);
    }
}

}  // namespace

void read_domains(const Node& node, Draft& draft, Problems& problems) {
    const bool is_mapping = node.kind == Node::Kind::mapping;
    if (!is_mapping && node.kind != Node::Kind::nothing) {
        problems.error(node.at,
                       fmt::format("`domains`: expected a mapping, as `example.com: {{ backend: stores }}`, found {}",
                                   describe(node)));
        return;
    }
    if (node.keys.empty()) {
        problems.error(node.at, "`domains` is empty: which domains is this gateway the MX of?");
        return;
    }
    std::unordered_map<std::string, int> lines;  // of patterns that differ at most in letter case
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
        const Node::Key& key = node.keys[i];
        const auto pattern = parse_domain_pattern(key.text);
        if (!pattern) {
            problems.error(key.at, fmt::format("{}: {}", quote(key.text), pattern.error()));
            continue;
        }
        const auto [first, is_new] = lines.emplace(*pattern, key.at.line);
        if (!is_new) {
            problems.error(key.at, fmt::format("{} is given twice; first in line {}", quote(*pattern), first->second));
            continue;
        }
        if (pattern->rfind('.') == 1) {
            problems.warning(key.at, fmt::format("{} takes mail for a whole top-level domain", quote(*pattern)));
        }
        read_domain(key, node.items[i], *pattern, draft, problems);
    }
}

}  // namespace postern::config::detail
