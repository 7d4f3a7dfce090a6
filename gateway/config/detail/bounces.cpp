// `bounces`: what senders are told, and the way out for it.
#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/names.hpp"
#include "gateway/config/detail/networks.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"
#include "queue/mail/mailbox.hpp"

namespace postern::config::detail {
namespace {

void read_relay(Section& section, Draft& draft, Problems& problems) {
    constexpr std::string_view prefix = "smtp://";
    const auto text = section.text("relay", "another mail server, as \"smtp://smarthost.example.com:25\"");
    if (!text) {
        return;
    }
    const Position at = section.find("relay")->at;
    if (*text == "none") {
        draft.config.bounces.way = Bounces::Way::none;
        return;
    }
    if (!text->starts_with(prefix)) {
        problems.error(at, fmt::format("`relay`: {}: expected \"smtp://HOST:PORT\" or none", quote(*text)));
        return;
    }
    const auto address = parse_address(text->substr(prefix.size()), PortZero::refused);
    if (!address) {
        problems.error(at, fmt::format("`relay`: {}: {}", quote(*text), address.error()));
        return;
    }
    draft.config.bounces.way = Bounces::Way::relay;
    draft.config.bounces.relay = *address;
    draft.relay_at = at;
}

void read_from(Section& section, Bounces& bounces, Problems& problems) {
    constexpr std::string_view expected = "a mail address in ASCII, as postmaster@example.com";
    const auto text = section.text("from", expected);
    if (!text) {
        return;
    }
    const auto mailbox = mail::Mailbox::parse(*text, mail::Utf8::refused);
    if (!mailbox) {
        problems.error(section.find("from")->at, fmt::format("`from`: expected {}, found {}", expected, quote(*text)));
        return;
    }
    bounces.from = mailbox->to_string();
}

void read_relay_security(Section& section, Bounces& bounces, Problems& problems) {
    for (const char* key : {"relay_tls", "relay_authorities", "relay_user", "relay_password_file"}) {
        if (section.has(key) && bounces.way != Bounces::Way::relay) {
            problems.error(section.at(key), fmt::format("`{}` without a `relay`", key));
        }
    }
    section.choice(
        "relay_tls", bounces.relay_tls,
        {{"off", Encryption::off}, {"opportunistic", Encryption::opportunistic}, {"required", Encryption::required}});
    section.path("relay_authorities", bounces.relay_authorities);
    if (const auto user = section.text("relay_user", "the name to log in with")) {
        bounces.relay_user = *user;
    }
    section.path("relay_password_file", bounces.relay_password_file);
    if (section.has("relay_user") != section.has("relay_password_file")) {
        problems.error(section.at(section.has("relay_user") ? "relay_user" : "relay_password_file"),
                       "`relay_user` and `relay_password_file` belong together");
    } else if (section.has("relay_user") && bounces.relay_tls != Encryption::required) {
        problems.error(section.at("relay_user"), "`relay_user`: a password is sent only with `relay_tls: required`");
    }
}

void read_tls_of_domains(const Node& node, Bounces& bounces, Problems& problems) {
    if (node.kind != Node::Kind::mapping) {
        problems.error(node.at,
                       fmt::format("`tls`: expected a mapping, as `example.org: required`, found {}", describe(node)));
        return;
    }
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
        const Node::Key& key = node.keys[i];
        const Node& item = node.items[i];
        if (!is_host_name(key.text)) {
            problems.error(key.at, fmt::format("`tls`: {}: expected a domain, in ASCII", quote(key.text)));
        } else if (item.text != "required" && item.text != "opportunistic") {
            problems.error(item.at, fmt::format("`tls`: {}: expected required or opportunistic, found {}",
                                                quote(key.text), describe(item)));
        } else {
            bounces.tls[ascii_lower(key.text)] =
                item.text == "required" ? Encryption::required : Encryption::opportunistic;
        }
    }
}

/// Straight to the servers of other domains.
void read_direct(Section& section, Bounces& bounces, Problems& problems) {
    for (const char* key : {"port", "tls", "connections", "connections_per_domain", "never_to"}) {
        if (section.has(key) && bounces.way == Bounces::Way::relay) {
            problems.warning(section.at(key),
                             fmt::format("`{}` has no effect: with a `relay` no mail goes straight to the servers of "
                                         "other domains",
                                         key));
        }
    }
    section.number("port", bounces.port, {1U, 65'535U});
    if (const Node* tls = section.find("tls")) {
        read_tls_of_domains(*tls, bounces, problems);
    }
    section.number("connections", bounces.connections, {1U, 10'000U});
    section.number("connections_per_domain", bounces.connections_per_domain, {1U, 1000U});
    if (section.has("never_to")) {
        bounces.never_to = read_networks(section, "never_to", "no mail goes out", problems);
    }
}

}  // namespace

void read_bounces(const Node& node, Draft& draft, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    Bounces& bounces = draft.config.bounces;
    section.choice(
        "send", bounces.send,
        {{"always", Bounces::Send::always}, {"verified", Bounces::Send::verified}, {"never", Bounces::Send::never}});
    read_relay(section, draft, problems);
    read_relay_security(section, bounces, problems);
    read_direct(section, bounces, problems);
    read_from(section, bounces, problems);
    section.number("per_domain", bounces.per_domain, {1U, 100'000U});
    section.finish();
}

}  // namespace postern::config::detail
