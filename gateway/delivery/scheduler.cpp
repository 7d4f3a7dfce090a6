#include "gateway/delivery/scheduler.hpp"

#include <algorithm>
#include <utility>

namespace postern::delivery {

using lmtp_client::Endpoint;
using lmtp_client::Trouble;
using queue::RecipientState;

namespace {

constexpr std::chrono::seconds expiry_interval{60};
constexpr std::chrono::seconds load_pause{1};

template <class T>
void lower(std::optional<T>& least, T value) {
    if (!least || value < *least) {
        least = value;
    }
}

std::string_view event_of(Order order) {
    switch (order) {
        case Order::retry:
            return "retried";
        case Order::hold:
            return "held";
        case Order::release:
            return "released";
        case Order::remove:
            return "removed";
    }
    return "retried";
}

bool is_possible(Order order, RecipientState state) {
    switch (order) {
        case Order::retry:
            return queue::is_schedulable(state);
        case Order::hold:
            return queue::is_schedulable(state) || state == RecipientState::parked;
        case Order::release:
            return state == RecipientState::held || state == RecipientState::parked;
        case Order::remove:
            return !queue::is_done(state);
    }
    return false;
}

}  // namespace

Scheduler::Scheduler(Host& host, Events& events, Options options, Route route) : host_(host), events_(events) {
    reconfigure(std::move(options), std::move(route), Now());
}

Scheduler::~Scheduler() = default;

void Scheduler::reconfigure(Options options, Route route, const Now&) {
    options_ = std::move(options);
    route_ = std::move(route);
    std::vector<std::pair<std::string, Batch>> moved;
    for (auto& [name, backend] : backends_) {
        for (Batch& batch : backend.ready) {
            // What an operator has taken out stays out.
            std::erase_if(batch.recipients, [this, &batch](const queue::Recipient& recipient) {
                const auto known = known_.find(Key{batch.message.value(), recipient.ordinal});
                const bool withdrawn = known != known_.end() && known->second.place == Place::withdrawn;
                if (withdrawn) {
                    known_.erase(known);
                }
                return withdrawn;
            });
            if (!batch.recipients.empty()) {
                moved.emplace_back(name, std::move(batch));
            }
        }
        backend.ready.clear();
        backend.queued = 0;
        backend.more = true;
        // Endpoints that stay keep their circuits, and those that go keep their work in flight until it ends.
        std::vector<EndpointWork> endpoints;
        const auto options_now = options_.backends.find(name);
        if (options_now != options_.backends.end()) {
            backend.options = options_now->second;
            for (const Endpoint& endpoint : backend.options.endpoints) {
                EndpointWork* known = find_endpoint(name, endpoint);
                endpoints.push_back(known != nullptr
                                        ? *known
                                        : EndpointWork{endpoint, Circuit(backend.options.connections), 0, false, {}});
                endpoints.back().circuit.set_connections(backend.options.connections);
            }
        }
        backend.endpoints = std::move(endpoints);
    }
    for (const auto& [name, backend_options] : options_.backends) {
        if (backends_.count(name) == 0) {
            Backend backend;
            backend.options = backend_options;
            for (const Endpoint& endpoint : backend_options.endpoints) {
                backend.endpoints.push_back(EndpointWork{endpoint, Circuit(backend_options.connections), 0, false, {}});
            }
            backends_.emplace(name, std::move(backend));
        }
    }
    std::erase_if(backends_, [this](const auto& entry) { return options_.backends.count(entry.first) == 0; });
    for (auto& [name, batch] : moved) {
        follow_route(std::move(batch), name);
    }
}

void Scheduler::follow_route(Batch batch, const std::string& known_backend) {
    std::map<std::string, Batch> by_backend;
    for (queue::Recipient& recipient : batch.recipients) {
        const std::string name = route_(recipient.address).value_or(known_backend);
        Batch& part = by_backend[name];
        part.message = batch.message;
        part.received_at = batch.received_at;
        part.fresh = batch.fresh;
        part.recipients.push_back(std::move(recipient));
    }
    for (auto& [name, part] : by_backend) {
        add(name, std::move(part));
    }
}

void Scheduler::add(const std::string& name, Batch batch) {
    const auto backend = backends_.find(name);
    if (backend == backends_.end() || backend->second.queued >= options_.window) {
        for (const queue::Recipient& recipient : batch.recipients) {
            known_.erase(Key{batch.message.value(), recipient.ordinal});
        }
        if (backend != backends_.end()) {
            backend->second.more = true;
        }
        return;
    }
    for (queue::Recipient& recipient : batch.recipients) {
        known_[Key{batch.message.value(), recipient.ordinal}].place = Place::queued;
        recipient.backend = name;
    }
    backend->second.queued += batch.recipients.size();
    backend->second.ready.push_back(std::move(batch));
}

void Scheduler::committed(const std::shared_ptr<const queue::CommittedMessage>& message, const Now&) {
    const auto& recipients = message->recipients;
    const bool one_backend = std::all_of(recipients.begin(), recipients.end(), [&](const queue::Recipient& recipient) {
        return recipient.backend == recipients.front().backend;
    });
    Batch batch;
    batch.message = message->envelope.id;
    batch.received_at = message->envelope.received_at;
    batch.recipients = recipients;
    batch.fresh = message;
    if (one_backend) {
        add(recipients.front().backend, std::move(batch));
    } else {
        follow_route(std::move(batch), recipients.front().backend);
    }
}

void Scheduler::look(const std::string& name) {
    const auto backend = backends_.find(name);
    if (backend != backends_.end()) {
        backend->second.more = true;
    }
}

void Scheduler::loaded(const std::string& name, queue::DuePage page, const Now&) {
    const auto found = backends_.find(name);
    if (found == backends_.end()) {
        return;
    }
    Backend& backend = found->second;
    backend.loading = false;
    if (page.next) {
        backend.more = true;
    }
    if (page.earliest_later) {
        lower(backend.due_at, *page.earliest_later);
    }
    Batch batch;
    for (queue::DueRecipient& due : page.recipients) {
        if (known_.count(Key{due.message.value(), due.recipient.ordinal}) != 0) {
            continue;
        }
        if (!batch.recipients.empty() && batch.message != due.message) {
            follow_route(std::exchange(batch, Batch()), name);
        }
        batch.message = due.message;
        batch.received_at = due.received_at;
        batch.recipients.push_back(std::move(due.recipient));
    }
    if (!batch.recipients.empty()) {
        follow_route(std::move(batch), name);
    }
}

void Scheduler::load_failed(const std::string& name, const Now& now) {
    const auto backend = backends_.find(name);
    if (backend != backends_.end()) {
        backend->second.loading = false;
        backend->second.more = true;
        backend->second.load_again = now.steady + load_pause;
    }
}

Scheduler::EndpointWork* Scheduler::find_endpoint(const std::string& name, const Endpoint& endpoint) {
    const auto backend = backends_.find(name);
    if (backend == backends_.end()) {
        return nullptr;
    }
    for (EndpointWork& work : backend->second.endpoints) {
        if (work.endpoint == endpoint) {
            return &work;
        }
    }
    return nullptr;
}

Scheduler::EndpointWork* Scheduler::choose(Backend& backend) {
    EndpointWork* chosen = nullptr;
    for (EndpointWork& work : backend.endpoints) {
        if (work.circuit.state() != Circuit::State::closed) {
            continue;
        }
        const bool has_room = work.in_flight < work.circuit.allowed();
        if (backend.options.balance == Balance::failover) {
            return has_room ? &work : nullptr;  // the first that is well, and no other
        }
        if (has_room && (chosen == nullptr || work.in_flight < chosen->in_flight)) {
            chosen = &work;
        }
    }
    return chosen;
}

std::vector<queue::Recipient> Scheduler::take(Backend& backend, std::size_t limit) {
    Batch& batch = backend.ready.front();
    std::vector<queue::Recipient> taken;
    std::size_t used = 0;
    for (; used < batch.recipients.size() && taken.size() < limit; ++used) {
        queue::Recipient& recipient = batch.recipients[used];
        const auto known = known_.find(Key{batch.message.value(), recipient.ordinal});
        if (known != known_.end() && known->second.place == Place::queued) {
            taken.push_back(std::move(recipient));
        } else if (known != known_.end() && known->second.place == Place::withdrawn) {
            known_.erase(known);
        }
    }
    backend.queued -= used;
    batch.recipients.erase(batch.recipients.begin(), batch.recipients.begin() + static_cast<std::ptrdiff_t>(used));
    return taken;
}

void Scheduler::drop_front(Backend& backend) {
    // What is left of a large message goes behind the others, so that it does not delay them.
    Batch rest = std::move(backend.ready.front());
    backend.ready.pop_front();
    if (!rest.recipients.empty()) {
        backend.ready.push_back(std::move(rest));
    }
}

void Scheduler::dispatch(const std::string& name, Backend& backend, const Now& now) {
    while (!backend.ready.empty()) {
        EndpointWork* const endpoint = choose(backend);
        if (endpoint == nullptr) {
            return;
        }
        auto plan = std::make_shared<Plan>();
        plan->message = backend.ready.front().message;
        plan->received_at = backend.ready.front().received_at;
        plan->fresh = backend.ready.front().fresh;
        plan->recipients = take(backend, endpoint->one_by_one ? 1 : backend.options.recipients_per_transaction);
        drop_front(backend);
        if (plan->recipients.empty()) {
            continue;
        }
        plan->number = ++plan_numbers_;
        plan->backend = name;
        plan->endpoint = endpoint->endpoint;
        plan->began = now.steady;
        for (const queue::Recipient& recipient : plan->recipients) {
            Known& known = known_[Key{plan->message.value(), recipient.ordinal}];
            known.place = Place::in_flight;
            known.plan = plan->number;
        }
        ++endpoint->in_flight;
        plans_.emplace(plan->number, plan);
        host_.start(plan);
    }
}

void Scheduler::load_if_room(const std::string& name, Backend& backend, const Now& now) {
    if (backend.due_at && *backend.due_at <= now.wall) {
        backend.due_at.reset();
        backend.more = true;
    }
    if (backend.more && !backend.loading && backend.queued < options_.window / 2 + 1 &&
        now.steady >= backend.load_again) {
        backend.more = false;
        backend.loading = true;
        // What is known lies in the store as well and comes along: so many more bring a window full of new ones.
        host_.load(name, now.wall, options_.window + known_.size());
    }
}

void Scheduler::probe_if_due(const std::string& name, Backend& backend, const Now& now) {
    for (EndpointWork& work : backend.endpoints) {
        if (work.circuit.state() == Circuit::State::open && now.steady >= work.circuit.probe_at()) {
            work.circuit.probe_begins();
            host_.probe(name, work.endpoint);
        }
    }
}

void Scheduler::run(const Now& now) {
    if (stopped_ || !recording_) {
        return;
    }
    const bool look_at_expiry = now.steady - expiry_looked_at_ >= expiry_interval;
    if (look_at_expiry) {
        expiry_looked_at_ = now.steady;
    }
    for (auto& [name, backend] : backends_) {
        probe_if_due(name, backend, now);
        if (look_at_expiry) {
            park_expired(name, backend, now);
        }
        load_if_room(name, backend, now);
        dispatch(name, backend, now);
        load_if_room(name, backend, now);
    }
}

std::optional<queue::SteadyInstant> Scheduler::next_wake(const Now& now) const {
    std::optional<queue::SteadyInstant> wake;
    if (stopped_ || !recording_) {
        return wake;
    }
    for (const auto& [name, backend] : backends_) {
        const bool room = !backend.loading && backend.queued < options_.window / 2 + 1;
        if (backend.due_at && room) {
            const auto wait =
                std::clamp<queue::Duration>(*backend.due_at - now.wall, queue::Duration(0), std::chrono::hours(1));
            lower<queue::SteadyInstant>(wake, now.steady + wait);
        }
        if (backend.more && room) {
            lower<queue::SteadyInstant>(wake, std::max(now.steady, backend.load_again));
        }
        for (const EndpointWork& work : backend.endpoints) {
            if (work.circuit.state() == Circuit::State::open) {
                lower<queue::SteadyInstant>(wake, std::max(now.steady, work.circuit.probe_at()));
            }
        }
        if (!backend.ready.empty()) {
            lower<queue::SteadyInstant>(wake, std::max(now.steady, expiry_looked_at_ + expiry_interval));
        }
    }
    return wake;
}

bool Scheduler::order(Order order, queue::MessageId message, const queue::Recipient& recipient,
                      const std::string& actor, const Now& now) {
    if (!is_possible(order, recipient.state)) {
        return false;
    }
    queue::RecipientUpdate update;
    update.message = message;
    update.ordinal = recipient.ordinal;
    update.attempts = recipient.attempts;
    update.unknowns = order == Order::release ? 0 : recipient.unknowns;
    update.next_attempt_at = now.wall;
    update.backend = recipient.backend;
    update.last_reply = recipient.last_reply;
    update.failed = false;
    update.state = order == Order::hold     ? RecipientState::held
                   : order == Order::remove ? RecipientState::removed
                                            : RecipientState::ready;
    queue::HistoryEvent event;
    event.at = now.wall;
    event.message = message;
    event.ordinal = recipient.ordinal;
    event.event = event_of(order);
    event.recipient = recipient.address.to_string();
    event.backend = recipient.backend;
    event.attempt = recipient.attempts;
    event.actor = actor;

    const bool go_on = update.state == RecipientState::ready;
    const auto known = known_.find(Key{message.value(), recipient.ordinal});
    if (known != known_.end() && known->second.place == Place::in_flight) {
        known->second.ordered = go_on ? std::nullopt : std::optional(update.state);
    } else if (known != known_.end()) {
        known->second.place = go_on ? Place::queued : Place::withdrawn;
    }
    host_.record(std::move(update), std::move(event));
    if (go_on) {
        for (auto& [name, backend] : backends_) {
            if (name == recipient.backend) {
                backend.more = true;
                for (EndpointWork& work : backend.endpoints) {
                    work.circuit.hurry(now.steady);
                }
            }
        }
    }
    return true;
}

std::vector<EndpointState> Scheduler::endpoints() const {
    std::vector<EndpointState> states;
    for (const auto& [name, backend] : backends_) {
        for (const EndpointWork& work : backend.endpoints) {
            states.push_back({name, work.endpoint.to_string(), work.circuit.state(), work.in_flight, work.last_error});
        }
    }
    return states;
}

}  // namespace postern::delivery
