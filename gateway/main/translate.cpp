#include "gateway/main/translate.hpp"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>

#include "gateway/delivery/reply_kind.hpp"

namespace postern::gateway {

queue::SqliteStoreOptions store_options(const config::Config& config) {
    queue::SqliteStoreOptions options;
    options.path = config.queue.path;
    options.minimum_free_disk = config.queue.minimum_free_disk;
    options.maximum_messages = config.queue.maximum_messages;
    options.history = config.queue.history;
    return options;
}

namespace {

delivery::Balance balance(config::Backend::Balance balance) {
    switch (balance) {
        case config::Backend::Balance::failover:
            return delivery::Balance::failover;
        case config::Backend::Balance::sticky:
            return delivery::Balance::sticky;
        case config::Backend::Balance::least_busy:
            break;
    }
    return delivery::Balance::least_busy;
}

/// `what`: the key that names the authorities, for the error.
Result<lmtp_client::Security, std::string> security(config::Encryption encryption,
                                                    const std::filesystem::path& authorities, std::string_view what) {
    lmtp_client::Security made;
    if (encryption == config::Encryption::off) {
        return made;
    }
    const bool required = encryption == config::Encryption::required;
    made.tls = required ? lmtp_client::Security::Tls::required : lmtp_client::Security::Tls::opportunistic;
    auto context = lmtp_client::TlsContext::make(authorities.string());
    if (context.has_error()) {
        return std::string(what) + ": " + context.error();
    }
    made.context = std::move(*context);
    return made;
}

Result<std::string, std::string> password(const std::filesystem::path& path) {
    using Read = Result<std::string, std::string>;
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line) || line.empty()) {
        return Read(boost::system::in_place_error,
                    "relay_password_file: " + path.string() + " cannot be read, or its first line is empty");
    }
    return Read(boost::system::in_place_value, std::move(line));
}

Result<lmtp_client::Security, std::string> relay_security(const config::Bounces& bounces) {
    auto made = security(bounces.relay_tls, bounces.relay_authorities, "relay_authorities");
    if (made.has_value() && !bounces.relay_user.empty()) {
        auto word = password(bounces.relay_password_file);
        if (word.has_error()) {
            return word.error();
        }
        made->login = lmtp_client::Security::Login{bounces.relay_user, std::move(*word)};
    }
    return made;
}

/// Where mail for other domains goes. A refusal there is about somebody else's mailboxes: nothing for the brake. And
/// nobody is refused here because it cannot be reached.
delivery::BackendOptions outgoing(const config::Address& relay) {
    delivery::BackendOptions options;
    lmtp_client::Endpoint endpoint{relay.host, relay.port, relay.unix_path};
    endpoint.protocol = lmtp_client::Protocol::smtp;
    options.endpoints.push_back(std::move(endpoint));
    options.brake.on = false;
    options.refuse_after_down = queue::Duration(0);
    options.is_elsewhere = true;
    return options;
}

/// The same without a relay: to the servers of each domain.
delivery::BackendOptions outgoing(const config::Bounces& bounces) {
    config::Address any;
    any.host = "*";  // in the place of the domain
    any.port = static_cast<std::uint16_t>(bounces.port);
    delivery::BackendOptions options = outgoing(any);
    options.connections = bounces.connections;
    options.connections_per_domain = bounces.connections_per_domain;
    return options;
}

}  // namespace

Result<lmtp_client::Security, std::string> backend_security(const config::Backend& backend, const std::string& name) {
    return security(backend.tls, backend.tls_authorities, "tls_authorities of " + name);
}

