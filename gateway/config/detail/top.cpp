// The keys of the file itself, and which section is whose.
#include <fmt/format.h>

#include "gateway/config/detail/names.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

void read_hostname(Section& section, Config& config, Problems& problems) {
    constexpr std::string_view expected = "the machine's name, as mx1.example.com";
    const auto name = section.text("hostname", expected);
    if (!name) {
        return;
    }
    const Node& node = *section.find("hostname");
    if (!is_host_name(*name) || name->find('_') != std::string::npos) {
        problems.error(node.at, fmt::format("`hostname`: expected {}, found {}", expected, describe(node)));
        return;
    }
    if (name->find('.') == std::string::npos) {
        problems.warning(node.at, fmt::format("`hostname`: {} is not fully qualified; other servers may refuse to "
                                              "talk to it (RFC 5321 section 2.3.5)",
                                              quote(*name)));
    }
    config.hostname = *name;
}

void read_user(Section& section, Config& config, Problems& problems) {
    const auto name = section.text("user", "the name of a user");
    if (!name) {
        return;
    }
    if (name->find_first_of(":/ \t\r\n") != std::string::npos || name->front() == '-') {
        const Node& node = *section.find("user");
        problems.error(node.at, fmt::format("`user`: expected the name of a user, found {}", describe(node)));
        return;
    }
    config.user = *name;
}

}  // namespace

void read_top(const Node& root, Draft& draft, Problems& problems) {
    using namespace std::chrono_literals;
    Config& config = draft.config;
    Section section(root, problems);
    if (!section.is_usable()) {
        return;
    }
    read_hostname(section, config, problems);
    read_user(section, config, problems);
    section.choice("sandbox", config.sandbox, {{"on", true}, {"off", false}});
    section.duration("shutdown_grace", config.shutdown_grace, {0ms, 1h});
    read_listeners(section.list("listeners", "a list, each item with an `address`"), draft, problems);

    const auto read = [&section](std::string_view key, auto&& reader) {
        if (const Node* node = section.find(key)) {
            reader(*node);
        }
    };
    read("limits", [&](const Node& node) { read_limits(node, config.limits, problems); });
    read("screening", [&](const Node& node) { read_screening(node, config.screening, problems); });
    read("queue", [&](const Node& node) { read_queue(node, config.queue, problems); });
    read("domains", [&](const Node& node) { read_domains(node, draft, problems); });
    read("backends", [&](const Node& node) { read_backends(node, draft, problems); });
    read("ask", [&](const Node& node) { read_ask(node, config.ask, problems); });
    read("retry", [&](const Node& node) { read_retry(node, config.retry, problems); });
    read("bounces", [&](const Node& node) { read_bounces(node, draft, problems); });
    read("dns", [&](const Node& node) { read_dns(node, config.dns, problems); });
    read("control", [&](const Node& node) { read_control(node, draft, problems); });
    read("log", [&](const Node& node) { read_log(node, config.log, problems); });

    // A gateway without these accepts nothing or delivers nothing: the only keys without a default.
    const auto require = [&](std::string_view key, std::string_view what) {
        if (!section.has(key)) {
            problems.error({}, fmt::format("`{}` is missing: {}", key, what));
        }
    };
    require("domains", "which domains is this gateway the MX of?");
    require("backends", "where does their mail go?");
    section.finish();
}

}  // namespace postern::config::detail
