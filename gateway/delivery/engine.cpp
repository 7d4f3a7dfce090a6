#include "gateway/delivery/engine.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <set>
#include <utility>

#include "gateway/delivery/results_ledger.hpp"
#include "gateway/threads/batched_post.hpp"
#include "lmtp-client/client.hpp"

namespace postern::delivery {

namespace asio = boost::asio;
using queue::StoreStatus;

namespace {

constexpr std::chrono::seconds record_again{1};
constexpr std::chrono::milliseconds probe_patience{5000};
constexpr const char* internal_error = "internal error";

bool needs_smtputf8(const queue::Envelope& envelope, const std::vector<queue::Recipient>& recipients) {
    if (!envelope.smtputf8) {
        return false;
    }
    const auto& sender = envelope.sender.mailbox();
    return envelope.has_8bit || (sender && !sender->is_ascii()) ||
           std::any_of(recipients.begin(), recipients.end(),
                       [](const queue::Recipient& recipient) { return !recipient.address.is_ascii(); });
}

lmtp_client::Transaction transaction_for(const Plan& plan, const queue::Envelope& envelope,
                                         std::shared_ptr<lmtp_client::ContentSource> content) {
    lmtp_client::Transaction transaction;
    transaction.sender = envelope.sender;
    transaction.recipients.reserve(plan.recipients.size());
    for (const queue::Recipient& recipient : plan.recipients) {
        transaction.recipients.push_back({recipient.address, recipient.dsn});
    }
    transaction.size = envelope.size;
    transaction.body_8bit = envelope.has_8bit;
    transaction.smtputf8 = needs_smtputf8(envelope, plan.recipients);
    transaction.require_tls = envelope.require_tls;
    transaction.dsn = envelope.dsn;
    transaction.content = std::move(content);
    return transaction;
}

}  // namespace

class Engine::Impl final : public Host, public ResultsLedger::Host {
public:
    Impl(asio::any_io_executor executor, queue::Store& store, Loader::OpenReader open_reader, const queue::Clock& clock,
         Events& events, Options options, Route route, std::unique_ptr<lmtp_client::Client> elsewhere)
        : executor_(std::move(executor)),
          store_(store),
          clock_(clock),
          events_(events),
          options_(options),
          route_(route),
          from_store_(executor_),
          timer_(executor_),
          record_timer_(executor_),
          marks_timer_(executor_),
          grace_timer_(executor_),
          loader_(executor_, std::move(open_reader)),
          client_(lmtp_client::make_client(executor_)),
          elsewhere_(std::move(elsewhere)),
          scheduler_(*this, events, std::move(options), std::move(route)),
          ledger_(*this) {}

    // Host
    void start(std::shared_ptr<const Plan> plan) override;
    void probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) override;
    void load(const std::string& backend, queue::Instant until, std::optional<queue::DueKey> after,
              std::size_t limit) override;
    void load_old(const std::string& backend, queue::MessageId before, std::size_t limit) override;
    void record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) override {
        ledger_.record(std::move(update), std::move(event));
    }
    void record_at_end(std::uint64_t plan, queue::RecipientUpdate update, queue::HistoryEvent event) override {
        ledger_.record_at_end(plan, std::move(update), std::move(event));
    }
    void load_late(const std::string& backend, queue::MessageId after, queue::MessageId before,
                   std::size_t limit) override;
    void call_waiting(const std::string& backend, const std::string& mailbox, queue::Instant now,
                      std::size_t limit) override;
    void survey() override;
    void reassign(const std::string& from, const queue::DomainMoves& moves) override;
    void mark(queue::BackendMark mark, bool set) override;
    void refuse(const std::map<std::string, std::string>& backends) override { refusals_.publish(backends); }

    // ResultsLedger::Host
    void submit(const std::shared_ptr<Recording>& recording) override;
    void released(std::uint64_t plan) override { scheduler_.release(plan); }

    void begin();
    void reconfigure(Options options, Route route);
    void take_marks();
    void order_backend(BackendOrder order, const std::string& backend, const std::string& actor,
                       const std::string& reason, std::function<void(BackendOrderResult)> done);
    asio::awaitable<void> probe_all(std::string backend, std::function<void(std::vector<ProbeResult>)> done);
    void committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages);
    void stop(std::chrono::milliseconds grace, std::function<void()> done);
    asio::awaitable<void> carry_out(Order order, std::vector<RecipientKey> recipients, std::string actor,
                                    std::string reason, std::function<void(OrderResult)> done);

    /// Lets the scheduler run soon, once for all that happens until then.
    void pump_soon();
    void pump();

    /// Runs `work` on the delivery thread with the store's other completions.
    void after_store(std::function<void()> work) { from_store_.add(std::move(work)); }

    asio::any_io_executor executor_;
    queue::Store& store_;
    const queue::Clock& clock_;
    Events& events_;
    Options options_;
    Route route_;
    threads::BatchedPost from_store_;  // of the writer's thread
    asio::steady_timer timer_;
    asio::steady_timer record_timer_;
    asio::steady_timer marks_timer_;
    asio::steady_timer grace_timer_;
    Loader loader_;
    std::unique_ptr<lmtp_client::Client> client_;
    std::unique_ptr<lmtp_client::Client> elsewhere_;
    RefusalBoard refusals_;
    Scheduler scheduler_;
    ResultsLedger ledger_;

    [[nodiscard]] Now now() const { return {clock_.wall(), clock_.steady()}; }