Result<delivery::Options, std::string> delivery_options(const config::Config& config) {
    using Translated = Result<delivery::Options, std::string>;
    delivery::Options options;
    options.hostname = config.hostname;
    options.retry.first = config.retry.first;
    options.retry.factor = config.retry.factor;
    options.retry.maximum = config.retry.maximum;
    options.retry.expire = config.retry.expire;
    options.retry.delay_notice = config.retry.delay_notice;
    for (std::size_t kind = 0; kind < delivery::reply_kinds; ++kind) {
        const std::string name(delivery::to_string(static_cast<delivery::ReplyKind>(kind)));
        const auto given = config.retry.classes.find(name);
        if (given != config.retry.classes.end()) {
            options.retry.classes.at(kind) = {given->second.first, given->second.factor, given->second.maximum};
        }
    }
    for (const auto& [name, backend] : config.backends) {
        delivery::BackendOptions& translated = options.backends[name];
        for (const config::Address& address : backend.endpoints) {
            translated.endpoints.push_back({address.host, address.port, address.unix_path});
        }
        translated.balance = balance(backend.balance);
        translated.connections = backend.connections;
        translated.recipients_per_transaction = backend.recipients_per_transaction;
        translated.connect_timeout = backend.connect_timeout;
        translated.reply_timeout = backend.reply_timeout;
        auto encryption = backend_security(backend, name);
        if (encryption.has_error()) {
            return Translated(boost::system::in_place_error, encryption.error());
        }
        translated.security = std::move(*encryption);
        translated.brake.on = backend.brake.failures > 0;
        translated.brake.failures = backend.brake.failures;
        translated.brake.recipients = backend.brake.recipients;
        translated.brake.ratio = backend.brake.ratio;
        translated.brake.window = backend.brake.window;
        translated.refuse_after_down = backend.refuse_after_down;
        translated.refuse_backlog = backend.refuse_backlog;
    }
    if (config.bounces.relay) {
        auto encryption = relay_security(config.bounces);
        if (encryption.has_error()) {
            return Translated(boost::system::in_place_error, encryption.error());
        }
        delivery::BackendOptions& out = options.backends[delivery::outgoing_backend];
        out = outgoing(*config.bounces.relay);
        out.security = std::move(*encryption);
    } else if (config.bounces.way == config::Bounces::Way::mx) {
        options.backends[delivery::outgoing_backend] = outgoing(config.bounces);
    }
    return Translated(boost::system::in_place_value, std::move(options));
}

dns::UnboundOptions dns_options(const config::Config& config) {
    dns::UnboundOptions options;
    for (const config::Address& server : config.dns.servers) {
        options.servers.push_back(server.host + '@' + std::to_string(server.port));
    }
    std::error_code ignored;
    if (config.dns.trust_anchor != config::Dns::default_trust_anchor ||
        std::filesystem::exists(config.dns.trust_anchor, ignored)) {
        options.trust_anchor = config.dns.trust_anchor;
    }
    options.timeout = config.dns.timeout;
    return options;
}

