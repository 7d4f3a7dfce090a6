// The embedded engine of the queue: SQLite in WAL mode with synchronous=FULL, one writer thread, group commit.
// Schema and invariants: queue/detail/schema.hpp. Why one connection writes and checkpoints: Debian 12's SQLite can
// lose commits when two do (the WAL-reset bug, fixed in 3.51.3).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "queue/reader.hpp"
#include "queue/store.hpp"

namespace postern::queue {

struct SqliteStoreOptions {
    std::filesystem::path path;  ///< the history lies beside it (path + "-history"), lock and reserve too
    std::uint64_t minimum_free_disk = 512ULL << 20;  ///< octets; below it admit() says disk_full. 0: no reserve either
    std::uint64_t maximum_messages = 5'000'000;
    /// Octets that are free on the queue's disk, from any thread; nullopt: cannot be told. Unset: the system is asked.
    std::function<std::optional<std::uint64_t>()> free_disk;
    Duration history = std::chrono::hours(24 * 7);  ///< 0: no history
    /// The content of a fresh message is handed on in memory up to this size, and while the sum stays below the budget.
    std::uint64_t hand_over_size = 1ULL << 20;
    std::uint64_t hand_over_budget = 3ULL << 20;
    /// No threads of its own: everything is done in work() and work_on_history(), so that a simulation owns the order.
    bool by_hand = false;
    /// The write-ahead log, which only a reader that keeps a read transaction open lets grow, may be so large; then
    /// admit() says disk_full. All of it is read when the gateway starts after a crash.
    std::uint64_t log_octets_max = 1ULL << 30;
    Duration try_again_after = std::chrono::seconds(1);  ///< of a store that closed itself, and of a full disk
    Duration try_again_max = std::chrono::seconds(60);   ///< a store that stays closed is tried less and less often
    Duration busy_time_max =
        std::chrono::seconds(5);  ///< another process may hold the write lock; then it closes itself
    /// The write-ahead log is moved into the file when it has so many pages of 4 KiB. 32 MiB are written over and over,
    /// and stay in the page cache.
    int checkpoint_pages = 8192;
    /// Recipients that a change of many looks at in one transaction; a larger one lets others wait longer. 1000: some
    /// 10 ms.
    std::size_t stretch = 1000;
    /// Decides what senders are told; outlives the store. nullptr: nobody is told, and what failed is parked.
    Reporter* reporter = nullptr;
    const char* vfs = nullptr;  ///< SQLite's file layer by name; tests have one that fails on demand
};

/// Why a store could not be opened.
struct OpenError {
    enum class Kind : std::uint8_t {
        in_use,        ///< another gateway holds the lock: exit 75, `pid` says which
        newer_schema,  ///< written by a newer version: never guessed at
        damaged,       ///< not a queue, or its checks fail
        not_found,     ///< (read-only opening) there is no file
        refused,       ///< a network or FUSE file system, a link, wrong permissions
        io,            ///< the disk said no
    };
    Kind kind = Kind::io;
    std::string text;  ///< what, where and what to do, for the operator
    long pid = 0;
};

/// A flush, a batch and the like, counted since the start. Read from any thread.
struct StoreCounters {
    std::uint64_t flushes = 0;   ///< fsync or fdatasync calls of the queue file and its log
    std::uint64_t commits = 0;   ///< group commits
    std::uint64_t messages = 0;  ///< accepted
    std::uint64_t updates = 0;   ///< recipient updates recorded
    std::uint64_t checkpoints = 0;
};

/// Why a message cannot be taken in.
enum class Obstacle : std::uint8_t {
    none,
    closed,         ///< after an error; it is being opened again
    full,           ///< the disk is, or the write-ahead log is as large as it may become
    little_room,    ///< less would be left than `minimum_free_disk`
    many_messages,  ///< `maximum_messages` are in the queue
};

/// How the store is, now.
struct StoreState {
    Obstacle obstacle = Obstacle::none;  ///< for a message of no size
    std::uint64_t messages = 0;          ///< in the queue
    std::uint64_t log_octets = 0;        ///< in the write-ahead log, since it was last begun anew
    std::uint64_t free_octets = 0;       ///< in the queue's file: room, as good as that on the disk. A little old.
};

class SqliteStore : public Store {
public:
    /// Takes the lock, opens or creates the file (mode 0600 at creation, or 0640 if the directory's group may read),
    /// migrates it forward, sweeps what aborted messages left, and starts the writer. `listener` and `clock` must
    /// outlive the store.
    [[nodiscard]] static Result<std::unique_ptr<SqliteStore>, OpenError> open(const SqliteStoreOptions& options,
                                                                              const Clock& clock,
                                                                              StoreListener& listener);
    [[nodiscard]] virtual StoreCounters counters() const = 0;
    /// Any thread; waits for nothing.
    [[nodiscard]] virtual StoreState state() = 0;
    /// New limits after a reload (path and history stay as they were opened).
    virtual void set_limits(std::uint64_t minimum_free_disk, std::uint64_t maximum_messages) = 0;

    /// By hand: executes what was called before, and with `flush` ends its transaction and runs the completions. On the
    /// calling thread. Reopens a store that has closed itself, when it is time to. A store by hand that is destroyed
    /// leaves what was not flushed, as a crash would. True: what goes on in stretches has pushed its next one.
    virtual bool work(bool flush) = 0;
    virtual void work_on_history() = 0;
};

/// Opens a Reader on the queue file. Works while a gateway runs and while none does.
[[nodiscard]] Result<std::unique_ptr<Reader>, OpenError> open_reader(const std::filesystem::path& path);

}  // namespace postern::queue
