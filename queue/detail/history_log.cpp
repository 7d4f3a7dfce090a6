#include "queue/detail/history_log.hpp"

#include <utility>

#include "queue/detail/codec.hpp"
#include "queue/detail/database_file.hpp"

namespace postern::queue::detail {

namespace {

constexpr std::chrono::milliseconds gather_time{50};
constexpr std::chrono::minutes prune_interval{10};

}  // namespace

struct HistoryLog::Writing {
    Statement insert;
    Statement insert_transcript;
    Statement prune;
    Statement prune_own;
    Statement prune_transcripts;
    Statement oldest_transcripts;
    Statement drop_transcript;
    explicit Writing(Connection& connection)
        : insert(connection,
                 "INSERT INTO history (message, number, at, ordinal, event, sender, recipient, backend, endpoint, "
                 "attempt, duration, reply, actor, client, session, tls, transaction_id) "
                 "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)"),
          insert_transcript(connection,
                            "INSERT INTO transcript (number, message, transaction_id, at, backend, endpoint, duration, "
                            "octets, text) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)"),
          prune(connection,
                "DELETE FROM history WHERE (message, number) IN "
                "(SELECT message, number FROM history WHERE message > 0 AND message < ?1 LIMIT ?2)"),
          prune_own(connection, "DELETE FROM history WHERE message = 0 AND at < ?1"),
          prune_transcripts(connection, "DELETE FROM transcript WHERE message < ?1"),
          oldest_transcripts(connection, "SELECT number, octets FROM transcript ORDER BY number LIMIT 1000"),
          drop_transcript(connection, "DELETE FROM transcript WHERE number = ?1") {}
};

HistoryLog::HistoryLog(std::filesystem::path file, Duration keep, const Clock& clock, bool by_hand,
                       HistoryLimits limits)
    : file_(std::move(file)), keep_(keep), clock_(clock), limits_(limits) {
    if (keep_ > Duration::zero() && !by_hand) {
        thread_ = std::thread([this] { run(); });
    }
}

HistoryLog::~HistoryLog() {
    if (!thread_.joinable()) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    work_.notify_one();
    thread_.join();
}

void HistoryLog::add(std::vector<HistoryEvent> events) {
    if (keep_ <= Duration::zero() || events.empty()) {
        return;
    }
    bool was_empty = false;
    {
        const std::lock_guard lock(mutex_);
        was_empty = waiting_.empty();
        for (HistoryEvent& event : events) {
            if (waiting_.size() >= limits_.rows_waiting) {
                break;
            }
            if (transcript_octets_waiting_ + event.transcript.size() > limits_.transcript_octets_waiting) {
                event.transcript = std::string();
            }
            transcript_octets_waiting_ += event.transcript.size();
            waiting_.push_back(std::move(event));
        }
    }
    if (was_empty) {
        work_.notify_one();
    }
}

void HistoryLog::add(HistoryEvent event) {
    std::vector<HistoryEvent> events;
    events.push_back(std::move(event));
    add(std::move(events));
}

void HistoryLog::drain() {
    if (keep_ <= Duration::zero()) {
        return;
    }
    if (!thread_.joinable()) {
        return write_waiting();
    }
    std::unique_lock lock(mutex_);
    hurry_ = true;
    work_.notify_one();
    idle_.wait(lock, [this] { return waiting_.empty() && !busy_; });
    hurry_ = false;
}

void HistoryLog::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        work_.wait(lock, [this] { return !waiting_.empty() || stop_; });
        if (waiting_.empty()) {
            return;
        }
        work_.wait_for(lock, gather_time, [this] { return stop_ || hurry_; });
        const std::vector<HistoryEvent> events = std::exchange(waiting_, {});
        transcript_octets_waiting_ = 0;
        busy_ = true;
        lock.unlock();
        write_or_drop(events);
        lock.lock();
        busy_ = false;
        idle_.notify_all();
    }
}

void HistoryLog::write_or_drop(const std::vector<HistoryEvent>& events) {
    try {
        if (open()) {
            write(events);
            prune();
        }
    } catch (const SqliteError&) {
        writing_.reset();
        connection_.reset();  // rolls back; the next events try again from the start
    }
}

