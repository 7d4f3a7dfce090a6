// The store over SQLite: turns its functions into commands for the writer (queue/detail/writer.hpp) and hands
// everything that needs no database (ids, checksums, budgets) to the calling thread.
#include "queue/sqlite_store.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "queue/detail/codec.hpp"
#include "queue/detail/database_file.hpp"
#include "queue/detail/disk_reserve.hpp"
#include "queue/detail/file_lock.hpp"
#include "queue/detail/history_log.hpp"
#include "queue/detail/writer.hpp"

namespace postern::queue {

using detail::BatchEffects;
using detail::Command;
using detail::Tables;

namespace {

/// Octets of contents that are in memory for the scheduler; shared with the contents, which may outlive the store.
class Budget {
public:
    explicit Budget(std::uint64_t octets) : left_(static_cast<std::int64_t>(octets)) {}
    [[nodiscard]] bool take(std::size_t octets) {
        const auto wanted = static_cast<std::int64_t>(octets);
        if (left_.fetch_sub(wanted) >= wanted) {
            return true;
        }
        left_ += wanted;
        return false;
    }
    void give_back(std::size_t octets) { left_ += static_cast<std::int64_t>(octets); }

private:
    std::atomic<std::int64_t> left_;
};

/// What the parts of one incoming message have in common. Its fields are the writer's.
struct Incoming {
    StoreStatus status = StoreStatus::stored;  ///< else parts of it are gone: it cannot become a message any more
    std::optional<std::uint64_t> generation;   ///< of the file, when the first part was written

    [[nodiscard]] bool is_whole(const Tables& tables) {
        if (generation && *generation != tables.generation()) {
            lose(StoreStatus::failed);
        }
        return status == StoreStatus::stored;
    }
    void lose(StoreStatus why) {
        if (status == StoreStatus::stored) {
            status = why;
        }
    }
};

class AppendCommand final : public Command {
public:
    AppendCommand(MessageId id, std::uint32_t number, std::string bytes, std::shared_ptr<Incoming> incoming,
                  StoreCompletion done)
        : id_(id), number_(number), bytes_(std::move(bytes)), incoming_(std::move(incoming)), done_(std::move(done)) {}
    [[nodiscard]] Haste haste() const override { return Haste::now; }
    void execute(Tables& tables, BatchEffects&) override {
        if (incoming_->is_whole(tables)) {
            tables.insert_chunk(id_, number_, bytes_);
            incoming_->generation = tables.generation();
        }
    }
    void executed() override {
        bytes_ = {};
        tell(incoming_->status);
    }
    void rolled_back(StoreStatus why) override { incoming_->lose(why); }
    void finish(StoreStatus status) override {
        if (status != StoreStatus::stored) {
            incoming_->lose(status);
        }
        tell(status);
    }

private:
    void tell(StoreStatus status) {
        if (auto done = std::exchange(done_, nullptr)) {
            done(status);
        }
    }
    MessageId id_;
    std::uint32_t number_;
    std::string bytes_;
    std::shared_ptr<Incoming> incoming_;
    StoreCompletion done_;
};

/// Nothing to write; answered in its turn.
class NoPartCommand final : public Command {
public:
    NoPartCommand(std::shared_ptr<Incoming> incoming, StoreCompletion done)
        : incoming_(std::move(incoming)), done_(std::move(done)) {}
    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables&, BatchEffects&) override {}
    void finish(StoreStatus status) override { done_(status == StoreStatus::stored ? incoming_->status : status); }

private:
    std::shared_ptr<Incoming> incoming_;
    StoreCompletion done_;
};

class AbortCommand final : public Command {
public:
    explicit AbortCommand(MessageId id) : id_(id) {}
    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables& tables, BatchEffects&) override { tables.remove_chunks(id_); }
    void finish(StoreStatus) override {}  // what is left after a failure is swept when the file is opened again

private:
    MessageId id_;
};

