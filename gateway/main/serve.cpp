#include "gateway/main/serve.hpp"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <cstdlib>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "gateway/acceptance/acceptance.hpp"
#include "gateway/cli/exit_status.hpp"
#include "gateway/cli/versions.hpp"
#include "gateway/control/metrics_server.hpp"
#include "gateway/control/server.hpp"
#include "gateway/main/certificates.hpp"
#include "gateway/main/event_log.hpp"
#include "gateway/main/file_watch.hpp"
#include "gateway/main/inherited_sockets.hpp"
#include "gateway/main/live_gateway.hpp"
#include "gateway/main/notify.hpp"
#include "gateway/main/privileges.hpp"
#include "gateway/main/recipient_parts.hpp"
#include "gateway/main/signals.hpp"
#include "gateway/main/translate.hpp"
#include "gateway/main/vitals.hpp"
#include "gateway/outgoing/mx_client.hpp"
#include "gateway/sandbox/confine.hpp"
#include "gateway/threads/batched_post.hpp"
#include "queue/mail/snapshot.hpp"

namespace postern::gateway {

namespace asio = boost::asio;

namespace {

constexpr std::size_t io_threads = 2;
constexpr std::chrono::seconds watch_interval{5};

/// What the store tells, passed on to whom it concerns. Before connect() there is nobody to tell.
class StoreEars final : public queue::StoreListener {
public:
    explicit StoreEars(EventLog& log) : log_(log) {}
    void connect(delivery::Engine& engine, acceptance::Wakeups& wakeups) {
        wakeups_ = &wakeups;
        engine_ = &engine;
    }
    void committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages) override {
        for (const auto& message : messages) {
            if (message->envelope.origin == queue::Origin::gateway) {
                log_.reported(*message);
            }
        }
        if (delivery::Engine* engine = engine_) {
            engine->committed(std::move(messages));
        }
    }
    void batch_done() override {
        if (acceptance::Wakeups* wakeups = wakeups_) {
            wakeups->flush();
        }
        if (delivery::Engine* engine = engine_) {
            engine->batch_done();
        }
    }
    void health_changed(const std::string& error) override {
        {
            const std::lock_guard lock(mutex_);
            error_ = error;
        }
        log_.store_health(error);
        if (delivery::Engine* engine = engine_) {
            engine->health_changed(error);
        }
    }
    void put_off() override {
        if (delivery::Engine* engine = engine_) {
            engine->put_off();
        }
    }
    void warning(const std::string& text) override { log_.problem("queue: " + text); }
    [[nodiscard]] std::string error() const {
        const std::lock_guard lock(mutex_);
        return error_;
    }

private:
    EventLog& log_;
    std::atomic<delivery::Engine*> engine_{nullptr};
    std::atomic<acceptance::Wakeups*> wakeups_{nullptr};
    mutable std::mutex mutex_;
    std::string error_;
};

/// The server wants its hooks from the start, and the hooks want the store, which is opened only as the final user.
/// This stands between.
class LateHooks final : public smtp_server::Hooks {
public:
    void connect(smtp_server::Hooks& hooks) { hooks_ = &hooks; }
    smtp_server::Refusal connected(const smtp_server::SessionInfo& session) override {
        return hooks_->connected(session);
    }
    asio::awaitable<smtp_server::Refusal> mail(smtp_server::SessionInfo& session,
                                               const smtp_server::MailCommand& command) override {
        return hooks_->mail(session, command);
    }
    asio::awaitable<smtp_server::Refusal> rcpt(const smtp_server::SessionInfo& session,
                                               const smtp_server::MailCommand& mail,
                                               const smtp_server::RcptCommand& command) override {
        return hooks_->rcpt(session, mail, command);
    }
    asio::awaitable<Begun> begin(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                                 const std::vector<smtp_server::RcptCommand>& recipients) override {
        return hooks_->begin(session, mail, recipients);
    }
    void content_refused(const smtp_server::SessionInfo& session, const smtp_server::Envelope& about,
                         const mail::Reply& reply) override {
        hooks_->content_refused(session, about, reply);
    }
    void disconnected(const smtp_server::SessionInfo& session, std::string_view reason,
                      std::uint32_t messages) override {
        hooks_->disconnected(session, reason, messages);
    }

private:
    smtp_server::Hooks* hooks_ = nullptr;
};

void raise_open_files() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

}  // namespace

