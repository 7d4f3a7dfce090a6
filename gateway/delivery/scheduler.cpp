// What comes in, the options, and when to look again; see scheduler.hpp.
#include "gateway/delivery/scheduler.hpp"

#include <algorithm>
#include <utility>

#include "queue/unreadable.hpp"

namespace postern::delivery {

using lmtp_client::Endpoint;

namespace {

constexpr std::chrono::minutes tidy_interval{1};
constexpr std::chrono::minutes no_room_pause{5};  ///< as long as the store lets those wait whose report has no room

template <class T>
void lower(std::optional<T>& least, T value) {
    if (!least || value < *least) {
        least = value;
    }
}

}  // namespace

std::string Plan::session() const {
    const auto second = std::chrono::duration_cast<std::chrono::seconds>(began_at.time_since_epoch()).count();
    return 'd' + std::to_string(second % 1'000'000) + '-' + std::to_string(number);
}

Scheduler::Scheduler(Host& host, Events& events, Options options, Route route) : host_(host), events_(events) {
    reconfigure(std::move(options), std::move(route), Now());
}

Scheduler::~Scheduler() = default;

void Scheduler::begin(const std::vector<queue::BackendMark>& marks, const Now& now) {
    for (const queue::BackendMark& mark : marks) {
        marks_[mark.backend][mark.kind] = Decision{mark.at, mark.actor, mark.reason};
    }
    begun_ = true;
    reconfigure(options_, route_, now);
}

void Scheduler::reconfigure(Options options, Route route, const Now& now) {
    options_ = std::move(options);
    route_ = std::move(route);
    std::vector<Batch> moved;
    for (auto& [name, backend] : backends_) {
        for (Batch& batch : backend.take_all()) {
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
                moved.push_back(std::move(batch));
            }
        }
        backend.left_out.clear();
        backend.refills.clear();
        backend.missing_somewhere();
        const auto options_now = options_.backends.find(name);
        if (options_now == options_.backends.end()) {
            continue;
        }
        backend.options = options_now->second;
        // Endpoints that stay keep their circuits, and those that go keep their work in flight until it ends.
        std::vector<EndpointWork> endpoints;
        for (const Endpoint& endpoint : backend.options.endpoints) {
            EndpointWork* known = find_endpoint(name, endpoint);
            endpoints.push_back(known != nullptr ? std::move(*known)
                                                 : EndpointWork(endpoint, backend.options.connections));
            endpoints.back().concurrency.set_connections(backend.options.connections);
        }
        backend.endpoints = std::move(endpoints);
    }
    for (const auto& [name, backend_options] : options_.backends) {
        if (backends_.count(name) == 0) {
            BackendWork& backend = backends_[name];
            backend.options = backend_options;
            for (const Endpoint& endpoint : backend_options.endpoints) {
                backend.endpoints.emplace_back(endpoint, backend_options.connections);
            }
        }
    }
    std::erase_if(backends_, [this](const auto& entry) { return options_.backends.count(entry.first) == 0; });
    count_in_flight(now);
    for (auto& [name, backend] : backends_) {
        const auto marks = marks_.find(name);
        if (marks != marks_.end()) {
            const auto paused = marks->second.find(queue::BackendMark::Kind::paused);
            const auto braked = marks->second.find(queue::BackendMark::Kind::brake);
            backend.paused = paused != marks->second.end() ? std::optional(paused->second) : std::nullopt;
            backend.braked = braked != marks->second.end() ? std::optional(braked->second) : std::nullopt;
            backend.brake.set_on(backend.braked.has_value());
        }
    }
    for (Batch& batch : moved) {
        follow_route(std::move(batch), Source::back);
    }
    std::erase_if(refusing_, [this](const auto& entry) { return backends_.count(entry.first) == 0; });
    unrouted_.clear();
    survey_wanted_ = true;
    survey_not_before_ = {};
    publish_refusals();
}

