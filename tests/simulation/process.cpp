#include "process.hpp"

#include <algorithm>
#include <utility>

#include "lmtp-client/detail/capabilities.hpp"
#include "lmtp-client/detail/dot_stuffing.hpp"
#include "queue/reader.hpp"

namespace postern::simulation {

using delivery::Plan;
using delivery::Recording;
using delivery::Scheduler;
using lmtp_client::Trouble;
using lmtp_client::detail::Dialogue;
using queue::StoreStatus;

/// The gateway's end of a connection. What the store says arrives here in order.
struct Process::Wire {
    std::string endpoint;
    std::unique_ptr<Session> session;
    lmtp_client::detail::Capabilities capabilities;
    std::string arrived;
    bool closed = false;
    Timeline::Milliseconds last_arrival = 0;
    Timeline::Milliseconds last_sending = 0;
    Timeline::Milliseconds idle_since = 0;
    std::function<void()> wake;  ///< something has arrived
};

struct Process::Flight final : lmtp_client::OutcomeSink {
    Flight(Process& process, std::shared_ptr<const Plan> of) : owner(process), plan(std::move(of)) {}
    Process& owner;
    std::shared_ptr<const Plan> plan;
    lmtp_client::Transaction transaction;
    std::string content;
    std::shared_ptr<Wire> wire;
    std::unique_ptr<Dialogue> dialogue;
    bool may_be_dead = false;
    bool content_read = false;
    bool sending_content = false;
    bool over = false;
    std::uint64_t waits = 0;
    std::size_t replies_seen = 0;
    bool awaiting = false;

    void outcome(std::size_t slot, lmtp_client::Outcome outcome) override {
        const queue::Ordinal ordinal = plan->recipients[slot].ordinal;
        Truth& truth = owner.around_.truth;
        if (outcome.fate == lmtp_client::Fate::replied && outcome.reply.is_success()) {
            truth.success_seen(plan->message, ordinal, truth.life);
        }
        truth.attempt_ends(plan->message, ordinal);
        owner.scheduler_.outcome(plan->number, slot, outcome, owner.now());
        owner.pump_soon();
    }
};

/// Its end gives the connection back to the idle ones.
struct Process::Lease {
    Lease(Process& process, std::shared_ptr<Wire> of) : owner(process), alive(process.alive_), wire(std::move(of)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        if (*alive) {
            wire->idle_since = owner.around_.timeline.now();
            owner.idle_[wire->endpoint].push_back(wire);
        }
    }
    Process& owner;
    std::shared_ptr<bool> alive;
    std::shared_ptr<Wire> wire;
};

namespace {

std::shared_ptr<const bounce::Rules> rules(delivery::Route route) {
    bounce::ReportOptions report("mx.test", *mail::Mailbox::parse("postmaster@mx.test", mail::Utf8::refused));
    auto made = std::make_shared<bounce::Rules>(std::move(report));
    made->way_to = std::move(route);
    return made;
}

}  // namespace

Process::Process(Surroundings& around, delivery::Options options, delivery::Route route)
    : around_(around),
      options_(options),
      reporter_(around.timeline, rules(route)),
      scheduler_(*this, *this, std::move(options), std::move(route)),
      ledger_(*this) {}

Process::~Process() {
    *alive_ = false;
    incoming_.clear();
    reader_.reset();
    store_.reset();
}

void Process::later(Timeline::Milliseconds delay, std::function<void()> what) {
    around_.timeline.at(delay, [alive = alive_, this, what = std::move(what)] {
        // A power cut may come in the midst of what runs; what it calls back then, it calls in vain.
        if (*alive && !around_.disk.is_down()) {
            what();
        }
    });
}

bool Process::begin() {
    queue::SqliteStoreOptions options;
    options.path = around_.queue_path;
    options.minimum_free_disk = 0;
    options.by_hand = true;
    options.hand_over_budget = 4096;
    options.checkpoint_pages = 32;
    options.stretch = 3;  // so that everything happens between two of them
    options.reporter = this;
    auto opened = queue::SqliteStore::open(options, around_.timeline, *this);
    if (opened.has_error()) {
        if (!around_.disk.is_down() && opened.error().kind != queue::OpenError::Kind::io) {
            throw Violation("1: the queue cannot be opened: " + opened.error().text);
        }
        around_.trace("cannot open: " + opened.error().text);
        return false;
    }
    store_ = std::move(*opened);
    recording_since_ = around_.timeline.now();
    take_marks();
    return true;
}

std::optional<std::vector<queue::QueuedMessage>> Process::read_all() {
    auto opened = queue::open_reader(around_.queue_path);
    if (opened.has_error()) {
        if (!around_.disk.is_down() && opened.error().kind != queue::OpenError::Kind::io) {
            throw Violation("1: the queue cannot be read: " + opened.error().text);
        }
        return std::nullopt;
    }
    reader_ = std::move(*opened);
    std::vector<queue::QueuedMessage> all;
    const auto listed =
        reader_->list(queue::Filter(), around_.timeline.wall(), [&all](const queue::QueuedMessage& message) {
            all.push_back(message);
            return true;
        });
    if (listed.has_error()) {
        if (listed.error() == queue::ReadError::damaged) {
            throw Violation("1: the queue is damaged: " + reader_->last_error());
        }
        return std::nullopt;
    }
    for (const queue::QueuedMessage& message : all) {
        const auto verdict = reader_->verify(message.envelope.id);
        if (verdict.has_error() && verdict.error() != queue::ReadError::failed) {
            throw Violation("1: message " + message.envelope.id.to_string() + " is damaged: " + reader_->last_error());
        }
    }
    return all;
}

// ---- The store's thread ----

void Process::after_store(std::function<void()> what) {
    last_from_store_ = std::max(last_from_store_, around_.timeline.now() + around_.random.between(0, 3));
    later(last_from_store_ - around_.timeline.now(), std::move(what));
}

void Process::work_soon() {
    if (!std::exchange(work_pending_, true)) {
        later(around_.random.between(0, 5), [this] {
            work_pending_ = false;
            if (around_.random.chance(20)) {
                store_->work(false);
                work_soon();
                return;
            }
            if (store_->work(true)) {
                work_soon();
            }
            later(around_.random.between(1, 100), [this] { store_->work_on_history(); });
            if (!healthy_) {
                later(300, [this] { work_soon(); });
            }
        });
    }
}

void Process::committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages) {
    if (around_.disk.is_down()) {
        return;
    }
    for (const auto& message : messages) {
        around_.truth.report_committed(message->envelope.id);
    }
    after_store([this, messages = std::move(messages)] {
        for (const auto& message : messages) {
            scheduler_.committed(message, now());
        }
        pump_soon();
    });
}

