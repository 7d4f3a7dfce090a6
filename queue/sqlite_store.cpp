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
#include "queue/detail/disk_room.hpp"
#include "queue/detail/file_lock.hpp"
#include "queue/detail/history_log.hpp"
#include "queue/detail/record_command.hpp"
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

/// Nothing to write; answered in its turn, with what has become of the message.
class AnswerCommand final : public Command {
public:
    AnswerCommand(std::shared_ptr<Incoming> incoming, StoreCompletion done)
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
        explicit Parts(detail::DiskRoom::Promise promise) : room(std::move(promise)) {}
        detail::DiskRoom::Promise room;
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
            parts_.room.written();
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

/// Gives recipients of some domains other backends, a stretch in each command, so that what others want gets its turn
/// between them. A result or a call changes the place of a recipient meanwhile: so it begins again, until it finds
/// nothing to change any more.
class ReassignCommand final : public Command {
public:
    struct Order {
        std::string from;
        DomainMoves moves;
        std::size_t stretch = 0;  ///< recipients to look at in one command
        std::function<void(Result<std::size_t, StoreStatus>)> done;
    };
    ReassignCommand(detail::Writer& writer, Order order) : writer_(writer), order_(std::move(order)) {}
    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables& tables, BatchEffects&) override {
        next_ = here_;  // anew after a rollback
        for (std::size_t left = order_.stretch; left > 0 && !next_.ended;) {
            const std::size_t looked_at = next_.walk.looked_at;
            tables.reassign(next_.walk, order_.from, order_.moves, left);
            left -= next_.walk.looked_at - looked_at;
            if (next_.walk.ended) {
                next_.changed += next_.walk.changed;
                next_.ended = next_.walk.changed == 0;
                next_.walk = Tables::Walk();
            }
        }
    }
    void finish(StoreStatus status) override {
        if (status != StoreStatus::stored) {
            order_.done(Result<std::size_t, StoreStatus>(boost::system::in_place_error, status));
        } else if (next_.ended) {
            order_.done(Result<std::size_t, StoreStatus>(boost::system::in_place_value, next_.changed));
        } else if (writer_.is_ending()) {
            order_.done(Result<std::size_t, StoreStatus>(boost::system::in_place_error, StoreStatus::failed));
        } else {
            auto rest = std::make_unique<ReassignCommand>(writer_, std::move(order_));
            rest->here_ = next_;
            writer_.push(std::move(rest));
        }
    }

private:
    struct Progress {
        Tables::Walk walk;
        std::size_t changed = 0;  ///< in walks before this one
        bool ended = false;
    };
    detail::Writer& writer_;
    Order order_;
    Progress here_;
    Progress next_;
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

class MendCommand final : public Command {
public:
    MendCommand(Miscount miscount, StoreCompletion done) : miscount_(std::move(miscount)), done_(std::move(done)) {}
    [[nodiscard]] Haste haste() const override { return Haste::relaxed; }
    void execute(Tables& tables, BatchEffects& effects) override {
        tables.mend_counts(miscount_.recipients);
        effects.messages += miscount_.messages;
    }
    void finish(StoreStatus status) override { done_(status); }

private:
    Miscount miscount_;
    StoreCompletion done_;
};

detail::DiskRoom::Measure measure_of(const SqliteStoreOptions& options) {
    if (options.free_disk) {
        return options.free_disk;
    }
    return [path = options.path]() -> std::optional<std::uint64_t> {
        struct statvfs disk {};
        if (::statvfs(path.c_str(), &disk) != 0) {
            return std::nullopt;
        }
        return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    };
}

HistoryEvent accepted_event(const Envelope& envelope, const std::vector<Recipient>& recipients) {
    HistoryEvent event;
    event.at = envelope.received_at;
    event.message = envelope.id;
    event.event = "accepted";
    event.sender = envelope.sender.to_string();
    event.recipient = recipients.size() == 1 ? recipients.front().address.to_string() : std::string();
    event.actor = "gateway";
    event.client = envelope.client.address;
    event.session = envelope.client.session;
    event.tls = envelope.client.tls;
    return event;
}

detail::HistoryOptions history_options(const SqliteStoreOptions& options) {
    detail::HistoryOptions history;
    history.file = detail::history_path(options.path);
    history.keep = options.history;
    history.by_hand = options.by_hand;
    return history;
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
          room_(measure_of(options), clock, options.minimum_free_disk),
          maximum_messages_(options.maximum_messages),
          lock_(std::move(opened.lock)),
          history_(history_options(options), clock, [&listener](const std::string& text) { listener.warning(text); }),
          budget_(std::make_shared<Budget>(options.hand_over_budget)),
          writer_({options.path, options.vfs, options.log_octets_max, options.try_again_after, options.try_again_max,
                   options.by_hand, options.busy_time_max, options.checkpoint_pages},
                  std::move(opened.connection), std::move(opened.reserve), clock, listener),
          ids_(clock, 0, MessageId(writer_.last_id.load())),
          recording_{history_, options.reporter, [this] { return next_id(); }, [&listener] { listener.put_off(); },
                     [this](const std::shared_ptr<const std::string>& content) { return for_hand_over(content); }} {}

    ~SqliteStoreImpl() override { writer_.end(); }  // its commands use what is destroyed before it
    SqliteStoreImpl(const SqliteStoreImpl&) = delete;
    SqliteStoreImpl& operator=(const SqliteStoreImpl&) = delete;

    [[nodiscard]] StoreStatus admit(std::uint64_t size_hint) override;
    [[nodiscard]] std::unique_ptr<IncomingMessage> begin(std::uint64_t size_hint) override;
    void record(std::vector<RecipientUpdate> updates, std::vector<HistoryEvent> events, StoreCompletion done) override {
        writer_.push(
            std::make_unique<RecordCommand>(std::move(updates), std::move(events), std::move(done), recording_));
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
    void load_late(std::string backend, MessageId after, MessageId before, std::size_t limit,
                   std::function<void(Result<DuePage, StoreStatus>)> done) override {
        auto ask = [backend = std::move(backend), after, before, limit](Tables& tables) {
            return tables.load_late(backend, after, before, limit);
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
    void reassign(std::string from, DomainMoves moves,
                  std::function<void(Result<std::size_t, StoreStatus>)> done) override {
        ReassignCommand::Order order{std::move(from), std::move(moves), std::max<std::size_t>(options_.stretch, 1),
                                     std::move(done)};
        writer_.push(std::make_unique<ReassignCommand>(writer_, std::move(order)));
    }
    void mend_counts(Miscount miscount, StoreCompletion done) override {
        writer_.push(std::make_unique<MendCommand>(std::move(miscount), std::move(done)));
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
    [[nodiscard]] StoreState state() override {
        return {obstacle(0), writer_.messages(), writer_.log_octets(), writer_.free_octets()};
    }
    void set_limits(std::uint64_t minimum_free_disk, std::uint64_t maximum_messages) override {
        room_.set_minimum(minimum_free_disk);
        maximum_messages_ = maximum_messages;
    }

    bool work(bool flush) override { return writer_.work(flush); }
    void work_on_history() override { history_.write_waiting(); }

    void push(std::unique_ptr<Command> command) { writer_.push(std::move(command)); }
    [[nodiscard]] HistoryLog& history() { return history_; }
    void message_ended() { writer_.expected.fetch_sub(1, std::memory_order_relaxed); }
    [[nodiscard]] Writer& writer() { return writer_; }
    [[nodiscard]] DiskRoom& room() { return room_; }
    /// The content for the scheduler, when it is small enough and there is room.
    [[nodiscard]] std::shared_ptr<const std::string> for_hand_over(
        const std::shared_ptr<const std::string>& content) const;

private:
    /// What is in the way of a message of `size` octets.
    [[nodiscard]] Obstacle obstacle(std::uint64_t size);
    [[nodiscard]] MessageId next_id();

    const SqliteStoreOptions options_;
    DiskRoom room_;
    std::atomic<std::uint64_t> maximum_messages_;
    FileLock lock_;
    HistoryLog history_;
    std::shared_ptr<Budget> budget_;
    Writer writer_;
    MessageIdGenerator ids_;
    const RecordCommand::Surroundings recording_;  // no result is recorded before the store is there
};

namespace {

/// Of what a message declares so much is promised before it comes: more than most have, and so little that nobody can
/// take the disk from others by words alone.
constexpr std::uint64_t promised_unseen_max = 1 << 20;

/// Threads: the session's; its commands run on the writer's.
class Message final : public IncomingMessage {
public:
    Message(SqliteStoreImpl& store, MessageId id, std::uint64_t declared)
        : store_(store), id_(id), room_(store.room()) {
        fits_ = room_.begin(declared, promised_unseen_max, store_.writer().free_octets());
    }
    ~Message() override {
        if (ended_) {
            return;
        }
        store_.message_ended();
        remove_parts();
    }

    [[nodiscard]] MessageId id() const override { return id_; }

    void append(std::string part, StoreCompletion done) override {
        if (part.empty()) {
            // No row for it: an empty part is the end of a content.
            store_.push(std::make_unique<AnswerCommand>(incoming_, std::move(done)));
            return;
        }
        if (!still_fits(part.size())) {
            store_.push(std::make_unique<AnswerCommand>(incoming_, std::move(done)));
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
        if (!still_fits(last_part.size())) {
            store_.push(std::make_unique<AnswerCommand>(incoming_, std::move(done)));
            return;
        }
        checksum_.add_content(last_part);
        envelope.id = id_;
        envelope.size = size_ + last_part.size();
        CommitCommand::Parts parts(std::move(room_));
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
    /// Once it does not, what came of it makes room for others, and is answered disk_full.
    [[nodiscard]] bool still_fits(std::size_t more) {
        fits_ = fits_ && room_.grow_to(size_ + more, store_.writer().free_octets());
        if (!fits_) {
            remove_parts();
            room_.give_back();
            incoming_ = std::make_shared<Incoming>();  // the parts before have theirs
            incoming_->status = StoreStatus::disk_full;
        }
        return fits_;
    }
    void remove_parts() {
        if (std::exchange(parts_, 0) > 0) {
            store_.push(std::make_unique<AbortCommand>(id_));
        }
    }

    SqliteStoreImpl& store_;
    const MessageId id_;
    DiskRoom::Promise room_;
    bool fits_ = false;
    std::shared_ptr<Incoming> incoming_ = std::make_shared<Incoming>();
    MessageChecksum checksum_;
    std::uint64_t size_ = 0;
    std::uint32_t parts_ = 0;
    bool ended_ = false;
};

}  // namespace

Obstacle SqliteStoreImpl::obstacle(std::uint64_t size) {
    if (!writer_.healthy() || writer_.displaced()) {
        return Obstacle::closed;
    }
    if (writer_.full()) {
        return Obstacle::full;
    }
    if (!room_.fits(size, writer_.free_octets())) {
        writer_.make_room();
        return Obstacle::little_room;
    }
    return writer_.messages() >= maximum_messages_ ? Obstacle::many_messages : Obstacle::none;
}

StoreStatus SqliteStoreImpl::admit(std::uint64_t size_hint) {
    switch (obstacle(size_hint)) {
        case Obstacle::none:
            return StoreStatus::stored;
        case Obstacle::closed:
            return StoreStatus::failed;
        case Obstacle::full:
        case Obstacle::little_room:
        case Obstacle::many_messages:
            break;
    }
    return StoreStatus::disk_full;
}

MessageId SqliteStoreImpl::next_id() {
    const MessageId id = ids_.next();
    std::int64_t last = writer_.last_id.load(std::memory_order_relaxed);
    while (last < id.value() && !writer_.last_id.compare_exchange_weak(last, id.value(), std::memory_order_relaxed)) {}
    return id;
}

std::unique_ptr<IncomingMessage> SqliteStoreImpl::begin(std::uint64_t size_hint) {
    const MessageId id = next_id();
    writer_.expected.fetch_add(1, std::memory_order_relaxed);
    return std::make_unique<Message>(*this, id, size_hint);
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
        auto connection = detail::open_queue_file(options.path, detail::OpenMode::create, options.vfs);
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
