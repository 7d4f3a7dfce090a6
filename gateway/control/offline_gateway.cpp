#include "gateway/control/offline_gateway.hpp"

#include <algorithm>
#include <future>

#include <fmt/format.h>
#include <sys/statvfs.h>

namespace postern::control {

/// Nothing is delivered here: what becomes durable interests nobody.
class OfflineGateway::Listener final : public queue::StoreListener {
public:
    void committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> /*messages*/) override {}
    void batch_done() override {}
    void health_changed(const std::string& /*error*/) override {}
};

Failure failure_of(const queue::OpenError& error) {
    switch (error.kind) {
        case queue::OpenError::Kind::in_use:
            return Failure(FailureKind::busy, error.text);
        case queue::OpenError::Kind::not_found:
            return Failure(FailureKind::unreachable, error.text);
        case queue::OpenError::Kind::newer_schema:
        case queue::OpenError::Kind::damaged:
        case queue::OpenError::Kind::refused:
        case queue::OpenError::Kind::io:
            break;
    }
    return Failure(FailureKind::disk, error.text);
}

OfflineGateway::OfflineGateway(queue::SqliteStoreOptions options, queue::Reader& reader, const queue::Clock& clock,
                               std::string version, std::vector<BackendStatus> backends)
    : options_(std::move(options)),
      reader_(reader),
      clock_(clock),
      version_(std::move(version)),
      backends_(std::move(backends)),
      listener_(std::make_unique<Listener>()) {}

OfflineGateway::~OfflineGateway() = default;

Result<void, Failure> OfflineGateway::open() {
    if (store_) {
        return {};
    }
    auto opened = queue::SqliteStore::open(options_, clock_, *listener_);
    if (!opened) {
        return failure_of(opened.error());
    }
    store_ = std::move(*opened);
    return {};
}

void OfflineGateway::apply(Verb verb, std::vector<RecipientRef> recipients, std::string actor, std::string reason,
                           std::function<void(ApplyResult)> done) {
    const auto opened = open();
    if (!opened) {
        done(ApplyResult());
        return;
    }
    const queue::Instant now = clock_.wall();
    std::vector<queue::RecipientUpdate> updates;
    std::vector<queue::HistoryEvent> events;
    for (std::size_t at = 0; at < recipients.size();) {
        const queue::MessageId id = recipients[at].message;
        const auto message = reader_.find(id);
        for (; at < recipients.size() && recipients[at].message == id; ++at) {
            if (!message || recipients[at].ordinal >= message->recipients.size()) {
                continue;
            }
            const queue::Recipient& recipient = message->recipients[recipients[at].ordinal];
            if (!applies(verb, recipient.state)) {
                continue;
            }
            updates.push_back(update_for(verb, id, recipient, now, reason));
            queue::HistoryEvent event;
            event.at = now;
            event.message = id;
            event.ordinal = recipient.ordinal;
            event.event = event_name(verb);
            event.sender = message->envelope.sender.to_string();
            event.recipient = recipient.address.to_string();
            event.backend = recipient.backend;
            event.attempt = recipient.attempts;
            event.reply = reason;
            event.actor = actor;
            events.push_back(std::move(event));
        }
    }
    const std::size_t count = updates.size();
    store_->record(std::move(updates), std::move(events), [count, tell = std::move(done)](queue::StoreStatus status) {
        switch (status) {
            case queue::StoreStatus::stored:
                tell(ApplyResult(ApplyResult::Status::done, count));
                return;
            case queue::StoreStatus::disk_full:
                tell(ApplyResult(ApplyResult::Status::disk_full, 0));
                return;
            case queue::StoreStatus::failed:
            case queue::StoreStatus::doubtful:
                break;
        }
        tell(ApplyResult(ApplyResult::Status::failed, 0));
    });
}

std::vector<WhyView> OfflineGateway::explain(const queue::QueuedMessage& message) {
    const auto marks = reader_.marks();
    return why_from_queue(message, marks ? *marks : std::vector<queue::BackendMark>(), clock_.wall());
}

void OfflineGateway::order(BackendVerb verb, std::string backend, std::string actor, std::string reason,
                           std::function<void(BackendResult)> done) {
    const bool known = std::any_of(backends_.begin(), backends_.end(),
                                   [&backend](const BackendStatus& each) { return each.name == backend; });
    const auto marks = reader_.marks();
    if (!known || !marks || !open()) {
        done(known ? BackendResult::failed : BackendResult::unknown_backend);
        return;
    }
    queue::BackendMark mark;
    mark.backend = backend;
    mark.kind = verb == BackendVerb::release ? queue::BackendMark::Kind::brake : queue::BackendMark::Kind::paused;
    mark.at = clock_.wall();
    mark.actor = actor;
    mark.reason = reason;
    const bool set = verb == BackendVerb::pause;
    const bool is_set = std::any_of(marks->begin(), marks->end(), [&mark](const queue::BackendMark& each) {
        return each.backend == mark.backend && each.kind == mark.kind;
    });
    if (set == is_set) {
        done(BackendResult::nothing_to_do);
        return;
    }
    queue::HistoryEvent event = backend_event(verb, mark.at, std::move(backend), std::move(actor), std::move(reason));
    auto tell = [this, event = std::move(event), done = std::move(done)](queue::StoreStatus status) {
        switch (status) {
            case queue::StoreStatus::stored:
                store_->note(event);
                done(BackendResult::done);
                return;
            case queue::StoreStatus::disk_full:
                done(BackendResult::disk_full);
                return;
            case queue::StoreStatus::doubtful:
            case queue::StoreStatus::failed:
                break;
        }
        done(BackendResult::failed);
    };
    store_->mark_backend(std::move(mark), set, std::move(tell));
}

void OfflineGateway::probe(std::string /*backend*/, std::function<void(std::vector<ProbeView>)> done) { done({}); }

GatewaySnapshot OfflineGateway::snapshot() {
    GatewaySnapshot snapshot;
    snapshot.running = false;
    snapshot.version = version_;
    snapshot.disk.queue_path = options_.path.string();
    snapshot.disk.minimum_free_octets = options_.minimum_free_disk;
    struct statvfs disk {};
    if (::statvfs(options_.path.c_str(), &disk) == 0) {
        snapshot.disk.free_octets = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    }
    snapshot.backends = backends_;
    if (const auto marks = reader_.marks()) {
        for (const queue::BackendMark& mark : *marks) {
            for (BackendStatus& backend : snapshot.backends) {
                if (backend.name == mark.backend) {
                    auto& decision = mark.kind == queue::BackendMark::Kind::paused ? backend.paused : backend.brake;
                    decision = BackendDecision{mark.at, mark.actor, mark.reason};
                }
            }
        }
    }
    return snapshot;
}

ReloadOutcome OfflineGateway::reload(const std::string& /*actor*/) {
    ReloadOutcome outcome;
    outcome.lines.emplace_back("no gateway is running");
    return outcome;
}

}  // namespace postern::control