class Gateway::Parts {
public:
    Parts(std::shared_ptr<const config::Config> config, const queue::Clock& system_clock)
        : clock(system_clock),
          current(config),
          log(system_clock, format(config->log.format), level(config->log.level)),
          flow(system_clock),
          events(log, flow),
          ears(events),
          certificates(log, system_clock),
          certificate_watch(watch_interval,
                            {[this] { return renew_certificates(); }, [this] { certificates.warn_of_the_end(); }}) {}
    ~Parts() { end(); }

    [[nodiscard]] std::optional<StartFailure> start(Gateway& gateway);
    [[nodiscard]] control::ReloadOutcome reload(const std::string& actor);
    [[nodiscard]] bool renew_certificates();
    void stop_gracefully();
    void end();

    const queue::Clock& clock;
    Snapshot<config::Config> current;
    std::mutex reloading;
    std::vector<config::Problem> warnings;  ///< of the configuration at the start
    log::Log log;
    FlowMeter flow;
    EventLog events;
    StoreEars ears;
    Certificates certificates;
    FileWatch certificate_watch;
    std::unique_ptr<bounce::Reporter> reporter;
    std::unique_ptr<dns::Resolver> resolver;  ///< from open_resolver() on
    Snapshot<outgoing::Options> way;
    std::unique_ptr<queue::SqliteStore> store;
    std::unique_ptr<RecipientParts> recipients;
    std::unique_ptr<asio::io_context> delivery_context;
    std::unique_ptr<delivery::Engine> engine;
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> delivery_work;
    std::thread delivery_thread;
    std::unique_ptr<acceptance::Wakeups> wakeups;
    std::unique_ptr<screening::Greylist> greylist;
    std::unique_ptr<screening::Screen> screen;
    std::unique_ptr<acceptance::Acceptance> hooks;
    std::unique_ptr<smtp_server::Server> server;
    std::unique_ptr<LiveParts> live;
    std::unique_ptr<control::Server> control_server;
    std::unique_ptr<Vitals> vitals;
    std::unique_ptr<control::MetricsServer> metrics_server;

private:
    [[nodiscard]] std::optional<std::string> give_up_rights();
    [[nodiscard]] std::optional<StartFailure> open_store();
    [[nodiscard]] std::optional<StartFailure> open_resolver();
    [[nodiscard]] std::optional<StartFailure> start_delivery();
    [[nodiscard]] std::optional<StartFailure> start_control(Gateway& gateway);
    [[nodiscard]] std::optional<std::string> open_metrics();
    [[nodiscard]] std::optional<StartFailure> start_metrics();
    std::unique_ptr<LateHooks> late_hooks_;
    std::string certificate_problem_;  ///< told last; under `reloading`
    bool serving_ = false;
};

/// All that needs a right is open: the rights go, before there is a thread that could keep them.
std::optional<std::string> Gateway::Parts::give_up_rights() {
    const auto config = current.load();
    const auto queue_folder = config->queue.path.parent_path();
    std::vector<std::filesystem::path> folders{queue_folder, config->control.socket.parent_path()};
    if (auto error = become_user(config->user, folders)) {
        return error;
    }
    // What SQLite sorts on disk has addresses in it: it stays with the queue, not in /tmp.
    ::setenv("SQLITE_TMPDIR", queue_folder.c_str(), 1);
    if (!config->sandbox) {
        sandbox::refuse_new_privileges();
        log.warn("sandbox", {{"problem", "switched off in the configuration"}});
        return std::nullopt;
    }
    for (const config::Listener& listener : config->listeners) {
        if (!listener.address.unix_path.empty()) {  // its file is removed at the end
            folders.push_back(std::filesystem::path(listener.address.unix_path).parent_path());
        }
    }
    const sandbox::Confinement confinement = sandbox::confine(folders);
    for (const std::string& problem : confinement.problems) {
        log.warn("sandbox", {{"problem", problem}});
    }
    return std::nullopt;
}