namespace {

/// Whether an address is in one of the networks; empty when there is none.
std::function<bool(const std::string&)> any_of(const std::vector<config::Network>& networks) {
    if (networks.empty()) {
        return {};
    }
    return [networks](const std::string& ip) {
        return std::any_of(networks.begin(), networks.end(),
                           [&](const config::Network& network) { return network.contains(ip); });
    };
}

bool is_everywhere(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

/// The addresses of this machine, as they are now.
std::vector<std::string> machine_addresses() {
    std::vector<std::string> addresses;
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) {
        return addresses;
    }
    for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
        std::array<char, NI_MAXHOST> text{};
        if (each->ifa_addr == nullptr ||
            (each->ifa_addr->sa_family != AF_INET && each->ifa_addr->sa_family != AF_INET6)) {
            continue;
        }
        const socklen_t size = each->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (::getnameinfo(each->ifa_addr, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0) {
            addresses.emplace_back(text.data());
        }
    }
    ::freeifaddrs(first);
    return addresses;
}

/// Whether one of the listeners hears what is sent to an address on `port`.
std::function<bool(const std::string&)> is_listened_on(const config::Config& config, std::uint32_t port) {
    std::vector<config::Network> heard;
    for (const config::Listener& listener : config.listeners) {
        if (listener.address.port != port || !listener.address.unix_path.empty()) {
            continue;
        }
        if (!is_everywhere(listener.address.host)) {
            heard.push_back({listener.address.host, listener.address.host.find(':') == std::string::npos ? 32 : 128});
            continue;
        }
        heard.push_back({"127.0.0.0", 8});
        for (const std::string& address : machine_addresses()) {
            heard.push_back({address, address.find(':') == std::string::npos ? 32 : 128});
        }
    }
    return [heard](const std::string& ip) {
        return std::any_of(heard.begin(), heard.end(),
                           [&ip](const config::Network& network) { return network.contains(ip); });
    };
}

/// Those to which mail with REQUIRETLS can be sent, as far as the configuration tells.
std::set<std::string> confidential_backends(const config::Config& config) {
    std::set<std::string> names;
    for (const auto& [name, backend] : config.backends) {
        const auto is_local = [](const config::Address& address) {
            return lmtp_client::Endpoint{address.host, address.port, address.unix_path}.is_local();
        };
        if (backend.tls == config::Encryption::required ||
            (backend.tls == config::Encryption::off &&
             std::all_of(backend.endpoints.begin(), backend.endpoints.end(), is_local))) {
            names.insert(name);
        }
    }
    if (config.bounces.relay && config.bounces.relay_tls == config::Encryption::required) {
        names.insert(delivery::outgoing_backend);
    }
    return names;
}

}  // namespace

Result<std::shared_ptr<const outgoing::Options>, std::string> way_out(const config::Config& config) {
    using Made = Result<std::shared_ptr<const outgoing::Options>, std::string>;
    auto options = std::make_shared<outgoing::Options>();
    options->hostname = config.hostname;
    options->port = static_cast<std::uint16_t>(config.bounces.port);
    auto context = lmtp_client::TlsContext::make({});
    if (context.has_error()) {
        return Made(boost::system::in_place_error, context.error());
    }
    options->context = std::move(*context);
    for (const auto& [domain, encryption] : config.bounces.tls) {
        if (encryption == config::Encryption::required) {
            options->tls_required.insert(domain);
        }
    }
    options->is_own = is_listened_on(config, config.bounces.port);
    options->is_forbidden = [networks = config.bounces.never_to](const std::string& ip) {
        return std::any_of(networks.begin(), networks.end(),
                           [&ip](const config::Network& network) { return network.contains(ip); });
    };
    return Made(boost::system::in_place_value, std::move(options));
}

std::shared_ptr<const smtp_server::SessionOptions> session_options(const config::Config& config,
                                                                   const config::Listener& listener,
                                                                   std::shared_ptr<const smtp_server::TlsContext> tls) {
    auto session = std::make_shared<smtp_server::SessionOptions>();
    session->protocol = listener.protocol == config::Listener::Protocol::lmtp ? smtp_server::Protocol::lmtp
                                                                              : smtp_server::Protocol::smtp;
    session->hostname = config.hostname;
    session->bare_newline = listener.bare_newline == config::Listener::BareNewline::reject
                                ? smtp_server::BareNewline::reject
                                : smtp_server::BareNewline::normalize;
    smtp_server::Limits& limits = session->limits;
    limits.message_size = config.limits.message_size;
    limits.recipients_per_message = config.limits.recipients_per_message;
    limits.connections = config.limits.connections;
    limits.connections_per_client = config.limits.connections_per_client;
    limits.connections_per_minute = config.limits.connections_per_minute;
    limits.messages_per_minute = config.limits.messages_per_minute;
    limits.recipients_per_minute = config.limits.recipients_per_minute;
    limits.errors_per_minute = config.limits.errors_per_minute;
    limits.errors_per_session = config.limits.errors_per_session;
    limits.commands_without_mail = config.limits.commands_without_mail;
    limits.stress_timeout = config.limits.stress_timeout;
    limits.command_timeout = config.limits.command_timeout;
    limits.data_timeout = config.limits.data_timeout;
    limits.received_headers = config.limits.received_headers;
    session->tls = std::move(tls);
    session->require_tls = !confidential_backends(config).empty();
    if (listener.tls && listener.tls->implicit) {
        session->tls_use = smtp_server::TlsUse::implicit;
    } else if (listener.tls && listener.tls->required) {
        session->tls_use = smtp_server::TlsUse::required;
    }
    session->hang_up_on_early_talk = listener.early_talk == config::Listener::EarlyTalk::refuse;
    session->greeting_delay = config.limits.greeting_delay;
    session->trusted = any_of(listener.trusted);
    session->balancer = any_of(listener.proxy_protocol);
    return session;
}