private:
    class Outcomes final : public lmtp_client::OutcomeSink {
    public:
        Outcomes(Impl& engine, const Plan& plan) : engine_(engine), plan_(plan) {}
        void begins(const std::string& tls) override {
            if (tls != tls_) {
                tls_ = tls;
                engine_.scheduler_.runs_in(plan_.number, tls);
            }
        }
        [[nodiscard]] const std::string& tls() const noexcept { return tls_; }
        void outcome(std::size_t slot, lmtp_client::Outcome outcome) override {
            engine_.scheduler_.outcome(plan_.number, slot, outcome, engine_.now());
            if (outcome.of_its_own) {
                engine_.events_.answered(plan_.backend, plan_.recipients[slot].address, outcome.reply);
            }
            engine_.pump_soon();
        }

    private:
        Impl& engine_;
        const Plan& plan_;
        std::string tls_;
    };

    asio::awaitable<void> deliver(std::shared_ptr<const Plan> plan);
    asio::awaitable<void> run_probe(std::string backend, lmtp_client::Endpoint endpoint);
    asio::awaitable<void> run_survey();
    void mend(queue::Miscount miscount);
    [[nodiscard]] lmtp_client::ClientOptions client_options(const std::string& backend) const;
    [[nodiscard]] lmtp_client::ClientOptions probe_options(const std::string& backend) const;
    [[nodiscard]] lmtp_client::Client& client_of(const std::string& backend) const;
    void close_idle();
    void note_failure(const Plan& plan, lmtp_client::TransactionEnd& end, const std::string& tls);
    void recorded(const std::shared_ptr<Recording>& recording, StoreStatus status);
    void end_if_stopped();
    /// `broken`: what becomes of it when the task throws.
    void spawn(asio::awaitable<void> task, std::function<void()> broken);

    /// Calls of waiting mail, until the results before them are on their way.
    struct Call {
        std::string backend;
        std::string mailbox;
        queue::Instant at{};
        std::size_t limit = 0;
    };
    void make_calls();
    std::vector<Call> calls_;
    std::uint64_t mends_begun_ = 0;  ///< of the store's counts
    std::uint64_t mends_ended_ = 0;
    bool pump_pending_ = false;
    bool begun_ = false;
    std::function<void()> stopped_;
};

void Engine::Impl::spawn(asio::awaitable<void> task, std::function<void()> broken) {
    asio::co_spawn(executor_, std::move(task), [this, broken = std::move(broken)](const std::exception_ptr& problem) {
        if (!problem) {
            return;
        }
        try {
            std::rethrow_exception(problem);
        } catch (const std::exception& error) {
            events_.problem("delivery: " + std::string(error.what()));
        }
        broken();
        pump_soon();
    });
}

