// Writes the history file: its own connection, its own thread, relaxed flushing, so that nothing durable ever waits for
// it. When it cannot write, events are dropped: the queue does not depend on its history.
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

/// Bounds of what is kept beside the rows.
struct HistoryLimits {
    std::size_t rows_waiting = 200'000;               ///< not written yet; what comes on top is dropped
    std::size_t transcript_octets_waiting = 4 << 20;  ///< the same of transcripts
    std::int64_t transcript_octets = 64 << 20;        ///< in the file; the oldest transcripts go
    std::int64_t rows_pruned = 20'000;                ///< at once, so that writing is not held up
};

class HistoryLog {
public:
    /// `keep`: how long; 0: nothing is kept, and the file is not opened. `clock` outlives it.
    HistoryLog(std::filesystem::path file, Duration keep, const Clock& clock, bool by_hand = false,
               HistoryLimits limits = HistoryLimits());
    /// Writes what is still waiting; by hand, leaves it.
    ~HistoryLog();
    HistoryLog(const HistoryLog&) = delete;
    HistoryLog& operator=(const HistoryLog&) = delete;

    void add(std::vector<HistoryEvent> events);
    void add(HistoryEvent event);
    /// Returns once all that was added before is in the file (or dropped).
    void drain();
    /// By hand: writes what was added before.
    void write_waiting();

private:
    struct Writing;

    void run();
    void write_or_drop(const std::vector<HistoryEvent>& events);
    void write(const std::vector<HistoryEvent>& events);
    void insert_row(const HistoryEvent& event);
    void insert_transcript(const HistoryEvent& event);
    void prune();
    void prune_transcripts();
    [[nodiscard]] bool open();

    const std::filesystem::path file_;
    const Duration keep_;
    const Clock& clock_;
    const HistoryLimits limits_;
    std::unique_ptr<Connection> connection_;  // of the thread
    std::unique_ptr<Writing> writing_;        // of the thread
    std::int64_t number_ = 0;                 // of the thread
    Instant pruned_at_{};                     // of the thread
    std::int64_t transcript_octets_ = 0;      // of the thread

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable idle_;
    std::vector<HistoryEvent> waiting_;
    std::size_t transcript_octets_waiting_ = 0;
    bool busy_ = false;
    bool hurry_ = false;
    bool stop_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace postern::queue::detail