class CommitCommand final : public Command {
public:
    struct Parts {
        std::shared_ptr<CommittedMessage> message;
        std::shared_ptr<Incoming> incoming;
        std::shared_ptr<const std::string> content;  ///< behind the chunks
        std::uint32_t chunks = 0;
        detail::Checksum checksum{};
        StoreCompletion done;
        detail::HistoryLog* history = nullptr;
        detail::Writer* writer = nullptr;
        HistoryEvent event;
    };
    explicit CommitCommand(Parts parts) : parts_(std::move(parts)) {}
    [[nodiscard]] Haste haste() const override { return Haste::commit; }
    void execute(Tables& tables, BatchEffects& effects) override {
        if (!parts_.incoming->is_whole(tables)) {
            return;
        }
        tables.insert_message(*parts_.message, parts_.chunks, parts_.checksum, *parts_.content);
        ++effects.messages;
        effects.committed.push_back(parts_.message);
        inserted_ = true;
    }
    void rolled_back(StoreStatus) override { was_inserted_ = std::exchange(inserted_, false); }
    void finish(StoreStatus status) override {
        // Lost with a part of its own, and yet perhaps in the file whole, is doubtful all the same.
        if (status == StoreStatus::stored || (status == StoreStatus::doubtful && !was_inserted_)) {
            status = parts_.incoming->status;
        }
        if (status == StoreStatus::stored) {
            parts_.history->add(std::move(parts_.event));
        } else if (parts_.chunks > 0) {
            parts_.writer->push(std::make_unique<AbortCommand>(parts_.message->envelope.id));
        }
        parts_.done(status);
    }

private:
    Parts parts_;
    bool inserted_ = false;      ///< in the open transaction
    bool was_inserted_ = false;  ///< in the one that was rolled back
};

class RecordCommand final : public Command {
public:
    RecordCommand(std::vector<RecipientUpdate> updates, std::vector<HistoryEvent> events, StoreCompletion done,
                  detail::HistoryLog& history)
        : updates_(std::move(updates)), events_(std::move(events)), done_(std::move(done)), history_(history) {}
    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables& tables, BatchEffects& effects) override {
        const RecipientUpdate* const end = updates_.data() + updates_.size();
        for (const RecipientUpdate* first = updates_.data(); first != end;) {
            const RecipientUpdate* last = first + 1;
            while (last != end && last->message == first->message) {
                ++last;
            }
            effects.messages -= tables.apply(first, last) ? 1 : 0;
            first = last;
        }
        effects.updates += updates_.size();
    }
    void finish(StoreStatus status) override {
        if (status == StoreStatus::stored) {
            history_.add(std::move(events_));
        }
        done_(status);
    }

private:
    std::vector<RecipientUpdate> updates_;
    std::vector<HistoryEvent> events_;
    StoreCompletion done_;
    detail::HistoryLog& history_;
};

/// A question whose answer is told at the end of its flush.
template <class Answer>
class AskCommand final : public Command {
public:
    using Done = std::function<void(Result<Answer, StoreStatus>)>;
    AskCommand(std::function<Answer(Tables&)> question, Done done)
        : question_(std::move(question)), done_(std::move(done)) {}
    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables& tables, BatchEffects&) override { answer_ = question_(tables); }
    void finish(StoreStatus status) override {
        if (status != StoreStatus::stored) {
            done_(Result<Answer, StoreStatus>(boost::system::in_place_error, status));
        } else {
            done_(Result<Answer, StoreStatus>(boost::system::in_place_value, std::move(answer_)));
        }
    }

private:
    std::function<Answer(Tables&)> question_;
    Answer answer_{};
    Done done_;
};

class ChangeCommand final : public Command {
public:
    ChangeCommand(std::function<void(Tables&)> change, StoreCompletion done)
        : change_(std::move(change)), done_(std::move(done)) {}
    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables& tables, BatchEffects&) override { change_(tables); }
    void finish(StoreStatus status) override { done_(status); }