void Engine::Impl::start(std::shared_ptr<const Plan> plan) {
    const std::uint64_t number = plan->number;
    auto task = deliver(std::move(plan));
    spawn(std::move(task), [this, number] {
        // Whatever of it was not settled is found in the store again.
        scheduler_.transaction_ended(number, lmtp_client::Trouble::broken, internal_error, now());
        ledger_.release_after_records(number, nullptr);
        for (const auto& [name, backend] : options_.backends) {
            scheduler_.look(name);
        }
    });
}

asio::awaitable<void> Engine::Impl::deliver(std::shared_ptr<const Plan> plan) {
    const std::uint64_t number = plan->number;
    queue::Envelope envelope;
    std::shared_ptr<lmtp_client::ContentSource> content;
    if (plan->fresh && plan->fresh->content) {
        envelope = plan->fresh->envelope;
        content = memory_content(plan->fresh->content);
    } else {
        Result<queue::Envelope, Loader::Failure> verified = co_await loader_.verified(plan->message, now().steady);
        if (verified.has_error()) {
            const Loader::Failure& failure = verified.error();
            auto why = Scheduler::Unreadable::later;
            if (failure.error == queue::ReadError::damaged) {
                why = Scheduler::Unreadable::damaged;
            } else if (failure.error == queue::ReadError::not_found) {
                why = Scheduler::Unreadable::gone;
            } else {
                events_.problem("cannot read message " + plan->message.to_string() + ": " + failure.text);
            }
            scheduler_.unreadable(number, why, failure.text, now());
            ledger_.release_after_records(number, nullptr);
            pump_soon();
            co_return;
        }
        envelope = std::move(*verified);
        content = loader_.stored_content(plan->message);
    }
    Outcomes outcomes(*this, *plan);
    lmtp_client::Transaction transaction = transaction_for(*plan, envelope, std::move(content));
    const lmtp_client::ClientOptions options = client_options(plan->backend);
    // As it was when this was planned: a reload may have put a relay in the place of the domains' servers since then.
    lmtp_client::Client& client = plan->domain.empty() || !elsewhere_ ? *client_ : *elsewhere_;
    lmtp_client::TransactionEnd end = co_await client.run(plan->endpoint, std::move(transaction), outcomes, options);
    scheduler_.transaction_ended(number, end.trouble, end.detail, now());
    if (end.abilities) {
        events_.introduced(plan->backend, plan->endpoint, *end.abilities);
    }
    note_failure(*plan, end, outcomes.tls());
    ledger_.release_after_records(number, std::move(end.lease));
    pump_soon();
}

/// Leaves in the history what was said in a transaction that failed for somebody, and that it broke off when it did.
void Engine::Impl::note_failure(const Plan& plan, lmtp_client::TransactionEnd& end, const std::string& tls) {
    const bool broke_off = end.trouble != lmtp_client::Trouble::none;
    if (!broke_off && end.transcript.empty()) {
        return;
    }
    queue::HistoryEvent event;
    event.at = clock_.wall();
    event.message = plan.message;
    event.event = broke_off ? "trouble" : "transcript";
    if (plan.recipients.size() == 1) {
        event.recipient = plan.recipients.front().address.to_string();
    }
    event.backend = plan.backend;
    event.endpoint = plan.endpoint.to_string();
    event.duration = std::chrono::duration_cast<queue::Duration>(clock_.steady() - plan.began);
    event.reply = std::move(end.detail);
    event.actor = "gateway";
    event.session = plan.session();
    event.tls = tls;
    event.transcript = std::move(end.transcript);
    store_.note(std::move(event));
}

void Engine::Impl::probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) {
    auto task = run_probe(backend, endpoint);
    spawn(std::move(task),
          [this, backend, endpoint] { scheduler_.probe_ended(backend, endpoint, false, internal_error, now()); });
}

