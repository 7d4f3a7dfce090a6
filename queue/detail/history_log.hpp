// Writes the history file: its own connection, its own thread, relaxed flushing, so that nothing durable ever waits for
// it. When it cannot write, events are dropped: the queue does not depend on its history.
//
// What has become too old is removed every few minutes, in stretches with pauses between them, in which what waits is
// written: as many stretches as it takes, so that it keeps up with any stream of mail.
//
// Threads: add() any; the rest is its own. Driven by hand it has none, and write_waiting() is its work.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "queue/detail/sqlite.hpp"
#include "queue/store.hpp"

namespace postern::queue::detail {

class HistoryLog {
public:
    /// `keep`: how long; 0: nothing is kept, and the file is not opened. `clock` outlives it.
    HistoryLog(std::filesystem::path file, Duration keep, const Clock& clock, bool by_hand = false);
    /// Writes what is still waiting; by hand, leaves it.
    ~HistoryLog();
    HistoryLog(const HistoryLog&) = delete;
    HistoryLog& operator=(const HistoryLog&) = delete;

    void add(std::vector<HistoryEvent> events);
    void add(HistoryEvent event);
    /// Returns once all that was added before is in the file (or dropped).
    void drain();
    /// By hand: writes what was added before, and removes a stretch of what is too old, if it is time to.
    void write_waiting();

private:
    struct Writing;

    void run();
    /// Waits for events, or until there is something to remove. False: it is time to end.
    [[nodiscard]] bool gather(std::unique_lock<std::mutex>& lock);
    void write_or_drop(const std::vector<HistoryEvent>& events);
    void write(const std::vector<HistoryEvent>& events);
    void prune_if_due();
    /// Removes a stretch. True: that was the last.
    [[nodiscard]] bool prune(Instant before);
    [[nodiscard]] bool open();

    const std::filesystem::path file_;
    const Duration keep_;
    const Clock& clock_;
    std::unique_ptr<Connection> connection_;  // of the thread
    std::unique_ptr<Writing> writing_;        // of the thread
    std::int64_t number_ = 0;                 // of the thread
    bool behind_ = true;                      // of the thread: there may be more to remove
    SteadyInstant pruned_at_{};               // of the thread: all that was too old then is gone

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable idle_;
    std::vector<HistoryEvent> waiting_;
    bool busy_ = false;
    bool hurry_ = false;
    bool stop_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace postern::queue::detail
