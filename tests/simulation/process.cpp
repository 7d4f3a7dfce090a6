#include "process.hpp"

#include <algorithm>
#include <utility>

#include "queue/reader.hpp"

namespace postern::simulation {

using delivery::Plan;
using delivery::Scheduler;
using lmtp_client::Trouble;

/// Hands on what becomes of a transaction's recipients.
struct Process::Delivery final : lmtp_client::OutcomeSink {
    Delivery(Process& process, std::shared_ptr<const Plan> of) : owner(process), plan(std::move(of)) {}
    Process& owner;
    std::shared_ptr<const Plan> plan;

    void outcome(std::size_t slot, lmtp_client::Outcome outcome) override {
        const queue::Ordinal ordinal = plan->recipients[slot].ordinal;
        Truth& truth = owner.around_.truth;
        if (outcome.fate == lmtp_client::Fate::replied && outcome.reply.is_success()) {
            truth.success_seen(plan->message, ordinal, truth.life);
        }
        if (outcome.fate == lmtp_client::Fate::unable) {
            owner.refused_by_names(*plan, ordinal);
        }
        truth.attempt_ends(plan->message, ordinal);
        owner.scheduler_.outcome(plan->number, slot, outcome, owner.now());
        owner.pump_soon();
    }
};

namespace {

std::shared_ptr<const bounce::Rules> rules(delivery::Route way_to) {
    bounce::ReportOptions report("mx.test", *mail::Mailbox::parse("postmaster@mx.test", mail::Utf8::refused));
    auto made = std::make_shared<bounce::Rules>(std::move(report));
    made->way_to = std::move(way_to);
    return made;
}

}  // namespace

Process::Process(Surroundings& around, delivery::Options options, delivery::Route route, delivery::Route way_to)
    : around_(around),
      life_(around),
      options_(options),
      client_(around, life_),
      exchangers_(around, life_, client_),
      reporter_(around.timeline, rules(std::move(way_to))),
      scheduler_(*this, *this, std::move(options), std::move(route)),
      ledger_(*this) {
    around_.lanes.configured(way_out());
}

Process::~Process() {
    life_.end();
    incoming_.clear();
    reader_.reset();
    store_.reset();
}

const delivery::BackendOptions* Process::way_out() const {
    const auto found = options_.backends.find(delivery::outgoing_backend);
    return found == options_.backends.end() ? nullptr : &found->second;
}

// ---- The engine ----

void Process::pump_soon() {
    if (!std::exchange(pump_pending_, true)) {
        life_.later(0, [this] { pump(); });
    }
}

void Process::pump() {
    pump_pending_ = false;
    ledger_.send();
    if (ledger_.is_recording()) {
        run_at_ = around_.timeline.now();
    }
    scheduler_.run(now());
    most_in_memory_ = std::max(most_in_memory_, scheduler_.in_memory());
    ledger_.send();
    const std::uint64_t wake_number = ++wakes_;
    if (const auto wake = scheduler_.next_wake(now())) {
        const auto delay = std::chrono::duration_cast<queue::Duration>(*wake - around_.timeline.steady()).count();
        life_.later(std::max<std::int64_t>(1, delay), [this, wake_number] {
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
    life_.later(around_.random.between(0, 20), [this, order, message, ordinal, row] {
        if (ordinal < row->recipients.size() &&
            scheduler_.order(order, message, row->recipients[ordinal], "somebody", now())) {
            around_.lanes.hurried();
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
    around_.lanes.configured(way_out());
    scheduler_.reconfigure(std::move(options), std::move(route), now());
    client_.close_idle();
    pump_soon();
}

void Process::check_memory() {
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
    // A domain is remembered for an hour behind its longest rest, and looked at once a minute. Of some nobody was ever
    // on the way: their recipients were in memory shortly before.
    constexpr Timeline::Milliseconds remembered = (60 + 8 + 2) * 60'000;
    const std::size_t domains_bound =
        around_.lanes.used_since(run_at_ - remembered) + std::max(most_in_memory_, most_in_memory_before_);
    if (scheduler_.domains_in_memory() > domains_bound) {
        throw Violation("11: " + std::to_string(scheduler_.domains_in_memory()) + " domains in memory, at most " +
                        std::to_string(domains_bound) + " expected");
    }
    most_in_memory_before_ = std::exchange(most_in_memory_, scheduler_.in_memory());
}

void Process::start(std::shared_ptr<const Plan> plan) {
    around_.truth.plan_begins(plan->backend);
    around_.lanes.begins(*plan);
    around_.truth.counts.outgoing += plan->domain.empty() ? 0U : 1U;
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
        life_.later(0, [this, plan, envelope, content = std::move(content)] { run(plan, envelope, content); });
        return;
    }
    life_.later(around_.random.between(0, 5), [this, plan] { read_and_run(plan); });
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

void Process::run(std::shared_ptr<const Plan> plan, const queue::Envelope& envelope, std::string octets) {
    auto content = std::make_shared<Content>();
    content->octets = std::move(octets);
    lmtp_client::Transaction transaction;
    transaction.sender = envelope.sender;
    for (const queue::Recipient& recipient : plan->recipients) {
        transaction.recipients.push_back({recipient.address, recipient.dsn});
    }
    transaction.size = envelope.size;
    ClientOptions options;
    const auto found = options_.backends.find(plan->backend);
    if (found != options_.backends.end()) {
        options.reply_timeout = found->second.reply_timeout.count();
    }
    auto delivery = std::make_shared<Delivery>(*this, plan);
    const auto done = [this, delivery](lmtp_client::TransactionEnd end) { ended(*delivery->plan, std::move(end)); };
    if (!plan->domain.empty()) {
        exchangers_.run(plan->endpoint.host, std::move(transaction), std::move(content), *delivery, options, done);
    } else {
        client_.run(plan->endpoint, std::move(transaction), std::move(content), *delivery, options, done);
    }
}

void Process::ended(const Plan& plan, lmtp_client::TransactionEnd end) {
    around_.trace("plan " + std::to_string(plan.number) + " ended: " + std::to_string(static_cast<int>(end.trouble)) +
                  ' ' + end.detail);
    around_.lanes.ended(plan, end.trouble);
    scheduler_.transaction_ended(plan.number, end.trouble, end.detail, now());
    ledger_.release_after_records(plan.number, std::move(end.lease));
    pump_soon();
}

/// The domain is there no more: that is as good as a refusal.
void Process::refused_by_names(const Plan& plan, queue::Ordinal ordinal) {
    const auto found = around_.elsewhere.find(plan.domain);
    if (found != around_.elsewhere.end() && found->second.names == Elsewhere::Names::none) {
        around_.truth.refused(plan.message, ordinal);
    }
}

void Process::probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) {
    client_.probe(endpoint, [this, backend, endpoint](Trouble trouble) {
        scheduler_.probe_ended(backend, endpoint, trouble == Trouble::none, "probe", now());
        pump_soon();
    });
}

// ---- Events ----

void Process::recipient(const delivery::RecipientEvent& event) {
    around_.trace(std::string(event.event) + ' ' + event.message.to_string() + ' ' +
                  std::to_string(event.recipient.ordinal) + " \"" + event.recipient.last_reply + "\" next " +
                  queue::to_rfc3339(event.recipient.next_attempt_at));
    if (event.event == "deferred" && event.recipient.last_reply.starts_with("(not tried")) {
        around_.truth.deferred_untried(event.message, event.recipient);
    }
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