void Scheduler::committed(const std::shared_ptr<const queue::CommittedMessage>& message, const Now& now) {
    const auto& recipients = message->recipients;
    // Its backend was chosen when its content began to come in. Since then there may have been a reload.
    const std::string& chosen = recipients.front().backend;
    const bool goes_there = std::all_of(recipients.begin(), recipients.end(), [&](const queue::Recipient& recipient) {
        return recipient.backend == chosen && route_of(recipient) == chosen;
    });
    Batch batch;
    batch.message = message->envelope.id;
    batch.received_at = message->envelope.received_at;
    batch.size = message->envelope.size;
    batch.recipients = recipients;
    batch.fresh = message;
    for (const queue::Recipient& recipient : recipients) {
        if (BackendWork* const backend = find_backend(recipient.backend)) {
            ++backend->backlog;
        }
    }
    if (recipients.size() == 1 && recipients.front().next_attempt_at > now.wall) {
        return await_turn(message->envelope.id, recipients.front(), recipients.front().next_attempt_at);  // a report
    }
    if (goes_there) {
        add(chosen, std::move(batch), Source::fresh);
    } else {
        follow_route(std::move(batch), Source::fresh);
    }
}

void Scheduler::set_recording(bool works) {
    if (works && !recording_) {
        // What was recorded late was not there when it was looked for, and may name a backend that a reload has taken
        // its domain from.
        look_everywhere();
    }
    recording_ = works;
}

void Scheduler::look_everywhere() {
    survey_wanted_ = true;
    for (auto& [name, backend] : backends_) {
        backend.missing_somewhere();
    }
}

void Scheduler::has_no_room(const Now& now) {
    look_everywhere();
    tell_not_before_ = now.steady + no_room_pause;
    for (auto& [name, backend] : backends_) {
        backend.late_seen = {};  // who was to be told may not have been
    }
}

void Scheduler::look(const std::string& name) {
    if (BackendWork* const backend = find_backend(name)) {
        backend->missing_somewhere();
    }
}

std::optional<std::string> Scheduler::route_of(const queue::Recipient& recipient) const {
    if (queue::is_unreadable(recipient.address) && !backends_.empty()) {
        // Its message is damaged. It goes on to where that is found, and it is held.
        return backends_.count(recipient.backend) != 0 ? recipient.backend : backends_.begin()->first;
    }
    return route_of(recipient.address, recipient.backend);
}

std::optional<std::string> Scheduler::route_of(const mail::Mailbox& address, const std::string& backend) const {
    auto name = route_(address);
    if (!name && backend == outgoing_backend) {
        name = backend;
    }
    if (name && backends_.count(*name) == 0) {
        name.reset();
    }
    return name;
}

std::string Scheduler::stored_backend(const queue::Recipient& recipient) const {
    return route_of(recipient).value_or(recipient.backend == outgoing_backend ? recipient.backend : std::string());
}

BackendWork* Scheduler::find_backend(const std::string& name) {
    const auto found = backends_.find(name);
    return found == backends_.end() ? nullptr : &found->second;
}

EndpointWork* Scheduler::find_endpoint(const std::string& name, const Endpoint& endpoint) {
    BackendWork* const backend = find_backend(name);
    if (backend == nullptr) {
        return nullptr;
    }
    for (EndpointWork& work : backend->endpoints) {
        if (work.endpoint == endpoint) {
            return &work;
        }
    }
    return nullptr;
}

EndpointWork* Scheduler::place_of(const Plan& plan) {
    if (plan.domain.empty()) {
        return find_endpoint(plan.backend, plan.endpoint);
    }
    BackendWork* const backend = find_backend(plan.backend);
    return backend != nullptr && backend->options.is_by_domain() ? &backend->endpoints.front() : nullptr;
}

void Scheduler::count_in_flight(const Now& now) {
    for (auto& [name, backend] : backends_) {
        backend.destinations.released_all();
        for (EndpointWork& work : backend.endpoints) {
            work.in_flight = 0;
            work.left_over = 0;
        }
    }
    for (const auto& [number, running] : plans_) {
        const Plan& plan = *running.plan;
        EndpointWork* const work = place_of(plan);
        if (work == nullptr) {
            continue;
        }
        work->left_over += plan.began < work->well_since ? 1U : 0U;
        if (work->in_flight++ == 0 && work->progress_at == queue::SteadyInstant()) {
            work->progress_at = now.steady;
        }
        if (!plan.domain.empty()) {
            find_backend(plan.backend)->destinations.began(plan.domain);
        }
    }
}