std::optional<StartFailure> Gateway::Parts::open_store() {
    const auto config = current.load();
    reporter = std::make_unique<bounce::Reporter>(
        clock, bounce_rules(*config, std::make_shared<const routing::Routes>(config)));
    queue::SqliteStoreOptions options = store_options(*config);
    options.reporter = reporter.get();
    auto opened = queue::SqliteStore::open(options, clock, ears);
    if (opened.has_error()) {
        const queue::OpenError& error = opened.error();
        using Kind = queue::OpenError::Kind;
        int status = cli::exit_disk;
        if (error.kind == Kind::in_use) {
            status = cli::exit_busy;
        } else if (error.kind == Kind::refused || error.kind == Kind::newer_schema) {
            status = cli::exit_config;
        }
        return StartFailure{error.text, status};
    }
    store = std::move(*opened);
    return std::nullopt;
}

/// As the final user: its threads are to have no more rights than the others.
std::optional<StartFailure> Gateway::Parts::open_resolver() {
    const auto config = current.load();
    const dns::UnboundOptions options = dns_options(*config);
    if (options.trust_anchor.empty() && !config->dns.trust_anchor.empty()) {
        log.warn("no_trust_anchor",
                 {{"file", config->dns.trust_anchor.string()},
                  {"text", "DNS answers are not validated, so there is no DANE; install dns-root-data"}});
    }
    // Written by who brings up the network, perhaps only after us: the next start may find it.
    if (options.servers.empty() && ::access(options.resolv_conf.c_str(), R_OK) != 0) {
        return StartFailure{"dns: " + options.resolv_conf.string() + " cannot be read; or name `dns.servers`",
                            cli::exit_unreachable};
    }
    auto made = dns::make_unbound_resolver(options);
    if (made.has_error()) {
        return StartFailure{made.error(), cli::exit_config};
    }
    resolver = std::move(*made);
    return std::nullopt;
}

std::optional<StartFailure> Gateway::Parts::start_delivery() {
    const auto config = current.load();
    auto options = delivery_options(*config);
    if (options.has_error()) {
        return StartFailure{options.error(), cli::exit_config};
    }
    auto way_now = way_out(*config);
    if (way_now.has_error()) {
        return StartFailure{way_now.error(), cli::exit_config};
    }
    way.store(std::move(*way_now));
    auto routes = std::make_shared<const routing::Routes>(config);
    recipients = std::make_unique<RecipientParts>(log, clock);
    auto checks = recipients->make(*config);
    if (checks.has_error()) {
        return StartFailure{checks.error(), cli::exit_config};
    }
    recipients->use(*config, *options, **checks);
    recipients->start(config->queue.path);
    events.connect(recipients->news());
    delivery_context = std::make_unique<asio::io_context>(1);
    const std::filesystem::path queue_path = config->queue.path;
    auto open_reader = [queue_path]() -> Result<std::unique_ptr<queue::Reader>, std::string> {
        auto opened = queue::open_reader(queue_path);
        if (opened.has_error()) {
            return opened.error().text;
        }
        return std::move(*opened);
    };
    auto elsewhere = outgoing::make_mx_client(
        lmtp_client::make_client(delivery_context->get_executor()), *resolver, [this] { return way.load(); },
        std::random_device()());
    engine = std::make_unique<delivery::Engine>(delivery_context->get_executor(), *store, open_reader, clock, events,
                                                std::move(*options), route(routes), std::move(elsewhere));
    wakeups = std::make_unique<acceptance::Wakeups>(server->executors());
    auto rules = policy(*config, routes, engine->refusals());
    recipients->complete(*rules, routes, *checks);
    greylist = std::make_unique<screening::Greylist>(config->queue.path.string() + "-greylist", clock,
                                                     [this](const std::string& text) { events.problem(text); });
    screen = std::make_unique<screening::Screen>(*resolver, *greylist, screening_rules(*config));
    hooks = std::make_unique<acceptance::Acceptance>(*store, clock, *wakeups, *screen, std::move(rules),
                                                     events.acceptance_events());
    ears.connect(*engine, *wakeups);
    delivery_work.emplace(delivery_context->get_executor());
    engine->start();
    delivery_thread = std::thread([this] { delivery_context->run(); });
    return std::nullopt;
}