std::vector<smtp_server::ListenerOptions> listener_options(const config::Config& config, const TlsContexts& contexts) {
    std::vector<smtp_server::ListenerOptions> listeners;
    for (std::size_t i = 0; i < config.listeners.size(); ++i) {
        const config::Listener& listener = config.listeners[i];
        smtp_server::ListenerOptions options;
        options.name = listener.address.to_string();
        options.host = listener.address.host;
        options.port = listener.address.port;
        options.unix_path = listener.address.unix_path;
        options.session = session_options(config, listener, contexts.at(i));
        listeners.push_back(std::move(options));
    }
    return listeners;
}

std::shared_ptr<acceptance::Policy> policy(const config::Config& config, std::shared_ptr<const routing::Routes> routes,
                                           const delivery::RefusalBoard& refusals) {
    auto policy = std::make_shared<acceptance::Policy>();
    policy->hostname = config.hostname;
    policy->postmaster_at = routes->first_domain();
    policy->backend_of = route(std::move(routes));
    policy->outgoing = config.bounces.way == config::Bounces::Way::none ? "" : delivery::outgoing_backend;
    policy->is_confidential = [names = confidential_backends(config)](const std::string& backend) {
        return names.count(backend) != 0;
    };
    policy->refused_now = [&refusals](const std::string& backend) { return refusals.why(backend); };
    return policy;
}

std::shared_ptr<const bounce::Rules> bounce_rules(const config::Config& config,
                                                  std::shared_ptr<const routing::Routes> routes) {
    bounce::ReportOptions report(config.hostname, *mail::Mailbox::parse(config.bounces.from, mail::Utf8::refused));
    auto rules = std::make_shared<bounce::Rules>(std::move(report));
    switch (config.bounces.send) {
        case config::Bounces::Send::always:
            rules->send = bounce::SendPolicy::always;
            break;
        case config::Bounces::Send::verified:
            rules->send = bounce::SendPolicy::verified;
            break;
        case config::Bounces::Send::never:
            rules->send = bounce::SendPolicy::never;
            break;
    }
    rules->expire = config.retry.expire;
    rules->per_domain = config.bounces.per_domain;
    rules->way_to = [home = route(std::move(routes)), is_there = config.bounces.way != config::Bounces::Way::none](
                        const mail::Mailbox& address) -> std::optional<std::string> {
        auto backend = home(address);
        if (!backend && is_there) {
            backend = delivery::outgoing_backend;
        }
        return backend;
    };
    return rules;
}

delivery::Route route(std::shared_ptr<const routing::Routes> routes) {
    return [routes = std::move(routes)](const mail::Mailbox& address) -> std::optional<std::string> {
        const auto found = routes->find(address);
        if (!found) {
            return std::nullopt;
        }
        return found->backend->name;
    };
}