asio::awaitable<void> Engine::Impl::run_probe(std::string backend, lmtp_client::Endpoint endpoint) {
    lmtp_client::ClientOptions options = probe_options(backend);
    const lmtp_client::TransactionEnd end = co_await client_->probe(endpoint, options);
    if (end.abilities) {
        events_.introduced(backend, endpoint, *end.abilities);
    }
    scheduler_.probe_ended(backend, endpoint, end.trouble == lmtp_client::Trouble::none, end.detail, now());
    pump_soon();
}

lmtp_client::ClientOptions Engine::Impl::client_options(const std::string& backend) const {
    lmtp_client::ClientOptions options;
    options.hostname = options_.hostname;
    const auto found = options_.backends.find(backend);
    if (found != options_.backends.end()) {
        options.connect_timeout = found->second.connect_timeout;
        options.reply_timeout = found->second.reply_timeout;
        options.final_reply_timeout = 2 * options.reply_timeout;
        options.security = found->second.security;
    }
    return options;
}

/// A store that lets somebody wait for its greeting is not well, and who asks (or stops the gateway) waits with him.
lmtp_client::ClientOptions Engine::Impl::probe_options(const std::string& backend) const {
    lmtp_client::ClientOptions options = client_options(backend);
    options.connect_timeout = std::min(options.connect_timeout, probe_patience);
    options.reply_timeout = std::min(options.reply_timeout, probe_patience);
    return options;
}

lmtp_client::Client& Engine::Impl::client_of(const std::string& backend) const {
    const auto found = options_.backends.find(backend);
    const bool is_by_domain = found != options_.backends.end() && found->second.is_by_domain();
    return is_by_domain && elsewhere_ ? *elsewhere_ : *client_;
}

void Engine::Impl::close_idle() {
    client_->close_idle();
    if (elsewhere_) {
        elsewhere_->close_idle();
    }
}

void Engine::Impl::load(const std::string& backend, queue::Instant until, std::optional<queue::DueKey> after,
                        std::size_t limit) {
    store_.load_due(backend, until, after, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        auto answer = std::make_shared<Result<queue::DuePage, StoreStatus>>(std::move(page));
        after_store([this, backend, answer] {
            if (answer->has_value()) {
                scheduler_.loaded(backend, std::move(**answer), now());
            } else {
                scheduler_.load_failed(backend, now());
            }
            pump_soon();
        });
    });
}

void Engine::Impl::load_old(const std::string& backend, queue::MessageId before, std::size_t limit) {
    store_.load_old(backend, before, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        auto answer = std::make_shared<queue::DuePage>();
        if (page.has_value()) {
            *answer = std::move(*page);
        }
        after_store([this, backend, answer] {
            scheduler_.loaded_old(backend, std::move(*answer), now());
            pump_soon();
        });
    });
}

void Engine::Impl::load_late(const std::string& backend, queue::MessageId after, queue::MessageId before,
                             std::size_t limit) {
    store_.load_late(backend, after, before, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        auto answer = std::make_shared<queue::DuePage>();
        if (page.has_value()) {
            *answer = std::move(*page);
        }
        after_store([this, backend, answer] {
            scheduler_.loaded_late(backend, std::move(*answer), now());
            pump_soon();
        });
    });
}

void Engine::Impl::call_waiting(const std::string& backend, const std::string& mailbox, queue::Instant at,
                                std::size_t limit) {
    calls_.push_back({backend, mailbox, at, limit});  // behind the results that are being gathered
}

void Engine::Impl::make_calls() {
    for (Call& call : std::exchange(calls_, {})) {
        store_.call_waiting(call.backend, call.mailbox, call.at, call.limit,
                            [this, call](Result<std::size_t, StoreStatus> count) {
                                const std::size_t called = count.has_value() ? *count : 0;
                                after_store([this, call, called] {
                                    scheduler_.called(call.backend, call.mailbox, called, call.limit);
                                    pump_soon();
                                });
                            });
    }
}

void Engine::Impl::survey() {
    auto task = run_survey();
    spawn(std::move(task), [this] { scheduler_.survey_failed(now()); });
}

