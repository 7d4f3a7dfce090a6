// The store's one writer: a thread that works through commands in one transaction after another, each ended by one
// flush that all of its commands share (group commit), and that also does all checkpoints. It owns the only writing
// connection.
//
// How long a flush waits for company: a commit that is alone, where none had company lately, goes at once. Where
// several came together, the next flush waits for as many, and while more keep coming: a pause ends it, a longer one as
// long as some are missed, and `gather_max`. Results of deliveries alone wait a shorter time for a commit to ride with.
//
// A failed COMMIT or I/O error closes the connection: the kernel may have dropped the pages, and a second fsync that
// succeeds would mean nothing. Its messages are `doubtful`, neither stored nor refused. Before anything is answered
// `stored` again, the file is opened anew, its log written once more and flushed, those messages removed (they may have
// reached the log whole), the pages checked, and the log moved into the file. A message still coming in when the file
// closed is lost with it. A file that cannot be opened again, or closes again soon after, is tried at growing
// intervals. One that was found damaged has all of its pages checked first, and stays closed for as long as the check
// finds something.
//
// A full disk does not close it: the reserve is given up, and until it can be had again nothing new is taken in, while
// results of deliveries are recorded as ever.
//
// After each COMMIT, and before it is answered, it is seen whether the file and its log are still at their paths. If
// not, the messages in it are removed again and refused, and nothing new is taken in until both are back; results of
// deliveries are recorded in the files that are open, as ever. The log goes into the file at once, as it may be the
// file alone that was moved.
//
// The log is moved into the file when it has grown by `checkpoint_pages`. A reader elsewhere can hold that up; then the
// log grows, a warning names the process, and at `log_octets_max` nothing new is taken in.
//
// Threads: push() any; commands run and end on the writer's thread. Driven by hand it has none: work() does one of the
// thread's steps, on the thread that calls it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "queue/detail/disk_reserve.hpp"
#include "queue/detail/place_watch.hpp"
#include "queue/detail/sqlite.hpp"
#include "queue/detail/tables.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::queue::detail {

/// What commands change beside rows; put right when the transaction is rolled back.
struct BatchEffects {
    std::int64_t messages = 0;  ///< added less removed
    std::uint64_t updates = 0;
    std::vector<std::shared_ptr<const CommittedMessage>> committed;
    /// Messages of our own, queued with the results that caused them: there exactly when those are, so never doubtful.
    std::vector<std::shared_ptr<const CommittedMessage>> reports;
    bool no_room = false;  ///< the disk is full: nothing new is to be queued
};

/// One thing for the writer to do.
class Command {
public:
    enum class Haste : std::uint8_t {
        now,     ///< somebody waits who keeps others waiting, and no flush is needed
        commit,  ///< somebody waits for the flush
        relaxed  ///< needs the flush, and can wait for company
    };
    virtual ~Command() = default;
    [[nodiscard]] virtual Haste haste() const = 0;
    /// In the open transaction; throws SqliteError. May run again after a rollback.
    virtual void execute(Tables& tables, BatchEffects& effects) = 0;
    /// Right after execute(), before any flush.
    virtual void executed() {}
    /// The transaction that executed it was rolled back. `why`: disk_full or failed.
    virtual void rolled_back(StoreStatus why) { static_cast<void>(why); }
    /// After the flush, or when it came to nothing. Once.
    virtual void finish(StoreStatus status) = 0;
};

struct WriterOptions {
    std::filesystem::path file;
    const char* vfs = nullptr;
    std::uint64_t log_octets_max = 1ULL << 30;
    Duration try_again_after = std::chrono::seconds(1);  ///< of a closed file at first, and of a full disk
    Duration try_again_max = std::chrono::seconds(60);   ///< of a closed file, doubling up to this
    bool by_hand = false;                                ///< no thread: see work()
    Duration busy_time_max = std::chrono::seconds(5);    ///< for a stranger's write lock to go; then the file is closed
    int checkpoint_pages = 8192;
};

class Writer {
public:
    /// `connection` is open and migrated. The references outlive the writer.
    Writer(WriterOptions options, std::unique_ptr<Connection> connection, std::unique_ptr<DiskReserve> reserve,
           const Clock& clock, StoreListener& listener);
    /// Does what was pushed before, and ends. By hand, it leaves it: its commands go unanswered, as in a crash.
    ~Writer();
    /// Carries out what was pushed, and ends; what comes later stays undone. The destructor does it too.
    void end();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void push(std::unique_ptr<Command> command);
    /// The disk has little room: once there is nothing to do, what the file and the log do not need is given back.
    void make_room();

    /// By hand: one round of the thread's over what was pushed before, without its waits. `to_the_end`: with the flush
    /// of the transaction. True: something was pushed meanwhile.
    bool work(bool to_the_end);

    [[nodiscard]] bool healthy() const noexcept { return healthy_.load(std::memory_order_relaxed); }
    /// The disk is full, or the log is as large as it may become: nothing new can be taken in.
    [[nodiscard]] bool full() const noexcept { return full_.load(std::memory_order_relaxed); }
    /// The file is not where it belongs: nothing new can be taken in, and the listener was told why.
    [[nodiscard]] bool displaced() const noexcept { return displaced_.load(std::memory_order_relaxed); }
    /// Octets of the queue file that nothing is in: room for new messages, as good as that on the disk. A little old.
    [[nodiscard]] std::uint64_t free_octets() const noexcept { return free_octets_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t log_octets() const noexcept;
    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_.load(std::memory_order_relaxed); }
    [[nodiscard]] StoreCounters counters() const;
    /// It does what was pushed, and ends: whoever goes on in stretches stops.
    [[nodiscard]] bool is_ending() const noexcept { return hurry_.load(std::memory_order_relaxed); }
    /// The id that last_id must not fall below; set by the store as ids are given out.
    std::atomic<std::int64_t> last_id{0};
    /// Messages that were begun and neither committed nor given up: company that is on its way. Kept by the store.
    std::atomic<std::int64_t> expected{0};

private:
    using Commands = std::vector<std::unique_ptr<Command>>;

