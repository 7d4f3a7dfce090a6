// Which results of deliveries are on their way to the store, and what waits until they are in it: the plans that gave
// them, the connections that must take nothing new before, and operators. Pure: the engine and the simulation use it.
//
// A failure of which a sender is to hear is not recorded at once, but with what else its transaction brings, so that
// one report tells of all of them.
//
// Invariants: 1. A plan is released, and its connection let go, only when all results that were added before are in the
// store. 2. What the store could not take is given to it again, until it is in it. 3. While anything is not in the
// store that it has refused, is_recording() is false: an unrecorded delivery is a duplicate in waiting.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "queue/store.hpp"

namespace postern::delivery {

/// Results that go into the store together, and what waits for them.
struct Recording {
    std::vector<queue::RecipientUpdate> updates;
    std::vector<queue::HistoryEvent> events;
    std::vector<std::pair<queue::BackendMark, bool>> marks;                 ///< of backends, set or taken back
    std::vector<std::pair<std::uint64_t, std::shared_ptr<void>>> releases;  ///< plans and their connections
    std::vector<std::function<void(queue::StoreStatus)>> waiting;           ///< operators
    bool refused = false;                                                   ///< by the store, at least once
};

/// Gives updates, events and marks to the store, as copies: they may be given to it again. `done` as Store::record's.
void submit_to(queue::Store& store, const Recording& recording, queue::StoreCompletion done);

class ResultsLedger {
public:
    class Host {
    public:
        virtual ~Host() = default;
        /// submit_to() the store. Answered by recorded(), not from within.
        virtual void submit(const std::shared_ptr<Recording>& recording) = 0;
        virtual void released(std::uint64_t plan) = 0;
    };

    explicit ResultsLedger(Host& host) : host_(host) {}

    void record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event);
    /// Kept until release_after_records(plan), or until something else is recorded of the same recipient.
    void record_at_end(std::uint64_t plan, queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event);
    void mark(queue::BackendMark mark, bool set);
    /// Once all that was recorded before is in the store, `lease` is let go of and the plan released.
    void release_after_records(std::uint64_t plan, std::shared_ptr<void> lease);
    /// Told `stored` once all that was recorded before is in the store, or the status with which that failed.
    void when_recorded(std::function<void(queue::StoreStatus)> tell);

    /// Submits what was gathered. While something is refused it waits behind that.
    void send();
    void recorded(const std::shared_ptr<Recording>& recording, queue::StoreStatus status);
    /// Submits what was refused. A while after recorded() has left is_refused() true.
    void again();

    /// Something waits for again().
    [[nodiscard]] bool is_refused() const noexcept { return !refused_.empty(); }
    [[nodiscard]] bool is_recording() const noexcept { return doubtful_ == 0; }
    [[nodiscard]] bool is_idle() const noexcept { return outstanding_.empty() && refused_.empty(); }

private:
    struct Kept {
        queue::RecipientUpdate update;
        std::optional<queue::HistoryEvent> event;
    };
    void gather(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event);
    void submit(std::shared_ptr<Recording> recording);
    void conclude(Recording& recording);

    Host& host_;
    Recording gathering_;
    std::unordered_map<std::uint64_t, std::vector<Kept>> kept_;  ///< by plan; each is about one message
    std::deque<std::shared_ptr<Recording>> outstanding_;
    std::vector<std::shared_ptr<Recording>> refused_;
    std::size_t doubtful_ = 0;  ///< recordings that were refused and are not in the store yet
};

}  // namespace postern::delivery