asio::awaitable<void> Engine::Impl::run_survey() {
    const std::uint64_t mends = mends_begun_;
    Result<queue::BacklogSurvey, Loader::Failure> survey = co_await loader_.backlog();
    if (survey.has_value()) {
        // What was found while an older finding was being put right may be the same once more.
        if (!survey->miscount.is_none() && mends == mends_begun_ && mends == mends_ended_) {
            mend(std::move(survey->miscount));
        }
        scheduler_.surveyed(survey->cells, now());
    } else {
        events_.problem("cannot see what is queued: " + survey.error().text);
        scheduler_.survey_failed(now());
    }
    pump_soon();
}

void Engine::Impl::mend(queue::Miscount miscount) {
    ++mends_begun_;
    const std::string text = miscount.describe();
    store_.mend_counts(std::move(miscount), [this, text](StoreStatus status) {
        after_store([this, text, status] {
            ++mends_ended_;
            if (status != StoreStatus::stored) {
                return;  // found again by the next survey
            }
            events_.recounted(text);
            queue::HistoryEvent event;
            event.at = clock_.wall();
            event.event = "recounted";
            event.actor = "gateway";
            event.reply = text;
            store_.note(std::move(event));
        });
    });
}

void Engine::Impl::reassign(const std::string& from, const queue::DomainMoves& moves) {
    store_.reassign(from, moves, [this, moves](Result<std::size_t, StoreStatus> count) {
        const std::optional<std::size_t> moved = count.has_value() ? std::optional(*count) : std::nullopt;
        after_store([this, moves, moved] {
            scheduler_.reassigned(moves, moved, now());
            pump_soon();
        });
    });
}

void Engine::Impl::mark(queue::BackendMark mark, bool set) {
    if (set && mark.kind == queue::BackendMark::Kind::brake) {  // what operators do, they note themselves
        queue::HistoryEvent event;
        event.at = mark.at;
        event.event = "brake_on";
        event.backend = mark.backend;
        event.actor = mark.actor;
        event.reply = mark.reason;
        store_.note(std::move(event));
    }
    events_.marked(mark.backend, mark.kind, set);
    ledger_.mark(std::move(mark), set);
}

void Engine::Impl::submit(const std::shared_ptr<Recording>& recording) {
    submit_to(store_, *recording, [this, recording](StoreStatus status) {
        after_store([this, recording, status] { recorded(recording, status); });
    });
}

void Engine::Impl::recorded(const std::shared_ptr<Recording>& recording, StoreStatus status) {
    ledger_.recorded(recording, status);
    scheduler_.set_recording(ledger_.is_recording());
    if (ledger_.is_refused()) {
        record_timer_.expires_after(record_again);
        record_timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) {
                ledger_.again();
            }
        });
    }
    end_if_stopped();
    pump_soon();
}

void Engine::Impl::pump_soon() {
    if (!std::exchange(pump_pending_, true)) {
        asio::post(executor_, [this] { pump(); });
    }
}

void Engine::Impl::pump() {
    pump_pending_ = false;
    if (begun_) {
        ledger_.send();
        make_calls();
        scheduler_.run(now());
    }
    ledger_.send();
    end_if_stopped();
    const Now at = now();
    const auto wake = begun_ ? scheduler_.next_wake(at) : std::nullopt;
    if (!wake) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(std::max(*wake, at.steady + std::chrono::milliseconds(1)));
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) {
            pump_soon();
        }
    });
}

void Engine::Impl::begin() {
    begun_ = true;
    take_marks();
}

void Engine::Impl::take_marks() {
    // Nothing is delivered to a paused backend in the meantime: the scheduler waits for them.
    store_.load_marks([this](Result<std::vector<queue::BackendMark>, StoreStatus> marks) {
        auto answer = std::make_shared<Result<std::vector<queue::BackendMark>, StoreStatus>>(std::move(marks));
        after_store([this, answer] {
            if (answer->has_value()) {
                for (const queue::BackendMark& mark : **answer) {
                    events_.marked(mark.backend, mark.kind, true);
                }
                scheduler_.begin(**answer, now());
                pump_soon();
                return;
            }
            marks_timer_.expires_after(record_again);
            marks_timer_.async_wait([this](const boost::system::error_code& error) {
                if (!error) {
                    take_marks();
                }
            });
        });
    });
}

