// Writes the history file: its own connection, its own thread, relaxed flushing, so that nothing durable ever waits for
// it. When it cannot write, events are dropped: the queue does not depend on its history. How many were dropped, it
// tells by a row of its own, `lost`, once it can write again.
//
// What has become too old is removed every few minutes, in stretches with pauses between them, in which what waits is
// written: as many stretches as it takes, so that it keeps up with any stream of mail. Of transcripts the oldest go
// also when there are too many of them: a store that refuses everything for a week must not fill the disk with the tale
// of it.
//
// A file of an older version is brought up to date. One that cannot be used (damaged, of a newer version, something
// else) is set aside under another name and begun anew, with a warning: a gateway never stops for its history.
//
// Threads: add() any; the rest is its own. Driven by hand it has none, and write_waiting() is its work.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "queue/detail/sqlite.hpp"
#include "queue/store.hpp"

namespace postern::queue::detail {

struct HistoryOptions {
    std::filesystem::path file;
    Duration keep{};                                   ///< 0: nothing is kept, and the file is not opened
    bool by_hand = false;                              ///< no thread: see write_waiting()
    std::size_t rows_waiting_max = 100'000;            ///< not written yet; what comes on top is dropped
    std::size_t transcript_octets_waiting = 4U << 20;  ///< the same of transcripts
    std::int64_t transcript_octets_max = 64 << 20;     ///< in the file
};

class HistoryLog {
public:
    /// `clock` outlives it. `warn`, which may be empty, is told of what an operator should know, on the thread.
    HistoryLog(HistoryOptions options, const Clock& clock, std::function<void(const std::string&)> warn);
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
    /// What was added, and how many rows were not, for want of room.
    struct Waiting {
        std::vector<HistoryEvent> events;
        std::uint64_t lost = 0;
        std::size_t transcript_octets = 0;
        [[nodiscard]] bool is_empty() const { return events.empty() && lost == 0; }
    };

    void run();
    /// Waits for events, or until there is something to remove. False: it is time to end.
    [[nodiscard]] bool gather(std::unique_lock<std::mutex>& lock);
    void write_or_drop(Waiting waiting);
    enum class Tried : std::uint8_t { written, begun_anew, failed };
    /// begun_anew: the file was set aside, so that the next try finds none.
    [[nodiscard]] Tried try_to_write(const Waiting& waiting);
    void write(const Waiting& waiting);
    void insert_row(const HistoryEvent& event);
    void insert_transcript(const HistoryEvent& event);
    void prune_if_due();
    /// Removes a stretch. True: that was the last.
    [[nodiscard]] bool prune(Instant before);
    /// Removes a stretch of transcripts that are older, or that are too many. True: that was the last.
    [[nodiscard]] bool prune_transcripts(Instant before);
    [[nodiscard]] Tried open();  ///< written: it is open
    /// Gives the file another name. `why` is for the operator.
    [[nodiscard]] Tried set_aside(const std::string& why);
    /// The same thing is said once.
    void warn(const std::string& text);

    const HistoryOptions options_;
    const Clock& clock_;
    const std::function<void(const std::string&)> warn_;
    std::unique_ptr<Connection> connection_;  // of the thread, as all up to the mutex
    std::unique_ptr<Writing> writing_;
    std::int64_t number_ = 0;
    std::int64_t transcript_octets_ = 0;  // in the file
    bool behind_ = true;                  // there may be more to remove
    SteadyInstant pruned_at_{};           // all that was too old then is gone
    std::uint64_t lost_ = 0;              // rows that could not be written, and that no row tells of yet
    std::string warned_;

    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable idle_;
    Waiting waiting_;
    bool busy_ = false;
    bool hurry_ = false;
    bool stop_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace postern::queue::detail