std::optional<StartFailure> Gateway::Parts::start_control(Gateway& gateway) {
    const auto config = current.load();
    live = std::make_unique<LiveParts>(LiveParts::References{
        *engine, *store, *server, flow, clock, certificates, [this] { return current.load(); },
        [this] { return ears.error(); }, [&gateway](const std::string& actor) { return gateway.reload(actor); },
        [this](queue::HistoryEvent event) { store->note(std::move(event)); },
        [this](control::Verb verb, std::size_t recipients, const std::string& actor, const std::string& reason) {
            events.ordered(verb, recipients, actor, reason);
        }});
    control::ServerOptions options;
    options.socket = config->control.socket;
    auto open_reader = [path = config->queue.path, this]() -> Result<std::unique_ptr<queue::Reader>, queue::OpenError> {
        auto opened = queue::open_reader(path);
        const std::string known = ears.error();
        if (opened.has_error() && !known.empty()) {
            queue::OpenError error = opened.error();
            error.text = known;  // says more than that nothing is there
            return error;
        }
        return opened;
    };
    auto started = control::Server::start(options, clock, std::move(open_reader), *live,
                                          [this](const std::string& text) { events.problem("control: " + text); });
    if (started.has_error()) {
        return StartFailure{"control.socket: " + started.error(), cli::exit_unreachable};
    }
    control_server = std::move(*started);
    return std::nullopt;
}

/// Its port may be one that takes a right to listen on, as those of the listeners.
std::optional<std::string> Gateway::Parts::open_metrics() {
    const auto config = current.load();
    if (!config->control.http) {
        return std::nullopt;
    }
    control::MetricsServerOptions options;
    options.host = config->control.http->host;
    options.port = config->control.http->port;
    auto opened = control::MetricsServer::open(options);
    if (opened.has_error()) {
        return "control.http: " + opened.error();
    }
    metrics_server = std::move(*opened);
    return std::nullopt;
}

/// Once mail is accepted: that is what it tells.
std::optional<StartFailure> Gateway::Parts::start_metrics() {
    if (!metrics_server) {
        return std::nullopt;
    }
    vitals = std::make_unique<Vitals>(Vitals::References{
        *live, *store, *server, clock, [this] { return current.load(); }, [this] { return ears.error(); }});
    const auto error = metrics_server->start(
        clock, vitals->pages(), [this](const std::string& text) { events.problem("control.http: " + text); });
    if (error) {
        return StartFailure{"control.http: " + *error, cli::exit_unreachable};
    }
    return std::nullopt;
}

std::optional<StartFailure> Gateway::Parts::start(Gateway& gateway) {
    const auto config = current.load();
    raise_open_files();
    // Two arenas are enough for the threads that allocate much; one for each would multiply what is kept for nobody.
    ::mallopt(M_ARENA_MAX, 2);
    static_cast<void>(::umask(0077));
    auto late = std::make_unique<LateHooks>();
    smtp_server::ServerOptions server_options;
    server_options.threads = io_threads;
    server_options.session_id_prefix = std::to_string(clock.wall().time_since_epoch().count() / 1000 % 1'000'000) + "-";
    server_options.on_problem = [this](const std::string& text) { events.problem(text); };
    server = std::make_unique<smtp_server::Server>(*late, server_options);
    late_hooks_ = std::move(late);
    auto certificate_look = look_at(certificate_files(*config));
    const auto contexts = certificates.read(*config);  // as root, perhaps: the keys may be root's alone
    if (contexts.has_error()) {
        return StartFailure{contexts.error(), cli::exit_config};
    }
    const auto passed = inherited_sockets(*config);
    if (passed.has_error()) {
        return StartFailure{passed.error(), cli::exit_config};
    }
    auto listeners = listener_options(*config, *contexts);
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        listeners[i].inherited = (*passed)[i];
    }
    auto listen_error = server->open(listeners);
    if (!listen_error) {
        listen_error = open_metrics();
    }
    if (auto error = give_up_rights()) {
        return StartFailure{*error, cli::exit_config};
    }
    log.start();
    auto store_failure = open_store();
    // Who starts the same gateway twice finds both taken; that the queue is in use, and by whom, says more.
    if (listen_error && !(store_failure && store_failure->exit_status == cli::exit_busy)) {
        return StartFailure{*listen_error, cli::exit_unreachable};
    }
    if (store_failure) {
        return store_failure;
    }
    if (auto failure = open_resolver()) {
        return failure;
    }
    if (auto failure = start_delivery()) {
        return failure;
    }
    late_hooks_->connect(*hooks);
    if (auto failure = start_control(gateway)) {
        return failure;
    }
    server->start();
    serving_ = true;
    certificates.use(*config, *contexts);
    certificate_watch.seen(std::move(certificate_look));
    certificates.warn_of_unreadable(*config);
    certificates.warn_of_the_end();
    if (auto failure = start_metrics()) {
        return failure;
    }
    certificate_watch.start();
    return std::nullopt;
}