void Engine::Impl::order_backend(BackendOrder order, const std::string& backend, const std::string& actor,
                                 const std::string& reason, std::function<void(BackendOrderResult)> done) {
    BackendOrderResult result;
    result.ordered = scheduler_.order(order, backend, actor, reason, now());
    ledger_.when_recorded([result, done = std::move(done)](StoreStatus status) mutable {
        result.status = status;
        done(result);
    });
    pump_soon();
}

asio::awaitable<void> Engine::Impl::probe_all(std::string backend, std::function<void(std::vector<ProbeResult>)> done) {
    std::vector<ProbeResult> results;
    std::vector<lmtp_client::Endpoint> endpoints;
    const auto found = options_.backends.find(backend);
    if (found != options_.backends.end()) {
        endpoints = found->second.endpoints;
    }
    for (const lmtp_client::Endpoint& endpoint : endpoints) {
        lmtp_client::ClientOptions options = probe_options(backend);
        const lmtp_client::TransactionEnd end = co_await client_of(backend).probe(endpoint, options);
        ProbeResult& result = results.emplace_back();
        result.endpoint = endpoint.to_string();
        result.well = end.trouble == lmtp_client::Trouble::none;
        result.detail = end.detail;
    }
    // A circuit that is open hears of it by a probe of its own, now.
    static_cast<void>(scheduler_.hurry(backend, now()));
    pump_soon();
    done(std::move(results));
}

void Engine::Impl::reconfigure(Options options, Route route) {
    options_ = options;
    route_ = route;
    scheduler_.reconfigure(std::move(options), std::move(route), now());
    close_idle();
    pump_soon();
}

void Engine::Impl::committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages) {
    auto list = std::make_shared<std::vector<std::shared_ptr<const queue::CommittedMessage>>>(std::move(messages));
    after_store([this, list] {
        const Now at = now();
        for (auto& message : *list) {
            scheduler_.committed(message, at);
            message.reset();
        }
        pump_soon();
    });
}

asio::awaitable<void> Engine::Impl::carry_out(Order order, std::vector<RecipientKey> recipients, std::string actor,
                                              std::string reason, std::function<void(OrderResult)> done) {
    std::vector<queue::MessageId> ids;
    for (const RecipientKey& key : recipients) {
        if (ids.empty() || ids.back() != key.message) {
            ids.push_back(key.message);
        }
    }
    Result<std::vector<queue::QueuedMessage>, Loader::Failure> found = co_await loader_.find(std::move(ids));
    if (found.has_error()) {
        events_.problem("operator's order: " + found.error().text);
        done(OrderResult());
        co_return;
    }
    std::set<std::pair<std::int64_t, queue::Ordinal>> wanted;
    for (const RecipientKey& key : recipients) {
        wanted.emplace(key.message.value(), key.ordinal);
    }
    OrderResult result;
    const Now at = now();
    for (const queue::QueuedMessage& message : *found) {
        for (const queue::Recipient& recipient : message.recipients) {
            if (wanted.count({message.envelope.id.value(), recipient.ordinal}) != 0 &&
                scheduler_.order(order, message.envelope.id, recipient, actor, at, reason)) {
                ++result.changed;
            }
        }
    }
    ledger_.when_recorded([result, done = std::move(done)](StoreStatus status) mutable {
        result.status = status;
        done(result);
    });
    pump_soon();
}

void Engine::Impl::stop(std::chrono::milliseconds grace, std::function<void()> done) {
    scheduler_.stop();
    stopped_ = std::move(done);
    grace_timer_.expires_after(grace);
    grace_timer_.async_wait([this](const boost::system::error_code& error) {
        if (auto tell = std::exchange(stopped_, nullptr); tell && !error) {
            tell();
        }
    });
    end_if_stopped();
}

void Engine::Impl::end_if_stopped() {
    if (stopped_ && scheduler_.in_flight() == 0 && ledger_.is_idle()) {
        close_idle();
        const auto tell = std::exchange(stopped_, nullptr);
        grace_timer_.cancel();
        tell();
    }
}

