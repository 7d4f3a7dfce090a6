#include "gateway/main/recipient_parts.hpp"

#include <random>
#include <utility>

#include "queue/known_recipients.hpp"

namespace postern::gateway {

using config::RecipientCheck;
using recipients::DatabaseCheck;
using recipients::ListCheck;

namespace {

constexpr std::chrono::seconds watch_files_interval{1};

recipients::BookOptions book_options(const config::Ask& ask) {
    return {ask.positive, ask.refresh, ask.negative, ask.entries};
}

std::shared_ptr<const recipients::AddressSet> listed(const RecipientCheck& check) {
    auto addresses = std::make_shared<recipients::AddressSet>();
    for (const std::string& entry : check.addresses) {
        static_cast<void>(addresses->add(entry));  // the configuration has looked at each
    }
    return addresses;
}

std::string said(const queue::KnownRecipient& known) {
    return "the store said " + known.reply.to_string() + " at " + queue::to_rfc3339(known.at);
}

std::string described(const queue::KnownRecipient& known) {
    std::string text = std::string(queue::to_string(known.knowledge)) + ": " + said(known);
    if (known.knowledge == queue::Knowledge::unknown && known.contradicted_at != queue::Instant()) {
        text += "; it was taken until " + queue::to_rfc3339(known.taken_at);
    }
    return text;
}

std::vector<std::filesystem::path> files_of(const config::Config& config) {
    std::vector<std::filesystem::path> files;
    for (const config::Domain& domain : config.domains) {
        if (domain.recipients.how == RecipientCheck::How::file) {
            files.push_back(domain.recipients.path);
        }
    }
    return files;
}

std::string describe_asked(const config::Config& config, const std::string& backend, const mail::Mailbox& address) {
    const auto known = queue::read_known_recipient(config.queue.path, backend, recipients::Book::spelling(address));
    if (known.has_error()) {
        return "cannot be read: " + known.error();
    }
    if (*known) {
        return described(**known);
    }
    const auto domain = queue::read_known_recipient(config.queue.path, backend, '@' + address.domain_key());
    if (domain.has_value() && *domain && (*domain)->knowledge == queue::Knowledge::catch_all) {
        return "taken: the domain takes everything; for a name that nobody has " + said(**domain);
    }
    return "not known yet; RCPT will ask the store";
}

}  // namespace

std::vector<std::string> recipient_faults(const config::Config& config) {
    std::vector<std::string> faults;
    for (const config::Domain& domain : config.domains) {
        std::optional<std::string> fault;
        if (domain.recipients.how == RecipientCheck::How::file) {
            const auto read = recipients::read_address_file(domain.recipients.path);
            fault = read.has_error() ? std::optional(read.error()) : std::nullopt;
        } else if (domain.recipients.how == RecipientCheck::How::sqlite) {
            fault = DatabaseCheck::fault_of({domain.recipients.path, domain.recipients.query});
        }
        if (fault) {
            faults.push_back("recipients of " + domain.pattern + ": " + *fault);
        }
    }
    return faults;
}

std::string describe_recipient(const config::Config& config, const routing::RouteFound& route,
                               const mail::Mailbox& address) {
    const RecipientCheck& check = route.rule->recipients;
    const std::string refused = "; RCPT hears 550 5.1.1";
    if (check.how != RecipientCheck::How::any && recipients::is_postmaster(address)) {
        return "postmaster is always taken";
    }
    switch (check.how) {
        case RecipientCheck::How::any:
            return "any";
        case RecipientCheck::How::ask:
            return "ask; " + describe_asked(config, route.backend->name, address);
        case RecipientCheck::How::list:
            return listed(check)->contains(address) ? "list; it is in it" : "list; it is not in it" + refused;
        case RecipientCheck::How::file: {
            const auto read = recipients::read_address_file(check.path);
            if (read.has_error()) {
                return "file; " + read.error();
            }
            const std::string where = "in " + check.path.string();
            return (*read)->contains(address) ? "file; it is " + where : "file; it is not " + where + refused;
        }
        case RecipientCheck::How::sqlite:
            break;
    }
    const auto found = DatabaseCheck::answer_now({check.path, check.query}, address);
    if (found.has_error()) {
        return "sqlite; " + found.error() + "; RCPT hears 451 4.3.0";
    }
    const std::string where = "in " + check.path.string();
    return *found ? "sqlite; it is " + where : "sqlite; it is not " + where + refused;
}

RecipientParts::RecipientParts(log::Log& log, const queue::Clock& clock)
    : log_(log),
      clock_(clock),
      book_({},
            [this](const std::string& backend, bool doubted, std::size_t mailboxes) {
                if (doubted) {
                    log_.error("recipients_doubted",
                               {{"backend", backend},
                                {"mailboxes", static_cast<std::uint64_t>(mailboxes)},
                                {"text",
                                 "mailboxes that took mail are unknown all at once: unknown recipients hear 450 "
                                 "until the store knows them again, or for a day"}});
                } else {
                    log_.warn("recipients_trusted", {{"backend", backend}});
                }
            }),
      keeper_(book_, clock),
      asker_(
          book_, abilities_, clock,
          [this](const std::string& backend, const std::string& endpoint, const std::string& why) {
              if (why.empty()) {
                  log_.info("asking_works", {{"backend", backend}, {"endpoint", endpoint}});
              } else {
                  log_.warn("asking_failed", {{"backend", backend}, {"endpoint", endpoint}, {"reason", why}});
              }
          },
          std::random_device{}()),
      watch_(watch_files_interval, {[this] { return read_again(); }, [] {}}) {}

Result<std::shared_ptr<recipients::Check>, std::string> RecipientParts::check_of(const config::Domain& domain) {
    using Made = Result<std::shared_ptr<recipients::Check>, std::string>;
    const RecipientCheck& check = domain.recipients;
    switch (check.how) {
        case RecipientCheck::How::any:
            return Made(boost::system::in_place_value, nullptr);
        case RecipientCheck::How::ask:
            return Made(boost::system::in_place_value,
                        std::make_shared<recipients::AskCheck>(domain.backend, book_, asker_, clock_));
        case RecipientCheck::How::list:
            return Made(boost::system::in_place_value, std::make_shared<ListCheck>(listed(check)));
        case RecipientCheck::How::file: {
            auto read = recipients::read_address_file(check.path);
            if (read.has_error()) {
                return Made(boost::system::in_place_error, "recipients of " + domain.pattern + ": " + read.error());
            }
            return Made(boost::system::in_place_value, std::make_shared<ListCheck>(std::move(*read)));
        }
        case RecipientCheck::How::sqlite:
            break;
    }
    const Source source{check.path, check.query};
    if (const auto fault = DatabaseCheck::fault_of(source)) {
        return Made(boost::system::in_place_error, "recipients of " + domain.pattern + ": " + *fault);
    }
    std::shared_ptr<DatabaseCheck>& database = databases_[source];
    if (!database) {
        database = std::make_shared<DatabaseCheck>(source, [this](const std::string& problem) {
            log_.error("recipients_unreadable",
                       {{"problem", problem}, {"text", "RCPT hears 451 until it can be read"}});
        });
    }
    return Made(boost::system::in_place_value, database);
}

Result<std::shared_ptr<const RecipientParts::Checks>, std::string> RecipientParts::make(const config::Config& config) {
    auto look = look_at(files_of(config));
    auto checks = std::make_shared<Checks>();
    for (const config::Domain& domain : config.domains) {
        auto check = check_of(domain);
        if (check.has_error()) {
            return check.error();
        }
        if (*check) {
            checks->emplace(&domain, std::move(*check));
        }
    }
    made_of_ = std::move(look);
    return std::shared_ptr<const Checks>(std::move(checks));
}

void RecipientParts::use(const config::Config& config, const delivery::Options& delivery, const Checks& checks) {
    entries_ = config.ask.entries;
    keep_ = config.ask.positive;
    book_.set_options(book_options(config.ask));
    harvest_brake_.set_limit(config.limits.unknown_recipients_per_hour);
    recipients::AskerOptions asking;
    asking.hostname = config.hostname;
    asking.timeout = config.ask.timeout;
    asking.connections = config.ask.connections;
    auto asked = std::make_shared<std::set<std::string>>();
    std::map<std::string, std::vector<lmtp_client::Endpoint>> endpoints;
    for (const auto& [name, backend] : delivery.backends) {
        if (!backend.is_elsewhere) {
            endpoints[name] = backend.endpoints;
        }
    }
    for (const config::Domain& domain : config.domains) {
        if (domain.recipients.how == RecipientCheck::How::ask) {
            const delivery::BackendOptions& backend = delivery.backends.at(domain.backend);
            asked->insert(domain.backend);
            recipients::AskedBackend& one = asking.backends[domain.backend];
            one.endpoints = backend.endpoints;
            one.in_order = backend.balance == delivery::Balance::failover;
            one.security = backend.security;
            one.connect_timeout = backend.connect_timeout;
            one.reply_timeout = backend.reply_timeout;
        }
    }
    abilities_.reconfigure(endpoints);
    asked_backends_.store(std::move(asked));
    asker_.reconfigure(std::move(asking));
    {
        const std::lock_guard lock(files_mutex_);
        files_.clear();
        for (const config::Domain& domain : config.domains) {
            const auto check = checks.find(&domain);
            if (domain.recipients.how == RecipientCheck::How::file && check != checks.end()) {
                files_.push_back({domain.recipients.path, std::static_pointer_cast<ListCheck>(check->second), {}, {}});
            }
        }
    }
    watch_.seen(std::move(made_of_));
}

void RecipientParts::start(const std::filesystem::path& queue) {
    keeper_.start(queue, entries_, keep_, [this](const std::string& problem) {
        log_.warn("recipients_not_kept", {{"problem", problem}});
    });
    watch_.start();
}

void RecipientParts::stop() {
    watch_.stop();
    asker_.stop();
    keeper_.stop();
}

/// The watch's thread: some file has changed. False: not all could be read.
bool RecipientParts::read_again() {
    const std::lock_guard lock(files_mutex_);
    bool all_read = true;
    for (WatchedFile& file : files_) {
        std::string look = look_of({file.path});
        if (look == file.look && file.problem.empty()) {
            continue;
        }
        auto read = recipients::read_address_file(file.path);
        if (read.has_error()) {
            all_read = false;
            if (file.problem != read.error()) {
                file.problem = read.error();
                log_.error("recipients_kept",
                           {{"problem", read.error()},
                            {"text", "the old list stays in use; put the file right, it is watched"}});
            }
            continue;
        }
        const std::size_t size = (*read)->size();
        file.check->replace(std::move(*read));
        file.look = std::move(look);
        file.problem.clear();
        log_.info("recipients_read", {{"file", file.path.string()}, {"entries", static_cast<std::uint64_t>(size)}});
    }
    return all_read;
}

void RecipientParts::complete(acceptance::Policy& policy, std::shared_ptr<const routing::Routes> routes,
                              std::shared_ptr<const Checks> checks) {
    policy.harvest_brake = &harvest_brake_;
    policy.abilities_of = [this](const std::string& backend) { return abilities_.of(backend, clock_.steady()); };
    if (checks->empty()) {
        return;
    }
    policy.check_of = [routes = std::move(routes),
                       checks = std::move(checks)](const mail::Mailbox& address) -> std::shared_ptr<recipients::Check> {
        const auto route = routes->find(address);
        const auto check = route ? checks->find(route->rule) : checks->end();
        return check == checks->end() ? nullptr : check->second;
    };
}

EventLog::StoreNews RecipientParts::news() {
    EventLog::StoreNews news;
    news.answered = [this](const std::string& backend, const mail::Mailbox& address, const mail::Reply& reply) {
        const auto asked = asked_backends_.load();
        if (asked && asked->contains(backend)) {
            static_cast<void>(book_.heard(backend, address, reply, recipients::Book::Source::delivery, clock_.wall()));
        }
    };
    // A store that an operator has taken out of use, or whose refusals are not believed, is no judge of its recipients.
    news.marked = [this](const std::string& backend, queue::BackendMark::Kind kind, bool set) {
        if (kind == queue::BackendMark::Kind::paused) {
            asker_.leave_alone(backend, set);
        } else {
            book_.distrust(backend, set);
        }
    };
    news.introduced = [this](const std::string& backend, const lmtp_client::Endpoint& endpoint,
                             const lmtp_client::Abilities& abilities) {
        abilities_.learned(backend, endpoint, abilities, clock_.steady());
    };
    return news;
}

}  // namespace postern::gateway