void HistoryLog::write_waiting() {
    std::vector<HistoryEvent> events;
    {
        const std::lock_guard lock(mutex_);
        events.swap(waiting_);
        transcript_octets_waiting_ = 0;
    }
    if (!events.empty()) {
        write_or_drop(events);
    }
}

bool HistoryLog::open() {
    if (connection_) {
        return true;
    }
    auto opened = open_history_file(file_);
    if (!opened.has_value()) {
        return false;
    }
    connection_ = std::move(*opened);
    writing_ = std::make_unique<Writing>(*connection_);
    number_ = connection_->query_integer(
        "SELECT coalesce(max(number), 0) FROM (SELECT number FROM history ORDER BY message DESC LIMIT 10000)");
    number_ = std::max(number_, connection_->query_integer("SELECT coalesce(max(number), 0) FROM transcript"));
    // Numbers only order the rows of one message; time keeps them rising over restarts.
    number_ = std::max(number_, to_stored(clock_.wall()) << 10);
    transcript_octets_ = connection_->query_integer("SELECT coalesce(sum(octets), 0) FROM transcript");
    return true;
}

void HistoryLog::write(const std::vector<HistoryEvent>& events) {
    connection_->execute("BEGIN IMMEDIATE");
    for (const HistoryEvent& event : events) {
        if (event.event != "transcript") {
            insert_row(event);
        }
        if (!event.transcript.empty()) {
            insert_transcript(event);
        }
    }
    prune_transcripts();
    connection_->execute("COMMIT");
}

void HistoryLog::insert_row(const HistoryEvent& event) {
    Statement& insert = writing_->insert;
    insert.bind(1, event.message.value()).bind(2, ++number_).bind(3, to_stored(event.at));
    if (event.ordinal) {
        insert.bind(4, std::int64_t{*event.ordinal});
    } else {
        insert.bind_null(4);
    }
    insert.bind(5, event.event)
        .bind(6, event.sender)
        .bind(7, event.recipient)
        .bind(8, event.backend)
        .bind(9, event.endpoint)
        .bind(10, std::int64_t{event.attempt})
        .bind(11, event.duration.count())
        .bind(12, event.reply)
        .bind(13, event.actor)
        .bind(14, event.client)
        .bind(15, event.session)
        .bind(16, event.tls)
        .bind(17, event.transaction)
        .run();
}

void HistoryLog::insert_transcript(const HistoryEvent& event) {
    const auto octets = static_cast<std::int64_t>(event.transcript.size());
    writing_->insert_transcript.bind(1, ++number_)
        .bind(2, event.message.value())
        .bind(3, event.transaction)
        .bind(4, to_stored(event.at))
        .bind(5, event.backend)
        .bind(6, event.endpoint)
        .bind(7, event.duration.count())
        .bind(8, octets)
        .bind(9, event.transcript)
        .run();
    transcript_octets_ += octets;
}

/// Makes room: a store that refuses everything for a week must not fill the disk with the tale of it.
void HistoryLog::prune_transcripts() {
    while (transcript_octets_ > limits_.transcript_octets) {
        std::vector<std::int64_t> numbers;
        {
            auto rows = writing_->oldest_transcripts.rows();
            while (transcript_octets_ > limits_.transcript_octets && rows.step()) {
                numbers.push_back(writing_->oldest_transcripts.integer(0));
                transcript_octets_ -= writing_->oldest_transcripts.integer(1);
            }
        }
        if (numbers.empty()) {
            transcript_octets_ = 0;
        }
        for (const std::int64_t number : numbers) {
            writing_->drop_transcript.bind(1, number).run();
        }
    }
}

void HistoryLog::prune() {
    const Instant now = clock_.wall();
    if (now - pruned_at_ < prune_interval && pruned_at_ <= now) {
        return;
    }
    const std::int64_t first_kept = MessageId::first_at(now - keep_).value();
    writing_->prune.bind(1, first_kept).bind(2, limits_.rows_pruned).run();
    if (connection_->changes() >= limits_.rows_pruned) {
        return;  // there is more: with the next events
    }
    pruned_at_ = now;
    writing_->prune_own.bind(1, to_stored(now - keep_)).run();
    writing_->prune_transcripts.bind(1, first_kept).run();
    transcript_octets_ = connection_->query_integer("SELECT coalesce(sum(octets), 0) FROM transcript");
}

}  // namespace postern::queue::detail