Engine::Engine(asio::any_io_executor executor, queue::Store& store, Loader::OpenReader open_reader,
               const queue::Clock& clock, Events& events, Options options, Route route,
               std::unique_ptr<lmtp_client::Client> elsewhere)
    : impl_(std::make_unique<Impl>(std::move(executor), store, std::move(open_reader), clock, events,
                                   std::move(options), std::move(route), std::move(elsewhere))) {}

Engine::~Engine() = default;

void Engine::start() {
    asio::post(impl_->executor_, [impl = impl_.get()] { impl->begin(); });
}

void Engine::reconfigure(Options options, Route route) {
    asio::post(impl_->executor_,
               [impl = impl_.get(), options = std::move(options), route = std::move(route)]() mutable {
                   impl->reconfigure(std::move(options), std::move(route));
               });
}

void Engine::committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages) {
    impl_->committed(std::move(messages));
}

void Engine::batch_done() { impl_->from_store_.flush(); }

void Engine::health_changed(const std::string& error) {
    // Results that fail say so themselves; a store that is back may hold what nobody here knows of.
    if (error.empty()) {
        impl_->after_store([impl = impl_.get()] {
            for (const auto& [name, backend] : impl->options_.backends) {
                impl->scheduler_.look(name);
            }
            impl->pump_soon();
        });
    }
}

void Engine::put_off() {
    impl_->after_store([impl = impl_.get()] {
        impl->scheduler_.has_no_room(impl->now());
        impl->pump_soon();
    });
}

void Engine::order(Order order, std::vector<RecipientKey> recipients, std::string actor, std::string reason,
                   std::function<void(OrderResult)> done) {
    asio::post(impl_->executor_, [impl = impl_.get(), order, recipients = std::move(recipients),
                                  actor = std::move(actor), reason = std::move(reason),
                                  done = std::move(done)]() mutable {
        auto task = impl->carry_out(order, std::move(recipients), std::move(actor), std::move(reason), std::move(done));
        asio::co_spawn(impl->executor_, std::move(task), [](const std::exception_ptr&) {});
    });
}

void Engine::order(BackendOrder order, std::string backend, std::string actor, std::string reason,
                   std::function<void(BackendOrderResult)> done) {
    asio::post(impl_->executor_, [impl = impl_.get(), order, backend = std::move(backend), actor = std::move(actor),
                                  reason = std::move(reason), done = std::move(done)]() mutable {
        impl->order_backend(order, backend, actor, reason, std::move(done));
    });
}

void Engine::probe(std::string backend, std::function<void(std::vector<ProbeResult>)> done) {
    asio::post(impl_->executor_, [impl = impl_.get(), backend = std::move(backend), done = std::move(done)]() mutable {
        auto task = impl->probe_all(std::move(backend), std::move(done));
        asio::co_spawn(impl->executor_, std::move(task), [](const std::exception_ptr&) {});
    });
}

std::vector<BackendState> Engine::backends() {
    std::promise<std::vector<BackendState>> answer;
    auto future = answer.get_future();
    asio::post(impl_->executor_, [this, &answer] { answer.set_value(impl_->scheduler_.backends(impl_->now())); });
    return future.get();
}

std::vector<Explanation> Engine::explain(const queue::QueuedMessage& message) {
    std::promise<std::vector<Explanation>> answer;
    auto future = answer.get_future();
    asio::post(impl_->executor_, [this, &message, &answer] {
        std::vector<Explanation> told;
        for (const queue::Recipient& recipient : message.recipients) {
            told.push_back(impl_->scheduler_.explain(message.envelope.id, recipient, impl_->now()));
        }
        answer.set_value(std::move(told));
    });
    return future.get();
}

const RefusalBoard& Engine::refusals() const { return impl_->refusals_; }

void Engine::stop(std::chrono::milliseconds grace, std::function<void()> done) {
    asio::post(impl_->executor_,
               [impl = impl_.get(), grace, done = std::move(done)]() mutable { impl->stop(grace, std::move(done)); });
}

}  // namespace postern::delivery