private:
    std::function<void(Tables&)> change_;
    StoreCompletion done_;
};

HistoryEvent accepted_event(const Envelope& envelope, const std::vector<Recipient>& recipients) {
    HistoryEvent event;
    event.at = envelope.received_at;
    event.message = envelope.id;
    event.event = "accepted";
    event.sender = envelope.sender.to_string();
    event.recipient = recipients.size() == 1 ? recipients.front().address.to_string() : std::string();
    event.actor = "gateway";
    return event;
}

}  // namespace

namespace detail {

class SqliteStoreImpl final : public SqliteStore {
public:
    struct Opened {
        FileLock lock;
        std::unique_ptr<Connection> connection;
        std::unique_ptr<DiskReserve> reserve;
    };
    SqliteStoreImpl(const SqliteStoreOptions& options, const Clock& clock, StoreListener& listener, Opened opened)
        : options_(options),
          clock_(clock),
          minimum_free_disk_(options.minimum_free_disk),
          maximum_messages_(options.maximum_messages),
          lock_(std::move(opened.lock)),
          history_(history_path(options.path), options.history, clock, options.by_hand),
          budget_(std::make_shared<Budget>(options.hand_over_budget)),
          writer_({options.path, options.vfs, options.log_octets_max, options.try_again_after, options.try_again_max,
                   options.by_hand},
                  std::move(opened.connection), std::move(opened.reserve), clock, listener),
          ids_(clock, 0, MessageId(writer_.last_id.load())) {}

    [[nodiscard]] StoreStatus admit(std::uint64_t size_hint) override;
    [[nodiscard]] std::unique_ptr<IncomingMessage> begin() override;
    void record(std::vector<RecipientUpdate> updates, std::vector<HistoryEvent> events, StoreCompletion done) override {
        writer_.push(std::make_unique<RecordCommand>(std::move(updates), std::move(events), std::move(done), history_));
    }
    void note(HistoryEvent event) override { history_.add(std::move(event)); }
    void load_due(std::string backend, Instant until, std::optional<DueKey> after, std::size_t limit,
                  std::function<void(Result<DuePage, StoreStatus>)> done) override {
        auto ask = [backend = std::move(backend), until, after, limit](Tables& tables) {
            return tables.load_due(backend, until, after, limit);
        };
        writer_.push(std::make_unique<AskCommand<DuePage>>(std::move(ask), std::move(done)));
    }
    void load_old(std::string backend, MessageId before, std::size_t limit,
                  std::function<void(Result<DuePage, StoreStatus>)> done) override {
        auto ask = [backend = std::move(backend), before, limit](Tables& tables) {
            return tables.load_old(backend, before, limit);
        };
        writer_.push(std::make_unique<AskCommand<DuePage>>(std::move(ask), std::move(done)));
    }
    void call_waiting(std::string backend, std::string address, Instant now, std::size_t limit,
                      std::function<void(Result<std::size_t, StoreStatus>)> done) override {
        auto ask = [backend = std::move(backend), address = std::move(address), now, limit](Tables& tables) {
            return tables.call_waiting(backend, address, now, limit);
        };
        writer_.push(std::make_unique<AskCommand<std::size_t>>(std::move(ask), std::move(done)));
    }
    void reassign(std::string domain_key, std::string from, std::string to,
                  std::function<void(Result<std::size_t, StoreStatus>)> done) override {
        auto ask = [domain = std::move(domain_key), from = std::move(from), to = std::move(to)](Tables& tables) {
            return tables.reassign(domain, from, to);
        };
        writer_.push(std::make_unique<AskCommand<std::size_t>>(std::move(ask), std::move(done)));
    }
    void mark_backend(BackendMark mark, bool set, StoreCompletion done) override {
        auto change = [mark = std::move(mark), set](Tables& tables) { tables.mark_backend(mark, set); };
        writer_.push(std::make_unique<ChangeCommand>(std::move(change), std::move(done)));
    }
    void load_marks(std::function<void(Result<std::vector<BackendMark>, StoreStatus>)> done) override {
        auto ask = [](Tables& tables) { return tables.load_marks(); };
        writer_.push(std::make_unique<AskCommand<std::vector<BackendMark>>>(std::move(ask), std::move(done)));
    }
    void drain(std::function<void()> done) override {
        auto change = [](Tables&) {};
        auto drained = [this, done = std::move(done)](StoreStatus) {
            history_.drain();
            done();
        };
        writer_.push(std::make_unique<ChangeCommand>(std::move(change), std::move(drained)));
    }
    [[nodiscard]] StoreCounters counters() const override { return writer_.counters(); }
    void set_limits(std::uint64_t minimum_free_disk, std::uint64_t maximum_messages) override {
        minimum_free_disk_ = minimum_free_disk;
        maximum_messages_ = maximum_messages;
        free_seen_at_ = 0;
    }