std::shared_ptr<const screening::Rules> screening_rules(const config::Config& config) {
    const config::Screening& screening = config.screening;
    auto rules = std::make_shared<screening::Rules>();
    rules->hostname = config.hostname;
    rules->reverse_names = screening.reverse_names;
    rules->sender_domains = screening.sender_domains;
    for (const config::DnsList& list : screening.block) {
        rules->block.push_back({list.zone, list.weight, list.codes});
    }
    for (const config::DnsList& list : screening.allow) {
        rules->allow.push_back({list.zone, list.weight, list.codes});
    }
    rules->refuse_at = screening.refuse_at;
    rules->suspect_at = screening.suspect_at;
    rules->greylist.suspicious = screening.greylist.suspicious;
    rules->greylist.delay = screening.greylist.delay;
    rules->greylist.retry_within = screening.greylist.retry_within;
    rules->greylist.remember = screening.greylist.remember;
    rules->greylist.maximum = screening.greylist.maximum;
    return rules;
}

log::Level level(config::Log::Level level) {
    switch (level) {
        case config::Log::Level::debug:
            return log::Level::debug;
        case config::Log::Level::info:
            return log::Level::info;
        case config::Log::Level::warn:
            return log::Level::warn;
        case config::Log::Level::error:
            break;
    }
    return log::Level::error;
}

log::Format format(config::Log::Format format) {
    return format == config::Log::Format::json ? log::Format::json : log::Format::logfmt;
}

config::Config in_force(const config::Config& now, const config::Config& wanted) {
    config::Config merged = wanted;
    merged.user = now.user;
    merged.sandbox = now.sandbox;
    merged.queue.path = now.queue.path;
    merged.queue.history = now.queue.history;
    merged.control = now.control;
    merged.dns = now.dns;
    merged.log.format = now.log.format;
    merged.listeners = now.listeners;
    for (config::Listener& listener : merged.listeners) {
        const auto same = std::find_if(wanted.listeners.begin(), wanted.listeners.end(),
                                       [&listener](const config::Listener& candidate) {
                                           return candidate.address.to_string() == listener.address.to_string() &&
                                                  candidate.protocol == listener.protocol;
                                       });
        if (same != wanted.listeners.end()) {
            listener = *same;
        }
    }
    return merged;
}

std::vector<std::string> needs_restart(const config::Config& now, const config::Config& wanted) {
    std::vector<std::string> keys;
    const auto addresses = [](const config::Config& config) {
        std::vector<std::string> list;
        for (const config::Listener& listener : config.listeners) {
            list.push_back(listener.address.to_string() +
                           (listener.protocol == config::Listener::Protocol::lmtp ? " lmtp" : " smtp"));
        }
        std::sort(list.begin(), list.end());
        return list;
    };
    if (addresses(now) != addresses(wanted)) {
        keys.emplace_back("listeners");
    }
    if (now.queue.path != wanted.queue.path) {
        keys.emplace_back("queue.path");
    }
    if (now.queue.history != wanted.queue.history) {
        keys.emplace_back("queue.history");
    }
    if (now.control.socket != wanted.control.socket) {
        keys.emplace_back("control.socket");
    }
    const auto http = [](const config::Config& config) {
        return config.control.http ? config.control.http->to_string() : std::string();
    };
    if (http(now) != http(wanted)) {
        keys.emplace_back("control.http");
    }
    const auto same_dns = [](const config::Dns& one, const config::Dns& other) {
        return std::equal(one.servers.begin(), one.servers.end(), other.servers.begin(), other.servers.end(),
                          [](const auto& a, const auto& b) { return a.to_string() == b.to_string(); }) &&
               one.trust_anchor == other.trust_anchor && one.timeout == other.timeout;
    };
    if (!same_dns(now.dns, wanted.dns)) {
        keys.emplace_back("dns");
    }
    if (now.user != wanted.user) {
        keys.emplace_back("user");
    }
    if (now.sandbox != wanted.sandbox) {
        keys.emplace_back("sandbox");
    }
    if (now.log.format != wanted.log.format) {
        keys.emplace_back("log.format");
    }
    return keys;
}

}  // namespace postern::gateway
