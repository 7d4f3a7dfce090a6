// `listeners`: where clients come in.
#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

void read_trusted(Section& section, Listener& listener, Problems& problems) {
    constexpr std::string_view expected = "an IP address or a network such as 192.0.2.0/24";
    for (const Node& item : section.list("trusted", "a list of networks, as [\"192.0.2.0/24\"]")) {
        const auto text = item_text(item, "trusted", expected, problems);
        if (!text) {
            continue;
        }
        const auto network = parse_network(*text);
        if (!network) {
            problems.error(item.at, fmt::format("`trusted`: {}: {}", quote(*text), network.error()));
            continue;
        }
        if (network->bits == 0) {
            problems.warning(item.at, fmt::format("`trusted`: {} is everybody: an open relay", quote(*text)));
        }
        listener.trusted.push_back(*network);
    }
}

void read_listener(const Node& node, Draft& draft, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    Listener listener;
    section.choice("protocol", listener.protocol,
                   {{"smtp", Listener::Protocol::smtp}, {"lmtp", Listener::Protocol::lmtp}});
    section.not_yet("tls");
    section.not_yet("proxy_protocol");
    read_trusted(section, listener, problems);
    section.choice("bare_newline", listener.bare_newline,
                   {{"normalize", Listener::BareNewline::normalize}, {"reject", Listener::BareNewline::reject}});

    const auto text = section.text("address", "HOST:PORT, \"[IPV6]:PORT\" or \"unix:/path\", in quotes");
    if (!section.has("address")) {
        problems.error(node.at, "a listener needs an `address`: HOST:PORT, \"[IPV6]:PORT\" or \"unix:/path\"");
    }
    section.finish();
    if (!text) {
        return;
    }
    const Position at = section.find("address")->at;
    const auto address = parse_address(*text, PortZero::allowed);
    if (!address) {
        problems.error(at, fmt::format("`address`: {}: {}", quote(*text), address.error()));
        return;
    }
    if (address->unix_path.empty() && !canonical_ip(address->host)) {
        // A name may stand for several addresses, or for none while the network comes up.
        problems.error(at, fmt::format("`address`: {}: a listener needs an IP address of this machine, or 0.0.0.0 or "
                                       "[::] for all",
                                       quote(*text)));
        return;
    }
    listener.address = *address;
    draft.config.listeners.push_back(std::move(listener));
    draft.listeners_at.push_back(at);
}

}  // namespace

void read_listeners(const std::vector<Node>& items, Draft& draft, Problems& problems) {
    for (const Node& item : items) {
        if (item.kind != Node::Kind::refused) {
            read_listener(item, draft, problems);
        }
    }
}

}  // namespace postern::config::detail
