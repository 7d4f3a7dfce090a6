#include "gateway/main/serve.hpp"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <csignal>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "gateway/acceptance/acceptance.hpp"
#include "gateway/cli/exit_status.hpp"
#include "gateway/cli/versions.hpp"
#include "gateway/control/server.hpp"
#include "gateway/main/event_log.hpp"
#include "gateway/main/live_gateway.hpp"
#include "gateway/main/notify.hpp"
#include "gateway/main/privileges.hpp"
#include "gateway/main/signals.hpp"
#include "gateway/main/translate.hpp"
#include "gateway/threads/batched_post.hpp"

namespace postern::gateway {

namespace asio = boost::asio;

namespace {

constexpr std::size_t io_threads = 2;

/// What the store tells, passed on to whom it concerns. Before connect() there is nobody to tell.
class StoreEars final : public queue::StoreListener {
public:
    explicit StoreEars(EventLog& log) : log_(log) {}
    void connect(delivery::Engine& engine, acceptance::Wakeups& wakeups) {
        wakeups_ = &wakeups;
        engine_ = &engine;
    }
    void committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages) override {
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
        log_.store_health(error);
        {
            const std::lock_guard lock(mutex_);
            error_ = error;
        }
        if (delivery::Engine* engine = engine_) {
            engine->health_changed(error);
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
    asio::awaitable<smtp_server::Refusal> mail(const smtp_server::SessionInfo& session,
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
    void content_refused(const smtp_server::SessionInfo& session, const mail::Reply& reply) override {
        hooks_->content_refused(session, reply);
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
          ears(events) {}
    ~Parts() { end(); }

    [[nodiscard]] std::optional<StartFailure> start(Gateway& gateway);
    [[nodiscard]] control::ReloadOutcome reload(const std::string& actor);
    void stop_gracefully();
    void end();

    const queue::Clock& clock;
    std::atomic<std::shared_ptr<const config::Config>> current;
    std::mutex reloading;
    std::vector<config::Problem> warnings;  ///< of the configuration at the start
    log::Log log;
    FlowMeter flow;
    EventLog events;
    StoreEars ears;
    std::unique_ptr<queue::SqliteStore> store;
    std::unique_ptr<asio::io_context> delivery_context;
    std::unique_ptr<delivery::Engine> engine;
    std::optional<asio::executor_work_guard<asio::io_context::executor_type>> delivery_work;
    std::thread delivery_thread;
    std::unique_ptr<acceptance::Wakeups> wakeups;
    std::unique_ptr<acceptance::Acceptance> hooks;
    std::unique_ptr<smtp_server::Server> server;
    std::unique_ptr<LiveParts> live;
    std::unique_ptr<control::Server> control_server;

private:
    [[nodiscard]] std::optional<StartFailure> open_store();
    void start_delivery();
    [[nodiscard]] std::optional<StartFailure> start_control(Gateway& gateway);
    std::unique_ptr<LateHooks> late_hooks_;
    bool serving_ = false;
};

std::optional<StartFailure> Gateway::Parts::open_store() {
    const auto config = current.load();
    auto opened = queue::SqliteStore::open(store_options(*config), clock, ears);
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

void Gateway::Parts::start_delivery() {
    const auto config = current.load();
    auto routes = std::make_shared<const routing::Routes>(config);
    delivery_context = std::make_unique<asio::io_context>(1);
    const std::filesystem::path queue_path = config->queue.path;
    auto open_reader = [queue_path]() -> Result<std::unique_ptr<queue::Reader>, std::string> {
        auto opened = queue::open_reader(queue_path);
        if (opened.has_error()) {
            return opened.error().text;
        }
        return std::move(*opened);
    };
    engine = std::make_unique<delivery::Engine>(delivery_context->get_executor(), *store, open_reader, clock, events,
                                                delivery_options(*config), route(routes));
    wakeups = std::make_unique<acceptance::Wakeups>(server->executors());
    hooks = std::make_unique<acceptance::Acceptance>(
        *store, clock, *wakeups, policy(*config, routes, engine->refusals()), events.acceptance_events());
    ears.connect(*engine, *wakeups);
    delivery_work.emplace(delivery_context->get_executor());
    engine->start();
    delivery_thread = std::thread([this] { delivery_context->run(); });
}

std::optional<StartFailure> Gateway::Parts::start_control(Gateway& gateway) {
    const auto config = current.load();
    live = std::make_unique<LiveParts>(LiveParts::References{
        *engine, *server, flow, clock, [this] { return current.load(); }, [this] { return ears.error(); },
        [&gateway](const std::string& actor) { return gateway.reload(actor); },
        [this](queue::HistoryEvent event) { store->note(std::move(event)); }});
    control::ServerOptions options;
    options.socket = config->control.socket;
    auto started = control::Server::start(
        options, clock, [path = config->queue.path] { return queue::open_reader(path); }, *live,
        [this](const std::string& text) { events.problem("control: " + text); });
    if (started.has_error()) {
        return StartFailure{"control.socket: " + started.error(), cli::exit_unreachable};
    }
    control_server = std::move(*started);
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
    const auto listen_error = server->open(listener_options(*config));
    if (auto error =
            become_user(config->user, {config->queue.path.parent_path(), config->control.socket.parent_path()})) {
        return StartFailure{*error, cli::exit_config};
    }
    auto store_failure = open_store();
    // Who starts the same gateway twice finds both taken; that the queue is in use, and by whom, says more.
    if (listen_error && !(store_failure && store_failure->exit_status == cli::exit_busy)) {
        return StartFailure{*listen_error, cli::exit_unreachable};
    }
    if (store_failure) {
        return store_failure;
    }
    start_delivery();
    late_hooks_->connect(*hooks);
    if (auto failure = start_control(gateway)) {
        return failure;
    }
    server->start();
    serving_ = true;
    return std::nullopt;
}

void Gateway::Parts::stop_gracefully() {
    const auto grace = current.load()->shutdown_grace;
    const auto until = clock.steady() + grace;
    server->stop(grace);
    server->wait();
    if (control_server) {
        control_server->stop();
    }
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
    control_server.reset();
    if (server && serving_) {
        server->stop(std::chrono::milliseconds(0));
        server->wait();
    }
    serving_ = false;
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
    wakeups.reset();
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
    for (const std::string& key : needs_restart(*now, *loaded.config)) {
        outcome.lines.push_back("`" + key + "` changes with the next start");
        log.warn("needs_restart", {{"key", key}});
    }
    const auto wanted = std::make_shared<const config::Config>(in_force(*now, *loaded.config));
    const auto routes = std::make_shared<const routing::Routes>(wanted);
    log.set_level(level(wanted->log.level));
    store->set_limits(wanted->queue.minimum_free_disk, wanted->queue.maximum_messages);
    hooks->replace(policy(*wanted, routes, engine->refusals()));
    engine->reconfigure(delivery_options(*wanted), route(routes));
    for (std::size_t i = 0; i < wanted->listeners.size(); ++i) {
        server->replace(i, session_options(*wanted, wanted->listeners[i]));
    }
    current.store(wanted);
    outcome.ok = true;
    outcome.lines.emplace_back("reloaded " + now->file.string());
    log.info("reloaded", {{"actor", actor}, {"file", now->file.string()}});
    return outcome;
}

}  // namespace postern::gateway