/// The files of the certificates have changed. False: they cannot be used.
bool Gateway::Parts::renew_certificates() {
    const std::lock_guard lock(reloading);
    const auto config = current.load();
    const auto contexts = certificates.read(*config);
    if (contexts.has_error()) {
        if (certificate_problem_ != contexts.error()) {
            certificate_problem_ = contexts.error();
            log.error("certificate_kept",
                      {{"problem", contexts.error()},
                       {"text", "the old certificates stay in use; put the files right, they are watched"}});
        }
        return false;
    }
    certificate_problem_.clear();
    for (std::size_t i = 0; i < config->listeners.size(); ++i) {
        server->replace(i, session_options(*config, config->listeners[i], contexts->at(i)));
    }
    certificates.use(*config, *contexts);
    return true;
}

void Gateway::Parts::stop_gracefully() {
    certificate_watch.stop();
    if (vitals) {
        vitals->stopping();
    }
    const auto grace = current.load()->shutdown_grace;
    const auto until = clock.steady() + grace;
    server->stop(grace);
    server->wait();
    if (control_server) {
        control_server->stop();
    }
    metrics_server.reset();
    const auto left = std::max<queue::Duration>(queue::Duration(0),
                                                std::chrono::duration_cast<queue::Duration>(until - clock.steady()));
    std::promise<void> ended;
    engine->stop(left, [&ended] { ended.set_value(); });
    ended.get_future().wait();
    std::promise<void> drained;
    store->drain([&drained] { drained.set_value(); });
    drained.get_future().wait();
}

void Gateway::Parts::end() {
    certificate_watch.stop();
    control_server.reset();
    metrics_server.reset();
    vitals.reset();
    if (server && serving_) {
        server->stop(std::chrono::milliseconds(0));
        server->wait();
    }
    serving_ = false;
    if (recipients) {
        recipients->stop();
    }
    if (delivery_context) {
        delivery_work.reset();
        delivery_context->stop();
    }
    if (delivery_thread.joinable()) {
        delivery_thread.join();
    }
    store.reset();  // the writer tells engine and wakeups to its end
    live.reset();
    engine.reset();
    delivery_context.reset();
    server.reset();
    hooks.reset();
    screen.reset();
    greylist.reset();
    wakeups.reset();
    recipients.reset();
}

Gateway::Gateway(const config::Loaded& loaded, const queue::Clock& clock)
    : parts_(std::make_unique<Parts>(loaded.config, clock)) {
    parts_->warnings = loaded.warnings;
}

Gateway::~Gateway() = default;

std::optional<StartFailure> Gateway::start() { return parts_->start(*this); }

void Gateway::run(SignalWaiter& signals) {
    for (const config::Problem& warning : parts_->warnings) {
        parts_->log.warn("config_warning", {{"warning", warning.to_string()}});
    }
    parts_->log.info("ready", {{"version", cli::version()}, {"pid", static_cast<std::int64_t>(::getpid())}});
    notify_ready();
    while (signals.wait() == Signal::reload) {
        (void)reload("signal");
    }
    notify_stopping();
    parts_->log.info("stopping", {});
    parts_->stop_gracefully();
    parts_->log.info("stopped", {});
}

