// `listeners`: where clients come in.
#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/networks.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

void read_listener(const Node& node, Draft& draft, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    Listener listener;
    section.choice("protocol", listener.protocol,
                   {{"smtp", Listener::Protocol::smtp}, {"lmtp", Listener::Protocol::lmtp}});
    if (const Node* tls = section.find("tls")) {
        listener.tls = read_tls(*tls, problems);
    }
    listener.proxy_protocol =
        read_networks(section, "proxy_protocol", "any client may say that it is another", problems);
    listener.trusted = read_networks(section, "trusted", "an open relay", problems);
    section.choice("bare_newline", listener.bare_newline,
                   {{"normalize", Listener::BareNewline::normalize}, {"reject", Listener::BareNewline::reject}});
    section.choice("early_talk", listener.early_talk,
                   {{"refuse", Listener::EarlyTalk::refuse}, {"allow", Listener::EarlyTalk::allow}});

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