    void run();
    enum class Next : std::uint8_t { execute, flush, idle, end };
    void step(Next next);
    /// Waits, then moves what came into `batch_`.
    [[nodiscard]] Next gather();
    /// True: whoever is there waits no longer for others. False: something came that must be executed first.
    [[nodiscard]] bool wait_for_company(std::unique_lock<std::mutex>& lock);
    void take();
    void execute_new();
    [[nodiscard]] bool takes_in() const noexcept { return !full() && !displaced(); }
    /// What the refused hear when it does not.
    [[nodiscard]] StoreStatus refusal() const noexcept;
    /// Answers what would take in something new, and is not executed yet.
    void refuse_new();
    void begin_if_needed();
    /// Ends the transaction. Throws SqliteError while it is still open. What is not to stay was taken back and answered
    /// when it returns, or the file was closed and everything was.
    void commit();
    /// Ends the transaction and answers everybody in it.
    void flush();
    void write_meta();
    /// Behind a COMMIT: closes the door when the file or its log are not at their paths, and opens it again.
    void watch_place();
    /// Removes the messages that the last COMMIT brought, and refuses them.
    void take_back_new();
    /// Before the connection goes: SQLite would remove the log by its name, which may be another's by now.
    void keep_log_of_others() noexcept;
    void answer(StoreStatus status);
    void finish(const Commands& batch, StoreStatus status);
    void roll_back(StoreStatus why) noexcept;
    /// After an error that is not the disk's end: each command in a transaction of its own, so that one cannot spoil
    /// the others.
    void retry_alone(const SqliteError& error);
    void disk_is_full(const std::string& error);
    void close(const SqliteError& error);
    /// Once for each change. Empty: it is well.
    void tell_problem(const std::string& error);
    void try_to_reopen();
    /// Sets the time of the next try: after twice as long as before.
    void back_off();
    /// What the operator hears of an error.
    [[nodiscard]] std::string describe(const SqliteError& error) const;
    /// Empty, or why not.
    [[nodiscard]] std::string reopen();
    /// What reopen() does to a file that could be opened, before it is used. Throws SqliteError.
    void make_good(Connection& connection);
    void checkpoint_if_due();
    enum class Checkpoint : std::uint8_t { passive, truncate };
    /// False: an error, and the file was closed.
    bool checkpoint(Checkpoint how);
    void watch_log();
    /// Looks how much of the file is free, but not at every flush.
    void watch_free_pages();
    /// Cuts off free pages of the file until it has `keep` left, for a moment. An error is no harm: another time, then.
    void give_back(std::int64_t keep);
    /// The disk was full, or the log too large: looks whether that is over.
    void try_to_take_in_again();

    const WriterOptions options_;
    const Clock& clock_;
    StoreListener& listener_;
    std::unique_ptr<DiskReserve> reserve_;
    PlaceWatch place_;  // of the thread, as all up to the mutex
    std::unique_ptr<Connection> connection_;
    std::unique_ptr<Tables> tables_;
    Commands batch_;        // of the open transaction
    std::size_t done_ = 0;  // of batch_, executed
    bool transaction_ = false;
    BatchEffects effects_;
    std::size_t company_ = 0;        // commits in a flush, lately
    std::atomic<int> log_pages_{0};  // in the write-ahead log, as of the last commit; read from any thread
    int checkpoint_at_ = 0;
    std::uint64_t generation_ = 0;
    std::vector<MessageId> doubtful_;  // their flush failed, and yet they are perhaps in the file
    std::string problem_;              // why it is closed, as last told
    bool damaged_ = false;             // that is why
    bool disk_full_ = false;
    bool log_full_ = false;
    bool log_warned_ = false;
    SteadyInstant reopen_at_{};
    Duration reopen_after_{};                 // what it was put off by, the last time; 0: it is well
    std::optional<SteadyInstant> opened_at_;  // again, the last time
    SteadyInstant free_seen_at_{};
    std::int64_t free_pages_ = 0;    // of the file, as last seen
    bool free_pages_old_ = false;    // there was a commit since
    SteadyInstant look_again_at_{};  // while full_
    std::optional<SteadyInstant> gather_since_;

    std::mutex mutex_;
    std::condition_variable work_;
    Commands incoming_;
    std::size_t commits_ = 0;  // in incoming_ and batch_
    std::size_t relaxed_ = 0;
    std::size_t hasty_ = 0;           // in incoming_
    bool asleep_ = false;             // nothing to do: the next push wakes
    std::size_t commits_wanted_ = 0;  // so many wake out of the gathering
    bool stop_ = false;
    std::atomic<bool> hurry_{false};  // as stop_: whoever takes long shall end

    std::atomic<bool> short_of_room_{false};
    std::atomic<bool> healthy_{true};
    std::atomic<bool> full_{false};
    std::atomic<bool> displaced_{false};
    std::atomic<std::uint64_t> free_octets_{0};
    std::atomic<std::uint64_t> messages_{0};
    std::atomic<std::uint64_t> flushes_{0};
    std::atomic<std::uint64_t> commit_count_{0};
    std::atomic<std::uint64_t> accepted_{0};
    std::atomic<std::uint64_t> updates_{0};
    std::atomic<std::uint64_t> checkpoints_{0};
    std::thread thread_;  // last
};

}  // namespace postern::queue::detail