void Process::health_changed(const std::string& error) {
    healthy_ = error.empty();
    around_.trace(error.empty() ? "store: well again" : "store: closed: " + error);
    if (!error.empty()) {
        return;
    }
    recording_since_ = around_.timeline.now();
    after_store([this] {
        for (const auto& [name, backend] : options_.backends) {
            scheduler_.look(name);
        }
        pump_soon();
    });
}

void Process::put_off() {
    after_store([this] {
        scheduler_.look_everywhere();
        pump_soon();
    });
}

queue::Reporter::Answer Process::decide(const Case& about) {
    Answer answer = reporter_.decide(about);
    if (answer.report) {
        around_.truth.report_made(about, *answer.report);
    }
    return answer;
}

std::optional<std::vector<queue::RecipientUpdate>> Process::as_recorded(
    const std::vector<queue::RecipientUpdate>& updates) {
    std::vector<queue::RecipientUpdate> recorded;
    for (queue::RecipientUpdate update : updates) {
        const auto telling = std::exchange(update.telling, std::nullopt);
        if (telling && !telling->changes_all) {
            continue;
        }
        if (telling && telling->notice == queue::Notice::failed) {
            auto opened = queue::open_reader(around_.queue_path);
            if (opened.has_error()) {
                return std::nullopt;
            }
            const auto message = (*opened)->find(update.message);
            if (message.has_error() && message.error() != queue::ReadError::not_found) {
                return std::nullopt;
            }
            update.state = queue::RecipientState::returned;
            if (message.has_value()) {
                const queue::Recipient& row = message->recipients.at(update.ordinal);
                update.state = row.state;
                update.next_attempt_at = row.next_attempt_at;
                update.last_reply = row.last_reply;
            }
        }
        recorded.push_back(std::move(update));
    }
    return recorded;
}

