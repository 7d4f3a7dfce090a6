// The durable queue, as the rest of the gateway sees it: accept, record, ask. SQLite is one engine behind it
// (queue/sqlite_store.hpp); nothing here names SQL.
//
// Promises, which every engine keeps and tests/unit/queue/store_contract.hpp checks:
//  1. A message whose commit answered `stored` survives a crash and a power cut, with envelope and content.
//  2. A message whose commit answered anything else never appears, not after a restart either.
//  3. Completions come in the order of the calls that caused them, each after the flush that covers it.
//  4. A recorded result is never undone; a message goes when all its recipients are done, not before.
//  5. load_due() sees every result whose completion ran before it was called (it runs in the writer's order).
//  6. After a failed flush nothing is answered `stored` until the store was closed, reopened and verified.
//
// Threads: every function may be called from any thread; completions run on the store's writer thread, must not
// block and must not throw. The writer works through what came in between two flushes in one transaction
// (group commit).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "queue/mail/result.hpp"
#include "queue/message.hpp"
#include "queue/miscount.hpp"
#include "queue/reporter.hpp"

namespace postern::queue {

enum class StoreStatus : std::uint8_t {
    stored,     ///< durable
    disk_full,  ///< 452 4.3.1: the disk, or the free space or message count that the configuration keeps
    failed,     ///< 451 4.3.0: the store closed itself after an error, and tries again; or its file was taken away
    doubtful,  ///< of commit() only: its flush failed, and it may be in the file all the same. It is taken out when the
               ///< file is opened again; but a process that ends before cannot, so neither 2xx nor 4xx would be true
};

using StoreCompletion = std::function<void(StoreStatus)>;

/// A message that is coming in. Dropped without commit(), it leaves nothing behind.
/// Threads: one at a time.
class IncomingMessage {
public:
    virtual ~IncomingMessage() = default;

    [[nodiscard]] virtual MessageId id() const = 0;

    /// Hands over the next part of the content (in order; any size; the session's chunk size is a good one). `done`
    /// runs once the part was written (not flushed): wait for it before the next call, so that memory stays bounded.
    virtual void append(std::string part, StoreCompletion done) = 0;

    /// Ends the message. `last_part` is the rest of the content; a small message comes whole this way. The envelope's
    /// id is set by the store; recipients carry ordinals 0..n-1. On `stored`, listener and `done` run after the flush.
    /// At most once, and nothing after it.
    virtual void commit(Envelope envelope, std::vector<Recipient> recipients, std::string last_part,
                        StoreCompletion done) = 0;
};

/// What one attempt, or one command of the operator, changes in a recipient; and the row it leaves in the history.
struct RecipientUpdate {
    MessageId message;
    Ordinal ordinal = 0;
    RecipientState state = RecipientState::ready;
    std::uint32_t attempts = 0;
    std::uint32_t unknowns = 0;
    Instant next_attempt_at{};
    std::string backend;
    std::string last_reply;
    bool failed = false;
    /// Of what its sender has to hear, perhaps. `state` is what holds when nobody can be told now (parked, with a
    /// failure). With a report queued, or nobody to be told, the recipient becomes `returned`.
    std::optional<Telling> telling{};
};

/// A row of the history (`postern history`). Written with relaxed flushing: a power cut may take the last second.
struct HistoryEvent {
    Instant at{};
    MessageId message;
    std::optional<Ordinal> ordinal;  ///< absent: about the message as a whole
    /// accepted; delivered, deferred, failed, expired, unknown, held (of attempts); held, released, removed, retried,
    /// returned (by an operator); reported, not_reported, parked (its sender was told, need not be, may not be);
    /// trouble: a transaction broke off; transcript: no row, it only carries `transcript`. Without a message: paused,
    /// resumed, brake_on, brake_released (a backend); reloaded; recounted (counts of the queue); lost: rows are missing
    /// here.
    std::string event;
    std::string sender;
    std::string recipient;
    std::string backend;
    std::string endpoint;
    std::uint32_t attempt = 0;
    Duration duration{};
    std::string reply;
    std::string actor;   ///< "gateway", or who, and by which command: "root: queue hold --domain example.com"
    std::string client;  ///< with accepted: the client's IP address; empty for a Unix socket
    /// With accepted: the client's session, as the log names it. Of attempts: the transaction with the store, in which
    /// one message may be given to many recipients; it names the transcript.
    std::string session;
    std::string tls;         ///< of that session: protocol and cipher; empty: in clear
    std::string transcript;  ///< what was said in `session`, line by line and made printable; never the content
};

/// To which backend recipients go, by their domain (domain_key() of their addresses).
using DomainMoves = std::map<std::string, std::string, std::less<>>;

/// A recipient that may be tried now, with what the scheduler must know of its message.
struct DueRecipient {
    MessageId message;
    Recipient recipient;
    Instant received_at{};
    std::uint64_t size = 0;
};

/// A place in the order (next_attempt_at, message, ordinal): load_due goes on behind it.
struct DueKey {
    Instant next_attempt_at{};
    MessageId message;
    Ordinal ordinal = 0;
    friend auto operator<=>(const DueKey&, const DueKey&) = default;
};

struct DuePage {
    std::vector<DueRecipient> recipients;   ///< in order of DueKey
    std::optional<DueKey> next;             ///< where to go on; nullopt: no more are due at `until`
    std::optional<Instant> earliest_later;  ///< when nothing more is due: the first time after `until`, if any
};

/// What was decided about a backend and holds until it is taken back, also after a restart.
struct BackendMark {
    enum class Kind : std::uint8_t { paused = 0, brake = 1 };  ///< stored as these numbers: never renumber
    std::string backend;
    Kind kind = Kind::paused;
    Instant at{};
    std::string actor;
    std::string reason;
};

/// Told of every group commit, on the writer thread, in order, before the completions of the same commit.
class StoreListener {
public:
    virtual ~StoreListener() = default;
    /// The messages that became durable with this flush. Completions of this flush run next, then batch_done().
    virtual void committed(std::vector<std::shared_ptr<const CommittedMessage>> messages) = 0;
    /// All completions of this flush have run: wake whoever waits, once.
    virtual void batch_done() = 0;
    /// The store closed itself after an error (`error` says which), or is back (`error` empty).
    virtual void health_changed(const std::string& error) = 0;
    /// Some whose results said that they were done with wait instead (record() says when), or a delay was not told:
    /// whoever keeps in memory what became of them looks again. Before the completion of their record().
    virtual void put_off() {}
    /// Something that an operator should look at while it goes on: the disk filled up, a reader keeps the log from
    /// being emptied, the history cannot be written. On the writer's thread, or on that of the history.
    virtual void warning(const std::string& text) { static_cast<void>(text); }
};

class Store {
public:
    virtual ~Store() = default;

