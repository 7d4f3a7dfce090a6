// `queue` and `control`: files of the running gateway, and where it can be watched.
#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/names.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {

void read_queue(const Node& node, Queue& queue, Problems& problems) {
    using namespace std::chrono_literals;
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    section.path("path", queue.path);
    if (!queue.path.has_filename()) {
        problems.error(section.find("path")->at,
                       fmt::format("`path`: expected a file, found the folder {}", quote(queue.path.native())));
    }
    section.size("minimum_free_disk", queue.minimum_free_disk, {0, 1ULL << 50});
    section.number("maximum_messages", queue.maximum_messages, {std::uint64_t{1}, std::uint64_t{1'000'000'000'000}});
    section.duration("history", queue.history, {0ms, 24h * 3650});
    section.finish();
}

namespace {

/// A name may stand for several addresses, or for none while the network comes up; and a port that the kernel chooses
/// is one that nobody knows.
void read_http(Section& section, Draft& draft, Problems& problems) {
    constexpr std::string_view expected = "IP:PORT or \"[IPV6]:PORT\", in quotes";
    const auto text = section.text("http", expected);
    if (!text) {
        return;
    }
    const auto address = parse_address(*text, PortZero::refused);
    const Position at = section.find("http")->at;
    if (!address) {
        problems.error(at, fmt::format("`http`: {}: {}", quote(*text), address.error()));
    } else if (!canonical_ip(address->host)) {
        problems.error(at, fmt::format("`http`: expected {}, found {}", expected, quote(*text)));
    } else {
        draft.config.control.http = *address;
        draft.http_at = at;
    }
}

}  // namespace

void read_control(const Node& node, Draft& draft, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    Control& control = draft.config.control;
    section.path("socket", control.socket);
    if (control.socket.native().size() > unix_path_octets_max) {
        problems.error(section.find("socket")->at,
                       fmt::format("`socket`: the path of a Unix socket has at most {} octets, this one {}",
                                   unix_path_octets_max, control.socket.native().size()));
    }
    read_http(section, draft, problems);
    section.finish();
}

}  // namespace postern::config::detail
