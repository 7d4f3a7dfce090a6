#include "gateway/delivery/results_ledger.hpp"

#include <algorithm>
#include <iterator>

namespace postern::delivery {

using queue::StoreStatus;

void submit_to(queue::Store& store, const Recording& recording, queue::StoreCompletion done) {
    // Completions come in the order of the calls: when the last is told, it knows how all of them went.
    const auto marks = std::make_shared<StoreStatus>(StoreStatus::stored);
    for (const auto& [mark, set] : recording.marks) {
        store.mark_backend(mark, set, [marks](StoreStatus status) {
            if (status != StoreStatus::stored) {
                *marks = status;
            }
        });
    }
    store.record(recording.updates, recording.events, [marks, done = std::move(done)](StoreStatus status) {
        done(status == StoreStatus::stored ? *marks : status);
    });
}

void ResultsLedger::record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) {
    for (auto& [plan, kept] : kept_) {
        const auto earlier = std::find_if(kept.begin(), kept.end(), [&update](const Kept& one) {
            return one.update.message == update.message && one.update.ordinal == update.ordinal;
        });
        if (earlier != kept.end()) {
            gather(std::move(earlier->update), std::move(earlier->event));
            kept.erase(earlier);
        }
    }
    gather(std::move(update), std::move(event));
}

void ResultsLedger::record_at_end(std::uint64_t plan, queue::RecipientUpdate update,
                                  std::optional<queue::HistoryEvent> event) {
    kept_[plan].push_back({std::move(update), std::move(event)});
}

void ResultsLedger::gather(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) {
    gathering_.updates.push_back(std::move(update));
    if (event) {
        gathering_.events.push_back(std::move(*event));
    }
}

void ResultsLedger::mark(queue::BackendMark mark, bool set) { gathering_.marks.emplace_back(std::move(mark), set); }

void ResultsLedger::release_after_records(std::uint64_t plan, std::shared_ptr<void> lease) {
    if (const auto found = kept_.find(plan); found != kept_.end()) {
        for (Kept& kept : found->second) {
            gather(std::move(kept.update), std::move(kept.event));
        }
        kept_.erase(found);
    }
    gathering_.releases.emplace_back(plan, std::move(lease));
}

void ResultsLedger::when_recorded(std::function<void(StoreStatus)> tell) {
    gathering_.waiting.push_back(std::move(tell));
}

void ResultsLedger::send() {
    if (gathering_.updates.empty() && gathering_.marks.empty() && gathering_.releases.empty() &&
        gathering_.waiting.empty()) {
        return;
    }
    if (is_refused()) {
        return;  // behind what the store could not take: it goes with again()
    }
    Recording recording = std::exchange(gathering_, {});
    if (!recording.updates.empty() || !recording.marks.empty()) {
        return submit(std::make_shared<Recording>(std::move(recording)));
    }
    if (outstanding_.empty()) {
        return conclude(recording);
    }
    // Its results went before it: it waits for the last of them.
    Recording& last = *outstanding_.back();
    std::move(recording.releases.begin(), recording.releases.end(), std::back_inserter(last.releases));
    std::move(recording.waiting.begin(), recording.waiting.end(), std::back_inserter(last.waiting));
}

void ResultsLedger::submit(std::shared_ptr<Recording> recording) {
    outstanding_.push_back(recording);
    host_.submit(recording);
}

void ResultsLedger::recorded(const std::shared_ptr<Recording>& recording, StoreStatus status) {
    std::erase(outstanding_, recording);
    if (status == StoreStatus::stored) {
        doubtful_ -= recording->refused ? 1U : 0U;
        conclude(*recording);
        return;
    }
    for (const auto& tell : std::exchange(recording->waiting, {})) {
        tell(status);
    }
    doubtful_ += recording->refused ? 0U : 1U;
    recording->refused = true;
    refused_.push_back(recording);
}

void ResultsLedger::again() {
    for (auto& recording : std::exchange(refused_, {})) {
        submit(std::move(recording));
    }
    send();
}

void ResultsLedger::conclude(Recording& recording) {
    for (auto& [plan, lease] : recording.releases) {
        lease.reset();
        host_.released(plan);
    }
    for (const auto& tell : recording.waiting) {
        tell(StoreStatus::stored);
    }
}

}  // namespace postern::delivery