control::ReloadOutcome Gateway::reload(const std::string& actor) {
    const std::lock_guard lock(parts_->reloading);
    notify_reloading();
    control::ReloadOutcome outcome = parts_->reload(actor);
    notify_ready();
    return outcome;
}

control::ReloadOutcome Gateway::Parts::reload(const std::string& actor) {
    control::ReloadOutcome outcome;
    const auto now = current.load();
    const config::Loaded loaded = config::load(now->file);
    for (const config::Problem& warning : loaded.warnings) {
        outcome.lines.push_back("warning: " + warning.to_string());
        log.warn("config_warning", {{"warning", warning.to_string()}});
    }
    if (!loaded.config) {
        for (const config::Problem& problem : loaded.problems) {
            outcome.lines.push_back(problem.to_string());
            log.error("reload_failed", {{"actor", actor}, {"problem", problem.to_string()}});
        }
        outcome.lines.emplace_back("the old configuration stays in force");
        return outcome;
    }
    const auto wanted = std::make_shared<const config::Config>(in_force(*now, *loaded.config));
    // The watch learns of it only once the certificates are in use: what fails here is for it to try again.
    auto certificate_look = look_at(certificate_files(*wanted));
    const auto contexts = certificates.read(*wanted);
    if (contexts.has_error()) {
        outcome.lines.push_back(contexts.error());
        outcome.lines.emplace_back("the old configuration and the old certificates stay in force");
        log.error("reload_failed", {{"actor", actor}, {"problem", contexts.error()}});
        return outcome;
    }
    for (const std::string& key : needs_restart(*now, *loaded.config)) {
        outcome.lines.push_back("`" + key + "` changes with the next start");
        log.warn("needs_restart", {{"key", key}});
    }
    const auto routes = std::make_shared<const routing::Routes>(wanted);
    auto options = delivery_options(*wanted);
    if (options.has_error()) {
        outcome.lines = {options.error(), "the old configuration stays in force"};
        log.error("reload_failed", {{"actor", actor}, {"problem", options.error()}});
        return outcome;
    }
    auto way_wanted = way_out(*wanted);
    if (way_wanted.has_error()) {
        outcome.lines = {way_wanted.error(), "the old configuration stays in force"};
        log.error("reload_failed", {{"actor", actor}, {"problem", way_wanted.error()}});
        return outcome;
    }
    auto checks = recipients->make(*wanted);
    if (checks.has_error()) {
        outcome.lines = {checks.error(), "the old configuration stays in force"};
        log.error("reload_failed", {{"actor", actor}, {"problem", checks.error()}});
        return outcome;
    }
    way.store(std::move(*way_wanted));
    log.set_level(level(wanted->log.level));
    store->set_limits(wanted->queue.minimum_free_disk, wanted->queue.maximum_messages);
    reporter->replace(bounce_rules(*wanted, routes));
    recipients->use(*wanted, *options, **checks);
    auto rules = policy(*wanted, routes, engine->refusals());
    recipients->complete(*rules, routes, *checks);
    screen->replace(screening_rules(*wanted));
    hooks->replace(std::move(rules));
    engine->reconfigure(std::move(*options), route(routes));
    for (std::size_t i = 0; i < wanted->listeners.size(); ++i) {
        server->replace(i, session_options(*wanted, wanted->listeners[i], contexts->at(i)));
    }
    certificates.use(*wanted, *contexts);
    certificate_problem_.clear();
    certificate_watch.seen(std::move(certificate_look));
    current.store(wanted);
    outcome.ok = true;
    outcome.lines.emplace_back("reloaded " + now->file.string());
    log.info("reloaded", {{"actor", actor}, {"file", now->file.string()}});
    queue::HistoryEvent event;
    event.at = clock.wall();
    event.event = "reloaded";
    event.actor = actor + ": reload";
    event.reply = now->file.string();
    store->note(std::move(event));
    return outcome;
}

}  // namespace postern::gateway