    void work(bool flush) override { writer_.work(flush); }
    void work_on_history() override { history_.write_waiting(); }

    void push(std::unique_ptr<Command> command) { writer_.push(std::move(command)); }
    [[nodiscard]] HistoryLog& history() { return history_; }
    void message_ended() { writer_.expected.fetch_sub(1, std::memory_order_relaxed); }
    [[nodiscard]] Writer& writer() { return writer_; }
    /// The content for the scheduler, when it is small enough and there is room.
    [[nodiscard]] std::shared_ptr<const std::string> for_hand_over(
        const std::shared_ptr<const std::string>& content) const;

private:
    [[nodiscard]] std::uint64_t free_disk();

    const SqliteStoreOptions options_;
    const Clock& clock_;
    std::atomic<std::uint64_t> minimum_free_disk_;
    std::atomic<std::uint64_t> maximum_messages_;
    std::atomic<std::uint64_t> free_disk_{0};
    std::atomic<std::int64_t> free_seen_at_{0};  // steady clock's ticks; 0: never
    FileLock lock_;
    HistoryLog history_;
    std::shared_ptr<Budget> budget_;
    Writer writer_;
    MessageIdGenerator ids_;
};

namespace {

/// Threads: the session's; its commands run on the writer's.
class Message final : public IncomingMessage {
public:
    Message(SqliteStoreImpl& store, MessageId id) : store_(store), id_(id) {}
    ~Message() override {
        if (ended_) {
            return;
        }
        store_.message_ended();
        if (parts_ > 0) {
            store_.push(std::make_unique<AbortCommand>(id_));
        }
    }

    [[nodiscard]] MessageId id() const override { return id_; }

    void append(std::string part, StoreCompletion done) override {
        if (part.empty()) {
            // No row for it: an empty part is the end of a content.
            store_.push(std::make_unique<NoPartCommand>(incoming_, std::move(done)));
            return;
        }
        checksum_.add_content(part);
        size_ += part.size();
        store_.push(std::make_unique<AppendCommand>(id_, parts_++, std::move(part), incoming_, std::move(done)));
    }