void Process::take_marks() {
    store_->load_marks([this](Result<std::vector<queue::BackendMark>, StoreStatus> marks) {
        if (around_.disk.is_down()) {
            return;
        }
        auto answer = std::make_shared<Result<std::vector<queue::BackendMark>, StoreStatus>>(std::move(marks));
        after_store([this, answer] {
            if (answer->has_error()) {
                later(1000, [this] { take_marks(); });
                return;
            }
            for (const queue::BackendMark& mark : **answer) {
                if (mark.kind == queue::BackendMark::Kind::brake) {
                    braked_.insert(mark.backend);
                }
            }
            scheduler_.begin(**answer, now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::load_old(const std::string& backend, queue::MessageId before, std::size_t limit) {
    store_->load_old(backend, before, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        if (around_.disk.is_down()) {
            return;
        }
        auto answer = std::make_shared<queue::DuePage>();
        if (page.has_value()) {
            *answer = std::move(*page);
        }
        after_store([this, backend, answer] {
            scheduler_.loaded_old(backend, std::move(*answer), now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::load_late(const std::string& backend, queue::MessageId after, queue::MessageId before,
                        std::size_t limit) {
    store_->load_late(backend, after, before, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        if (around_.disk.is_down()) {
            return;
        }
        auto answer = std::make_shared<queue::DuePage>();
        if (page.has_value()) {
            *answer = std::move(*page);
        }
        after_store([this, backend, answer] {
            scheduler_.loaded_late(backend, std::move(*answer), now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::call_waiting(const std::string& backend, const std::string& mailbox, queue::Instant at,
                           std::size_t limit) {
    // Behind the results that are being gathered.
    later(0, [this, backend, mailbox, at, limit] {
        ledger_.send();
        store_->call_waiting(backend, mailbox, at, limit,
                             [this, backend, mailbox, limit](Result<std::size_t, StoreStatus> count) {
                                 if (around_.disk.is_down()) {
                                     return;
                                 }
                                 const std::size_t called = count.has_value() ? *count : 0;
                                 if (called > 0) {
                                     around_.truth.called(mailbox);
                                 }
                                 after_store([this, backend, mailbox, called, limit] {
                                     scheduler_.called(backend, mailbox, called, limit);
                                     pump_soon();
                                 });
                             });
        work_soon();
    });
}

void Process::survey() {
    later(around_.random.between(0, 5), [this] {
        auto opened = queue::open_reader(around_.queue_path);
        if (opened.has_value()) {
            const auto survey = (*opened)->backlog();
            if (survey.has_value()) {
                if (!survey->miscount.is_none()) {
                    throw Violation("the store has counted wrong: " + survey->miscount.describe());
                }
                scheduler_.surveyed(survey->cells, now());
                pump_soon();
                return;
            }
        }
        scheduler_.survey_failed(now());
        pump_soon();
    });
}

void Process::reassign(const std::string& from, const queue::DomainMoves& moves) {
    store_->reassign(from, moves, [this, moves](Result<std::size_t, StoreStatus> count) {
        if (around_.disk.is_down()) {
            return;
        }
        const std::optional<std::size_t> moved = count.has_value() ? std::optional(*count) : std::nullopt;
        after_store([this, moves, moved] {
            scheduler_.reassigned(moves, moved, now());
            pump_soon();
        });
    });
    work_soon();
}

void Process::load(const std::string& backend, queue::Instant until, std::optional<queue::DueKey> after,
                   std::size_t limit) {
    store_->load_due(backend, until, after, limit, [this, backend](Result<queue::DuePage, StoreStatus> page) {
        if (around_.disk.is_down()) {
            return;
        }
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
    work_soon();
}

void Process::record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) {
    ledger_.record(std::move(update), std::move(event));
}

void Process::record_at_end(std::uint64_t plan, queue::RecipientUpdate update, queue::HistoryEvent event) {
    ledger_.record_at_end(plan, std::move(update), std::move(event));
}

void Process::submit(const std::shared_ptr<Recording>& recording) {
    if (!recording->refused) {
        around_.truth.submitted(recording->updates);
    }
    delivery::submit_to(*store_, *recording, [this, recording](StoreStatus status) {
        if (around_.disk.is_down()) {
            return;
        }
        if (status == StoreStatus::stored) {
            if (const auto recorded = as_recorded(recording->updates)) {
                around_.truth.recorded(*recorded);
            }
        }
        after_store([this, recording, status] {
            ledger_.recorded(recording, status);
            scheduler_.set_recording(ledger_.is_recording());
            if (ledger_.is_recording()) {
                recording_since_ = std::max(recording_since_, recording->refused ? around_.timeline.now() : 0);
            }
            if (ledger_.is_refused()) {
                later(1000, [this] { ledger_.again(); });
            }
            pump_soon();
        });
    });
    work_soon();
}

// ---- Accepting ----

void Process::accept(const std::vector<queue::Recipient>& recipients, std::size_t parts, const std::string& body,
                     queue::Origin origin) {
    if (store_->admit(0) != StoreStatus::stored) {
        return;
    }
    std::unique_ptr<queue::IncomingMessage> message = store_->begin();
    const queue::MessageId id = message->id();
    incoming_[id.value()] = std::move(message);
    std::vector<std::string> addresses;
    for (const queue::Recipient& recipient : recipients) {
        addresses.push_back(recipient.address.to_string());
    }
    MessageFact& fact = around_.truth.begin(id, body, addresses);
    fact.is_trusted = origin == queue::Origin::trusted;
    queue::Envelope envelope;
    envelope.origin = origin;
    envelope.received_at = around_.timeline.wall();
    envelope.sender = mail::ReversePath(
        *mail::Mailbox::parse("t" + std::to_string(fact.token) + "@sender.test", mail::Utf8::refused));
    envelope.client.protocol = "ESMTP";
    append(id, parts, Sending{std::move(envelope), recipients, body});
}

void Process::append(queue::MessageId id, std::size_t parts, const Sending& rest) {
    queue::IncomingMessage& message = *incoming_.at(id.value());
    const auto answer = [this, id](StoreStatus status) {
        if (!around_.disk.is_down()) {
            around_.truth.answered(around_.truth.by_id(id), status);
            later(0, [this, id] { incoming_.erase(id.value()); });
        }
    };
    if (parts == 0) {
        message.commit(rest.envelope, rest.recipients, rest.content, answer);
        return work_soon();
    }
    const std::size_t size = rest.content.size() / 2;
    Sending left = rest;
    left.content.erase(0, size);
    message.append(rest.content.substr(0, size), [this, id, parts, answer, left](StoreStatus status) {
        if (around_.disk.is_down()) {
            return;
        }
        if (status != StoreStatus::stored || around_.random.chance(5)) {
            return answer(StoreStatus::failed);  // or the client is gone: then it must not become a message either
        }
        later(around_.random.between(0, 2000), [this, id, parts, left] { append(id, parts - 1, left); });
    });
    work_soon();
}

// ---- The engine ----

void Process::pump_soon() {
    if (!std::exchange(pump_pending_, true)) {
        later(0, [this] { pump(); });
    }
}

void Process::pump() {
    pump_pending_ = false;
    ledger_.send();
    scheduler_.run(now());
    ledger_.send();
    const std::uint64_t wake_number = ++wakes_;
    if (const auto wake = scheduler_.next_wake(now())) {
        const auto delay = std::chrono::duration_cast<queue::Duration>(*wake - around_.timeline.steady()).count();
        later(std::max<std::int64_t>(1, delay), [this, wake_number] {
            if (wake_number == wakes_) {
                pump_soon();
            }
        });
    }
}

void Process::order(delivery::Order order, queue::MessageId message, queue::Ordinal ordinal) {
    if (!reader_) {
        return;
    }
    auto found = reader_->find(message);
    if (found.has_error()) {
        return;
    }
    auto row = std::make_shared<queue::QueuedMessage>(std::move(*found));
    // Between the reading and the order, other things happen.
    later(around_.random.between(0, 20), [this, order, message, ordinal, row] {
        if (ordinal < row->recipients.size() &&
            scheduler_.order(order, message, row->recipients[ordinal], "somebody", now())) {
            around_.trace("order " + std::to_string(static_cast<int>(order)) + ' ' + message.to_string() + ' ' +
                          std::to_string(ordinal));
        }
        pump_soon();
    });
}

void Process::order(delivery::BackendOrder order, const std::string& backend) {
    const auto ordered = scheduler_.order(order, backend, "somebody", "a reason", now());
    if (order != delivery::BackendOrder::release_brake && ordered == Scheduler::Ordered::done) {
        around_.truth.pause_ordered(backend, order == delivery::BackendOrder::pause);
    }
    pump_soon();
}

void Process::reconfigure(delivery::Options options, delivery::Route route) {
    options_ = options;
    scheduler_.reconfigure(std::move(options), std::move(route), now());
    idle_.clear();
    pump_soon();
}

void Process::check_memory() const {
    std::size_t bound = 0;
    for (const auto& [name, backend] : options_.backends) {
        const std::size_t in_flight =
            backend.endpoints.size() * backend.connections * backend.recipients_per_transaction;
        bound += options_.window + 200 + in_flight * 2;
    }
    if (scheduler_.in_memory() > bound) {
        throw Violation("11: " + std::to_string(scheduler_.in_memory()) + " recipients in memory, at most " +
                        std::to_string(bound) + " expected");
    }
}

void Process::start(std::shared_ptr<const Plan> plan) {
    around_.truth.plan_begins(plan->backend);
    std::string line =
        "plan " + std::to_string(plan->number) + " to " + plan->endpoint.to_string() + ": " + plan->message.to_string();
    for (const queue::Recipient& recipient : plan->recipients) {
        line += ' ' + std::to_string(recipient.ordinal);
        around_.truth.attempt_begins(plan->message, recipient);
    }
    around_.trace(line);
    if (plan->fresh && plan->fresh->content) {
        std::string content = *plan->fresh->content;
        const queue::Envelope envelope = plan->fresh->envelope;
        later(0, [this, plan, envelope, content = std::move(content)] { run(plan, envelope, content); });
        return;
    }
    later(around_.random.between(0, 5), [this, plan] { read_and_run(plan); });
}

void Process::unreadable(const Plan& plan, Scheduler::Unreadable why, const std::string& detail) {
    for (const queue::Recipient& recipient : plan.recipients) {
        around_.truth.attempt_ends(plan.message, recipient.ordinal);
    }
    scheduler_.unreadable(plan.number, why, detail, now());
    ledger_.release_after_records(plan.number, nullptr);
    pump_soon();
}

void Process::read_and_run(std::shared_ptr<const Plan> plan) {
    const auto failed = [this, &plan](queue::ReadError error) {
        const std::string text = reader_->last_error();
        if (error == queue::ReadError::failed) {
            reader_.reset();
        }
        unreadable(*plan,
                   error == queue::ReadError::damaged     ? Scheduler::Unreadable::damaged
                   : error == queue::ReadError::not_found ? Scheduler::Unreadable::gone
                                                          : Scheduler::Unreadable::later,
                   text);
    };
    if (!reader_) {
        auto opened = queue::open_reader(around_.queue_path);
        if (opened.has_error()) {
            return unreadable(*plan, Scheduler::Unreadable::later, opened.error().text);
        }
        reader_ = std::move(*opened);
    }
    const auto verdict = reader_->verify(plan->message);
    if (verdict.has_error()) {
        return failed(verdict.error());
    }
    const auto message = reader_->find(plan->message);
    if (message.has_error()) {
        return failed(message.error());
    }
    std::string content;
    for (std::uint32_t number = 0;; ++number) {
        const auto part = reader_->content_part(plan->message, number);
        if (part.has_error()) {
            return failed(part.error());
        }
        if (part->empty()) {
            break;
        }
        content += *part;
    }
    run(std::move(plan), message->envelope, std::move(content));
}

// ---- The client: lmtp-client/client.cpp without sockets ----

void Process::run(std::shared_ptr<const Plan> plan, const queue::Envelope& envelope, std::string content) {
    auto flight = std::make_shared<Flight>(*this, std::move(plan));
    flight->transaction.sender = envelope.sender;
    for (const queue::Recipient& recipient : flight->plan->recipients) {
        flight->transaction.recipients.push_back({recipient.address, recipient.dsn});
    }
    flight->transaction.size = envelope.size;
    flight->content = std::move(content);
    auto& idle = idle_[flight->plan->endpoint.to_string()];
    while (!idle.empty()) {
        std::shared_ptr<Wire> wire = std::move(idle.back());
        idle.pop_back();
        if (wire->closed || !wire->arrived.empty() || around_.timeline.now() - wire->idle_since > 30'000) {
            continue;
        }
        flight->wire = std::move(wire);
        return begin_dialogue(flight, true, around_.timeline.now() - flight->wire->idle_since > 250);
    }
    on_a_new_connection(flight);
}

void Process::on_a_new_connection(const std::shared_ptr<Flight>& flight) {
    connect(flight->plan->endpoint.to_string(), [this, flight](std::shared_ptr<Wire> wire, Trouble trouble) {
        if (trouble != Trouble::none) {
            for (std::size_t slot = 0; slot < flight->transaction.recipients.size(); ++slot) {
                flight->outcome(slot, lmtp_client::Outcome());
            }
            scheduler_.transaction_ended(flight->plan->number, trouble, "no connection", now());
            ledger_.release_after_records(flight->plan->number, nullptr);
            pump_soon();
            return;
        }
        flight->wire = std::move(wire);
        begin_dialogue(flight, false, false);
    });
}

void Process::connect(const std::string& endpoint, std::function<void(std::shared_ptr<Wire>, Trouble)> then) {
    Peer& peer = *around_.peers.at(endpoint);
    peer.connects.push_back(around_.timeline.now());
    ++around_.truth.counts.connects;
    if (peer.mood == Mood::black_hole) {
        return later(30'000, [then] { then(nullptr, Trouble::connect); });
    }
    if (!peer.is_up()) {
        return later(around_.random.between(0, 3), [then] { then(nullptr, Trouble::connect); });
    }
    auto wire = std::make_shared<Wire>();
    wire->endpoint = endpoint;
    std::weak_ptr<Wire> weak = wire;
    const auto arrive = [this, alive = alive_, weak](Timeline::Milliseconds delay, std::function<void(Wire&)> what) {
        const auto strong = weak.lock();
        if (!strong || !*alive) {
            return;
        }
        strong->last_arrival = std::max(strong->last_arrival, around_.timeline.now() + delay);
        later(strong->last_arrival - around_.timeline.now(), [weak, what = std::move(what)] {
            if (const auto here = weak.lock()) {
                what(*here);
                if (here->wake) {
                    const auto wake = here->wake;
                    wake();
                }
            }
        });
    };
    wire->session = std::make_unique<Session>(
        peer,
        [arrive](Timeline::Milliseconds delay, std::string bytes) {
            arrive(delay, [bytes = std::move(bytes)](Wire& here) { here.arrived += bytes; });
        },
        [arrive](Timeline::Milliseconds delay) { arrive(delay, [](Wire& here) { here.closed = true; }); });
    // Greeting and LHLO, as in Connection::greet().
    auto stage = std::make_shared<int>(0);
    auto parser = std::make_shared<lmtp_client::detail::ReplyParser>();
    const auto finish = [weak, stage, then](Trouble trouble) {
        const auto here = weak.lock();
        *stage = 2;
        here->wake = nullptr;
        then(trouble == Trouble::none ? here : nullptr, trouble);
    };
    wire->wake = [this, weak, stage, parser, finish] {
        const auto here = weak.lock();
        if (!here || *stage == 2) {
            return;
        }
        std::string bytes = std::exchange(here->arrived, {});
        std::string_view rest = bytes;
        const bool ready = parser->feed(rest);
        if (parser->fault() != lmtp_client::detail::ReplyFault::none) {
            return finish(Trouble::protocol);
        }
        if (!ready) {
            if (here->closed) {
                finish(*stage == 0 ? Trouble::connect : Trouble::broken);
            }
            return;
        }
        const mail::Reply reply = parser->take();
        if (!rest.empty() && reply.code() != 421) {
            return finish(Trouble::protocol);
        }
        if (reply.code() == 421) {
            return finish(Trouble::shutting_down);
        }
        if (!reply.is_success()) {
            return finish(Trouble::greeting);
        }
        if (*stage == 1) {
            here->capabilities = lmtp_client::detail::Capabilities::read(reply);
            return finish(Trouble::none);
        }
        *stage = 1;
        later(1, [here] { here->session->feed("LHLO gateway\r\n"); });
    };
    later(30'000, [stage, finish, wire] {
        if (*stage != 2) {
            finish(*stage == 0 ? Trouble::connect : Trouble::broken);
        }
    });
    around_.timeline.at(1, [wire] { wire->session->begin(); });
}

void Process::begin_dialogue(const std::shared_ptr<Flight>& flight, bool may_be_dead, bool rested) {
    lmtp_client::detail::DialogueOptions options;
    options.envelope_first = rested;
    flight->may_be_dead = may_be_dead;
    flight->content_read = false;
    flight->dialogue = std::make_unique<Dialogue>(flight->wire->capabilities, flight->transaction, options, *flight);
    flight->dialogue->start();
    flight->wire->wake = [this, weak = std::weak_ptr(flight)] {
        if (const auto here = weak.lock()) {
            converse(here);
        }
    };
    // It holds itself up while it runs.
    later(0, [this, flight] { converse(flight); });
}

void Process::broke(const std::shared_ptr<Flight>& flight) {
    if (flight->may_be_dead && flight->dialogue->is_untouched() && !flight->content_read) {
        // Found dead: a new connection takes over.
        flight->wire->wake = nullptr;
        flight->wire->session->closed_by_gateway();
        flight->dialogue.reset();
        ++flight->waits;
        on_a_new_connection(flight);
        return;
    }
    flight->dialogue->closed("closed");
}

void Process::converse(const std::shared_ptr<Flight>& flight) {
    while (flight->dialogue && !flight->over) {
        Dialogue& dialogue = *flight->dialogue;
        Wire& wire = *flight->wire;
        const auto action = dialogue.next();
        if (action == Dialogue::Action::finish) {
            return end(flight);
        }
        // What came is looked at before anything is sent, and when it is waited for.
        if (!wire.arrived.empty()) {
            const std::string bytes = std::exchange(wire.arrived, {});
            dialogue.received(bytes);
            continue;
        }
        if (wire.closed) {
            broke(flight);
            continue;
        }
        const auto transmit = [this, wire = flight->wire](std::string bytes) {
            wire->last_sending = std::max(wire->last_sending, around_.timeline.now() + around_.random.between(0, 10));
            // Not the process's: what was written reaches the store, whatever becomes of the gateway.
            around_.timeline.at(wire->last_sending - around_.timeline.now(),
                                [wire, bytes = std::move(bytes)] { wire->session->feed(bytes); });
        };
        if (action == Dialogue::Action::send) {
            transmit(std::string(dialogue.output()));
            flight->awaiting = false;
            dialogue.sent();
            continue;
        }
        if (action == Dialogue::Action::send_content) {
            if (!flight->sending_content) {
                // The first write carries the commands and a part of the content; the rest takes its time.
                flight->sending_content = true;
                flight->content_read = true;
                std::string octets;
                if (dialogue.encoding() == Dialogue::Encoding::dotted) {
                    lmtp_client::detail::DotStuffer stuffer;
                    stuffer.append(flight->content, octets);
                    stuffer.finish(octets);
                } else {
                    octets = flight->content;
                }
                const std::size_t cut = around_.random.chance(30) ? around_.random.below(octets.size()) : octets.size();
                if (cut == octets.size() || cut == 0) {
                    transmit(std::string(dialogue.output()) + octets);
                    if (!dialogue.output().empty()) {
                        dialogue.sent();
                    }
                    flight->sending_content = false;
                    flight->awaiting = false;
                    dialogue.content_sent();
                    continue;
                }
                transmit(std::string(dialogue.output()) + octets.substr(0, cut));
                if (!dialogue.output().empty()) {
                    dialogue.sent();
                }
                later(around_.random.between(1, 500), [this, flight, transmit, rest = octets.substr(cut)] {
                    flight->sending_content = false;
                    if (flight->over || !flight->dialogue) {
                        return;
                    }
                    Wire& now_wire = *flight->wire;
                    if (!now_wire.arrived.empty()) {
                        flight->dialogue->received(std::exchange(now_wire.arrived, {}));
                    } else if (now_wire.closed) {
                        flight->dialogue->closed("closed");
                    }
                    if (flight->dialogue->next() != Dialogue::Action::finish) {
                        transmit(rest);
                        flight->awaiting = false;
                        flight->dialogue->content_sent();
                    }
                    converse(flight);
                });
            }
            return;
        }
        if (!flight->awaiting || dialogue.replies() != flight->replies_seen) {
            flight->awaiting = true;
            flight->replies_seen = dialogue.replies();
            const std::uint64_t number = ++flight->waits;
            const auto found = options_.backends.find(flight->plan->backend);
            later(found == options_.backends.end() ? 60'000 : found->second.reply_timeout.count(),
                  [this, flight, number] {
                      if (number == flight->waits && !flight->over && flight->dialogue) {
                          flight->dialogue->timed_out();
                          converse(flight);
                      }
                  });
        }
        return;
    }
}

void Process::end(const std::shared_ptr<Flight>& flight) {
    flight->over = true;
    ++flight->waits;
    flight->wire->wake = nullptr;
    const Dialogue& dialogue = *flight->dialogue;
    around_.trace("plan " + std::to_string(flight->plan->number) +
                  " ended: " + std::to_string(static_cast<int>(dialogue.trouble())) + ' ' + dialogue.detail());
    std::shared_ptr<void> lease;
    if (dialogue.is_reusable()) {
        lease = std::make_shared<Lease>(*this, flight->wire);
    } else {
        flight->wire->closed = true;
        around_.timeline.at(flight->wire->last_sending - around_.timeline.now() + around_.random.between(0, 10),
                            [wire = flight->wire] { wire->session->closed_by_gateway(); });
    }
    scheduler_.transaction_ended(flight->plan->number, dialogue.trouble(), dialogue.detail(), now());
    ledger_.release_after_records(flight->plan->number, std::move(lease));
    pump_soon();
}

void Process::probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) {
    connect(endpoint.to_string(), [this, backend, endpoint](const std::shared_ptr<Wire>& wire, Trouble trouble) {
        if (wire) {
            later(1, [wire] { wire->session->feed("QUIT\r\n"); });
        }
        scheduler_.probe_ended(backend, endpoint, trouble == Trouble::none, "probe", now());
        pump_soon();
    });
}

// ---- Events ----

void Process::recipient(const delivery::RecipientEvent& event) {
    around_.trace(std::string(event.event) + ' ' + event.message.to_string() + ' ' +
                  std::to_string(event.recipient.ordinal) + " \"" + event.recipient.last_reply + "\" next " +
                  queue::to_rfc3339(event.recipient.next_attempt_at));
    const std::string& backend = event.recipient.backend;
    if (event.event == "failed" && braked_.contains(backend) && options_.backends[backend].brake.on) {
        throw Violation("17: failed for good at " + backend + ", whose brake is on: " + event.message.to_string());
    }
}
void Process::endpoint_down(const std::string&, const std::string& endpoint, const std::string& why) {
    around_.trace("down " + endpoint + ": " + why);
}
void Process::endpoint_up(const std::string&, const std::string& endpoint) { around_.trace("up " + endpoint); }
void Process::backend(const delivery::BackendEvent& event) {
    around_.trace(std::string(delivery::to_string(event.kind)) + ' ' + event.backend + ' ' + event.endpoint + ' ' +
                  event.about + ' ' + event.reason);
    if (event.kind == delivery::BackendEvent::Kind::brake_on) {
        braked_.insert(event.backend);
        ++around_.truth.counts.brakes;
    } else if (event.kind == delivery::BackendEvent::Kind::brake_off) {
        braked_.erase(event.backend);
    }
}
void Process::damaged(queue::MessageId message, const std::string& detail) {
    throw Violation("1: damaged in the queue: " + message.to_string() + ": " + detail);
}
void Process::recounted(const std::string& changes) { around_.trace("recounted: " + changes); }
void Process::problem(const std::string& text) { around_.trace("problem: " + text); }

}  // namespace postern::simulation