void Scheduler::look_at_admission(const std::string& name, BackendWork& backend, const Now& now) {
    const bool down = backend.is_down();
    if (std::any_of(backend.endpoints.begin(), backend.endpoints.end(),
                    [](const auto& work) { return work.circuit.is_closed() && work.circuit.is_proven(); })) {
        backend.down_since.reset();
    } else if (down && !backend.down_since) {
        backend.down_since = now.wall;
    }
    // Who is paused is not probed, and may have come back: its mail waits for the operator.
    if (!backend.admission.look(backend.options, {down && !backend.paused, backend.backlog}, now.steady)) {
        return;
    }
    BackendEvent event;
    event.backend = name;
    event.actor = "gateway";
    if (backend.admission.is_refusing()) {
        refusing_[name] = backend.admission.why();
        event.kind = BackendEvent::Kind::refusing;
        event.reason = backend.admission.why();
    } else {
        refusing_.erase(name);
        event.kind = BackendEvent::Kind::accepting;
    }
    // Told once it is so: who reads the line may act on it at once.
    publish_refusals();
    events_.backend(event);
}

void Scheduler::publish_refusals() { host_.refuse(refusing_); }

void Scheduler::run(const Now& now) {
    clock_jumps_.observe(now.wall, now.steady);
    if (stopped_ || !begun_) {
        return;
    }
    for (auto& [name, backend] : backends_) {
        look_at_admission(name, backend, now);
    }
    if (!recording_) {
        return;
    }
    survey_if_wanted(now);
    const bool tidy = now.steady - tidied_at_ >= tidy_interval;
    if (tidy) {
        tidied_at_ = now.steady;
    }
    for (auto& [name, backend] : backends_) {
        if (tidy) {
            backend.limits.tidy(now.steady);
            backend.destinations.tidy(now.steady);
        }
        if (!backend.loading) {
            backend.put_off.clear();  // it is on its way to the store, before what this run will ask of it
        }
        if (!backend.paused) {
            probe_if_due(name, backend, now);
            load_old_if_due(name, backend, now);
            load_late_if_due(name, backend, now);
        }
        load_if_room(name, backend, now);
        do {
            dispatch(name, backend, now);
        } while (unblock_freed(backend));
        load_if_room(name, backend, now);
    }
}

std::optional<queue::SteadyInstant> Scheduler::next_wake(const Now& now) const {
    std::optional<queue::SteadyInstant> wake;
    if (stopped_ || !begun_) {
        return wake;
    }
    if (survey_wanted_ && !surveying_ && recording_) {
        lower<queue::SteadyInstant>(wake, std::max(now.steady, survey_not_before_));
    }
    for (const auto& [name, backend] : backends_) {
        if (const auto again = backend.admission.look_again_at(backend.options)) {
            // In the past: what it waits for is not time alone.
            if (*again > now.steady) {
                lower<queue::SteadyInstant>(wake, *again);
            }
        }
        if (!recording_) {
            continue;
        }
        const bool room = !backend.loading && backend.queued() < window() / 2 + 1;
        if (backend.due_at && room) {
            // Not for long: the wall clock may be set on meanwhile.
            const queue::Duration wait =
                std::clamp<queue::Duration>(*backend.due_at - now.wall, queue::Duration(0), std::chrono::minutes(1));
            lower<queue::SteadyInstant>(wake, now.steady + wait);
        }
        if (!backend.refills.empty() && !backend.loading) {
            lower<queue::SteadyInstant>(wake, std::max(now.steady, backend.load_again));
        }
        if (backend.more && room) {
            lower<queue::SteadyInstant>(wake, std::max(now.steady, backend.load_again));
        }
        if (backend.paused) {
            continue;
        }
        for (const EndpointWork& work : backend.endpoints) {
            if (work.circuit.state() == Circuit::State::open) {
                lower<queue::SteadyInstant>(wake, std::max(now.steady, work.circuit.probe_at()));
            }
            const ReadyQueue& line = backend.options.balance == Balance::sticky ? work.own : backend.ready;
            const bool may_give_way = backend.options.balance != Balance::least_busy && !line.empty() &&
                                      work.in_flight > 0 && !work.is_silent(now.steady, hung_after);
            if (may_give_way) {
                lower<queue::SteadyInstant>(wake, work.progress_at + hung_after);
            }
        }
        if (backend.is_down() && !backend.loading_old && !backend.brakes()) {
            lower<queue::SteadyInstant>(wake, std::max({now.steady, tell_not_before_,
                                                        backend.old_looked_at + old_interval(options_.retry.expire)}));
        }
        if (backend.is_down() && !backend.loading_late && options_.retry.delay_notice.count() > 0) {
            lower<queue::SteadyInstant>(wake,
                                        std::max({now.steady, tell_not_before_,
                                                  backend.late_looked_at + old_interval(options_.retry.delay_notice)}));
        }
    }
    return wake;
}

}  // namespace postern::delivery