    /// Begins a message. disk_full or failed: nothing can be accepted now (said at MAIL and at DATA).
    /// `size_hint` is SIZE= of MAIL, 0 when absent.
    [[nodiscard]] virtual StoreStatus admit(std::uint64_t size_hint) = 0;
    /// Promises it the room for so much, until it ends; and for more as it grows. Where there is no more, its parts and
    /// its commit answer disk_full.
    [[nodiscard]] virtual std::unique_ptr<IncomingMessage> begin(std::uint64_t size_hint = 0) = 0;

    /// Records results. All or nothing; the message goes when its last recipient is done. Where a sender has to hear of
    /// one, the report is queued with it: one for what these updates tell of a message. On a full disk, where no report
    /// finds room, who was to be returned waits instead and is tried again.
    virtual void record(std::vector<RecipientUpdate> updates, std::vector<HistoryEvent> events,
                        StoreCompletion done) = 0;

    /// A line in the history alone (nothing durable waits for it).
    virtual void note(HistoryEvent event) = 0;

    /// The schedulable recipients of `backend` with next_attempt_at <= until, in order, behind `after`, at most
    /// `limit`. `done` runs on the writer thread.
    virtual void load_due(std::string backend, Instant until, std::optional<DueKey> after, std::size_t limit,
                          std::function<void(Result<DuePage, StoreStatus>)> done) = 0;

    /// The schedulable recipients of `backend` whose message is older than `before`, due or not, oldest first, at most
    /// `limit`: what may have expired. `next` and `earliest_later` of the page stay empty.
    virtual void load_old(std::string backend, MessageId before, std::size_t limit,
                          std::function<void(Result<DuePage, StoreStatus>)> done) = 0;

    /// The schedulable recipients of `backend` whose delay was not told, of messages behind `after` and older than
    /// `before`, oldest first, at most `limit`. `next` and `earliest_later` of the page stay empty.
    virtual void load_late(std::string backend, MessageId after, MessageId before, std::size_t limit,
                           std::function<void(Result<DuePage, StoreStatus>)> done) = 0;

    /// Makes what waits (state `waiting`) for exactly this address under `backend` due at `now`, oldest first, at most
    /// `limit`; how many that were.
    virtual void call_waiting(std::string backend, std::string address, Instant now, std::size_t limit,
                              std::function<void(Result<std::size_t, StoreStatus>)> done) = 0;

    /// Gives every schedulable recipient that names the backend `from`, and whose domain is in `moves`, the backend
    /// that stands there; an empty name is no backend: nobody asks for it, so they wait. How many that were. All
    /// domains in one walk, however many they are. In stretches of a bounded number, each in a transaction of its own:
    /// what is called meanwhile is done between them, and a failure (or a crash) leaves those changed that were.
    virtual void reassign(std::string from, DomainMoves moves,
                          std::function<void(Result<std::size_t, StoreStatus>)> done) = 0;

    /// Puts the counts right by what a Reader found (BacklogSurvey): once for what it found, or they are wrong again.
    virtual void mend_counts(Miscount miscount, StoreCompletion done) = 0;

    /// Sets a mark, or takes it back (`set` false).
    virtual void mark_backend(BackendMark mark, bool set, StoreCompletion done) = 0;
    virtual void load_marks(std::function<void(Result<std::vector<BackendMark>, StoreStatus>)> done) = 0;

    /// Runs everything that was called before, flushes, and then `done`.
    virtual void drain(std::function<void()> done) = 0;
};

}  // namespace postern::queue
