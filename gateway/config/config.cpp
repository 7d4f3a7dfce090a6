// Reads a file in steps, each of which reports all that it finds: text, YAML, sections, contradictions, defaults.
#include "gateway/config/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "gateway/config/detail/machine_hostname.hpp"
#include "gateway/config/detail/names.hpp"
#include "gateway/config/detail/problems.hpp"
#include "gateway/config/detail/read_file.hpp"
#include "gateway/config/detail/sections.hpp"
#include "gateway/config/detail/text_check.hpp"
#include "gateway/config/detail/yaml_reader.hpp"

namespace postern::config {
namespace {

using detail::Draft;
using detail::Problems;

void fill_in_hostname(Config& config, const HostnameSource& machine_hostname, Problems& problems) {
    if (!config.hostname.empty()) {
        return;
    }
    config.hostname = machine_hostname();
    if (config.hostname.find('.') == std::string::npos) {
        problems.warning({}, fmt::format("`hostname` is not given, and the machine calls itself {}, which is not fully "
                                         "qualified; other servers may refuse to talk to it",
                                         detail::quote(config.hostname)));
    }
}

void fill_in_control_socket(Config& config, Problems& problems) {
    if (!config.control.socket.empty()) {
        return;
    }
    config.control.socket = config.queue.path.parent_path() / "control.sock";
    if (config.control.socket.native().size() > detail::unix_path_octets_max) {
        problems.error(
            {}, fmt::format("`control.socket` is not given, and beside the queue its path would have {} octets of "
                            "at most {}; give a shorter one",
                            config.control.socket.native().size(), detail::unix_path_octets_max));
    }
}

void fill_in_listener(Config& config) {
    if (config.listeners.empty()) {
        Listener listener;
        listener.address.host = "0.0.0.0";
        listener.address.port = 25;
        config.listeners.push_back(std::move(listener));
    }
}

void fill_in_from(Config& config) {
    if (!config.bounces.from.empty()) {
        return;
    }
    std::string domain = config.hostname;
    for (auto rule = config.domains.rbegin(); rule != config.domains.rend(); ++rule) {
        const bool is_ascii = std::all_of(rule->pattern.begin(), rule->pattern.end(),
                                          [](char c) { return static_cast<unsigned char>(c) < 128; });
        if (is_ascii && !rule->pattern.starts_with("*.")) {
            domain = rule->pattern;
        }
    }
    config.bounces.from = "postmaster@" + domain;
}

void read(std::string_view text, Draft& draft, const HostnameSource& machine_hostname, Problems& problems) {
    if (!detail::check_text(text, problems)) {
        return;
    }
    const auto root = detail::read_yaml(text, problems);
    if (!root) {
        return;
    }
    detail::read_top(*root, draft, problems);
    fill_in_listener(draft.config);
    detail::check_contradictions(draft, problems);
    fill_in_control_socket(draft.config, problems);
    if (!problems.has_errors()) {
        fill_in_hostname(draft.config, machine_hostname, problems);
        fill_in_from(draft.config);
    }
}

Loaded finish(Draft draft, Problems problems) {
    Loaded loaded;
    loaded.control_socket = draft.config.control.socket;
    if (!problems.has_errors()) {
        loaded.config = std::make_shared<const Config>(std::move(draft.config));
    }
    loaded.problems = problems.take_errors();
    loaded.warnings = problems.take_warnings();
    return loaded;
}

}  // namespace

Loaded load_text(const std::string& yaml, const std::filesystem::path& name, const HostnameSource& machine_hostname) {
    Problems problems(name);
    Draft draft;
    draft.config.file = name;
    try {
        read(yaml, draft, machine_hostname, problems);
    } catch (const std::exception& error) {
        problems.error({}, fmt::format("could not be read: {}", error.what()));
    }
    return finish(std::move(draft), std::move(problems));
}

Loaded load_text(const std::string& yaml, const std::filesystem::path& name) {
    return load_text(yaml, name, detail::machine_hostname);
}

Loaded load(const std::filesystem::path& file) {
    const auto text = detail::read_file(file);
    if (!text) {
        Problems problems(file);
        problems.error({}, text.error());
        return finish({}, std::move(problems));
    }
    return load_text(*text, file);
}

}  // namespace postern::config
