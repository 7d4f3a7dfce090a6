// `tls` of a listener: which files, and how much TLS is asked for.
#include <fmt/format.h>

#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

/// Reads `certificate` and `key`, which stand together.
std::optional<Tls::Pair> read_pair(Section& section, const Node& node, Problems& problems) {
    Tls::Pair pair;
    section.path("certificate", pair.certificate);
    section.path("key", pair.key);
    for (const char* key : {"certificate", "key"}) {
        if (!section.has(key)) {
            problems.error(node.at,
                           fmt::format("`{}` is missing: TLS needs a certificate and its key, files in PEM", key));
        }
    }
    if (pair.certificate.empty() || pair.key.empty()) {
        return std::nullopt;
    }
    return pair;
}

}  // namespace

std::optional<Tls> read_tls(const Node& node, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return std::nullopt;
    }
    Tls tls;
    const auto first = read_pair(section, node, problems);
    if (first) {
        tls.pairs.push_back(*first);
    }
    for (const Node& item : section.list("additional", "a list of pairs, as [{ certificate: FILE, key: FILE }]")) {
        if (item.kind == Node::Kind::refused) {
            continue;
        }
        Section below(item, problems);
        if (!below.is_usable()) {
            continue;
        }
        if (const auto pair = read_pair(below, item, problems)) {
            tls.pairs.push_back(*pair);
        }
        below.finish();
    }
    const auto flag = [&section](std::string_view key, bool& value) {
        section.choice(key, value, {{"true", true}, {"false", false}});
    };
    flag("required", tls.required);
    flag("implicit", tls.implicit);
    flag("ask_client_certificate", tls.ask_client_certificate);
    section.finish();
    return first ? std::optional(tls) : std::nullopt;
}

}  // namespace postern::config::detail