    void commit(Envelope envelope, std::vector<Recipient> recipients, std::string last_part,
                StoreCompletion done) override {
        ended_ = true;
        store_.message_ended();
        checksum_.add_content(last_part);
        envelope.id = id_;
        envelope.size = size_ + last_part.size();
        CommitCommand::Parts parts;
        parts.checksum = checksum_.finish(envelope, recipients);
        parts.content = std::make_shared<const std::string>(std::move(last_part));
        parts.chunks = parts_;
        parts.incoming = incoming_;
        parts.done = std::move(done);
        parts.history = &store_.history();
        parts.writer = &store_.writer();
        parts.event = accepted_event(envelope, recipients);
        parts.message = std::make_shared<CommittedMessage>();
        parts.message->envelope = std::move(envelope);
        parts.message->recipients = std::move(recipients);
        if (parts_ == 0) {
            parts.message->content = store_.for_hand_over(parts.content);
        }
        store_.push(std::make_unique<CommitCommand>(std::move(parts)));
    }

private:
    SqliteStoreImpl& store_;
    const MessageId id_;
    std::shared_ptr<Incoming> incoming_ = std::make_shared<Incoming>();
    MessageChecksum checksum_;
    std::uint64_t size_ = 0;
    std::uint32_t parts_ = 0;
    bool ended_ = false;
};

}  // namespace

std::uint64_t SqliteStoreImpl::free_disk() {
    constexpr std::int64_t fresh = std::chrono::steady_clock::duration(std::chrono::milliseconds(500)).count();
    const std::int64_t now = clock_.steady().time_since_epoch().count();
    std::int64_t seen = free_seen_at_.load();
    if (seen != 0 && now - seen < fresh) {
        return free_disk_;
    }
    if (free_seen_at_.compare_exchange_strong(seen, now)) {
        struct statvfs disk {};
        if (::statvfs(options_.path.c_str(), &disk) == 0) {
            free_disk_ = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
        }
    }
    return free_disk_;
}

StoreStatus SqliteStoreImpl::admit(std::uint64_t size_hint) {
    if (!writer_.healthy()) {
        return StoreStatus::failed;
    }
    const std::uint64_t free = free_disk() + writer_.free_octets();
    if (writer_.full() || free < minimum_free_disk_ || free - minimum_free_disk_ < size_hint ||
        writer_.messages() >= maximum_messages_) {
        return StoreStatus::disk_full;
    }
    return StoreStatus::stored;
}

std::unique_ptr<IncomingMessage> SqliteStoreImpl::begin() {
    const MessageId id = ids_.next();
    std::int64_t last = writer_.last_id.load(std::memory_order_relaxed);
    while (last < id.value() && !writer_.last_id.compare_exchange_weak(last, id.value(), std::memory_order_relaxed)) {}
    writer_.expected.fetch_add(1, std::memory_order_relaxed);
    return std::make_unique<Message>(*this, id);
}

std::shared_ptr<const std::string> SqliteStoreImpl::for_hand_over(
    const std::shared_ptr<const std::string>& content) const {
    const std::size_t size = content->size();
    if (size > options_.hand_over_size || !budget_->take(size)) {
        return nullptr;
    }
    return {content.get(), [content, budget = budget_, size](const std::string*) { budget->give_back(size); }};
}

}  // namespace detail

namespace {

// When the disk fills up the log may be 40 MiB large, and to move it into the file may take as much.
constexpr std::uint64_t reserve_octets = 64ULL << 20;

}  // namespace

Result<std::unique_ptr<SqliteStore>, OpenError> SqliteStore::open(const SqliteStoreOptions& options, const Clock& clock,
                                                                  StoreListener& listener) {
    if (auto refused = detail::check_place(options.path)) {
        return *refused;
    }
    auto lock = detail::FileLock::take(options.path);
    if (!lock.has_value()) {
        return lock.error();
    }
    try {
        auto connection = detail::open_queue_file(options.path, options.vfs);
        if (!connection.has_value()) {
            return connection.error();
        }
        auto reserve = std::make_unique<detail::FileReserve>(
            options.path, options.minimum_free_disk > 0 && !options.by_hand ? reserve_octets : 0);
        // Without it the queue opens all the same: what is in it can only be delivered by a gateway that runs.
        if (!reserve->restore()) {
            listener.warning("there is no room on the disk for the reserve of the queue");
        }
        detail::SqliteStoreImpl::Opened opened{std::move(*lock), std::move(*connection), std::move(reserve)};
        std::unique_ptr<SqliteStore> store =
            std::make_unique<detail::SqliteStoreImpl>(options, clock, listener, std::move(opened));
        return store;
    } catch (const detail::SqliteError& error) {
        return detail::open_error(error, options.path);
    }
}

}  // namespace postern::queue
