#include "gateway/main/translate.hpp"

#include <algorithm>

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

}  // namespace

delivery::Options delivery_options(const config::Config& config) {
    delivery::Options options;
    options.hostname = config.hostname;
    options.retry.first = config.retry.first;
    options.retry.factor = config.retry.factor;
    options.retry.maximum = config.retry.maximum;
    options.retry.expire = config.retry.expire;
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
        translated.brake.on = backend.brake.failures > 0;
        translated.brake.failures = backend.brake.failures;
        translated.brake.recipients = backend.brake.recipients;
        translated.brake.ratio = backend.brake.ratio;
        translated.brake.window = backend.brake.window;
        translated.refuse_after_down = backend.refuse_after_down;
        translated.refuse_backlog = backend.refuse_backlog;
    }
    return options;
}

std::shared_ptr<const smtp_server::SessionOptions> session_options(const config::Config& config,
                                                                   const config::Listener& listener) {
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
    limits.errors_per_session = config.limits.errors_per_session;
    limits.command_timeout = config.limits.command_timeout;
    limits.data_timeout = config.limits.data_timeout;
    limits.received_headers = config.limits.received_headers;
    if (!listener.trusted.empty()) {
        session->trusted = [networks = listener.trusted](const std::string& ip) {
            return std::any_of(networks.begin(), networks.end(),
                               [&](const config::Network& network) { return network.contains(ip); });
        };
    }
    return session;
}

std::vector<smtp_server::ListenerOptions> listener_options(const config::Config& config) {
    std::vector<smtp_server::ListenerOptions> listeners;
    for (const config::Listener& listener : config.listeners) {
        smtp_server::ListenerOptions options;
        options.name = listener.address.to_string();
        options.host = listener.address.host;
        options.port = listener.address.port;
        options.unix_path = listener.address.unix_path;
        options.session = session_options(config, listener);
        listeners.push_back(std::move(options));
    }
    return listeners;
}

std::shared_ptr<const acceptance::Policy> policy(const config::Config& config,
                                                 std::shared_ptr<const routing::Routes> routes,
                                                 const delivery::RefusalBoard& refusals) {
    auto policy = std::make_shared<acceptance::Policy>();
    policy->hostname = config.hostname;
    policy->postmaster_at = routes->first_domain();
    policy->backend_of = route(std::move(routes));
    policy->refused_now = [&refusals](const std::string& backend) { return refusals.why(backend); };
    return policy;
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
    merged.queue.path = now.queue.path;
    merged.queue.history = now.queue.history;
    merged.control = now.control;
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
    if (now.user != wanted.user) {
        keys.emplace_back("user");
    }
    if (now.log.format != wanted.log.format) {
        keys.emplace_back("log.format");
    }
    return keys;
}

}  // namespace postern::gateway
