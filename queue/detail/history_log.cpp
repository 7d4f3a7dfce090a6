#include "queue/detail/history_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "queue/detail/codec.hpp"
#include "queue/detail/database_file.hpp"

namespace postern::queue::detail {

namespace {

constexpr std::chrono::milliseconds gather_time{50};
constexpr std::chrono::minutes prune_interval{10};
// A stretch of so many rows takes some ten milliseconds; with the pause that makes up to 60,000 rows a second.
constexpr std::int64_t stretch_rows = 2000;
constexpr std::int64_t stretch_transcripts = 500;
constexpr std::chrono::milliseconds stretch_pause{20};

}  // namespace

struct HistoryLog::Writing {
    Statement insert;
    Statement insert_transcript;
    Statement stretch_end;
    Statement prune;
    Statement prune_last;
    Statement prune_ahead;
    Statement prune_gateway;
    Statement oldest_transcripts;
    Statement drop_transcripts;
    explicit Writing(Connection& connection)
        : insert(connection,
                 "INSERT INTO history (message, number, at, ordinal, event, sender, recipient, backend, endpoint, "
                 "attempt, duration, reply, actor, client, session, tls) "
                 "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)"),
          insert_transcript(
              connection,
              "INSERT INTO transcript (number, message, session, at, backend, endpoint, duration, octets, "
              "text) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)"),
          stretch_end(connection,
                      "SELECT message, number FROM history WHERE message > 0 AND message < ?1 AND at < ?3 ORDER BY "
                      "message, number LIMIT 1 OFFSET ?2"),
          prune(connection, "DELETE FROM history WHERE message > 0 AND (message, number) < (?1, ?2) AND at < ?3"),
          prune_last(connection, "DELETE FROM history WHERE message > 0 AND message < ?1 AND at < ?2"),
          prune_ahead(connection, "DELETE FROM history WHERE message >= ?1 AND at < ?2"),
          prune_gateway(connection, "DELETE FROM history WHERE message = 0 AND at < ?1"),
          oldest_transcripts(connection, "SELECT number, octets, at FROM transcript ORDER BY number LIMIT ?1"),
          drop_transcripts(connection, "DELETE FROM transcript WHERE number <= ?1") {}
};

HistoryLog::HistoryLog(HistoryOptions options, const Clock& clock, std::function<void(const std::string&)> warn)
    : options_(std::move(options)), clock_(clock), warn_(std::move(warn)) {
    if (options_.keep > Duration::zero() && !options_.by_hand) {
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
    if (options_.keep <= Duration::zero() || events.empty()) {
        return;
    }
    bool was_empty = false;
    {
        const std::lock_guard lock(mutex_);
        was_empty = waiting_.is_empty();
        const std::size_t room = options_.rows_waiting_max - waiting_.events.size();
        if (events.size() > room) {
            waiting_.lost += events.size() - room;
            events.erase(events.begin() + static_cast<std::ptrdiff_t>(room), events.end());
        }
        for (HistoryEvent& event : events) {
            if (!event.transcript.empty() &&
                waiting_.transcript_octets + event.transcript.size() > options_.transcript_octets_waiting) {
                event.transcript = "(left out: there were too many transcripts at once)\n";
            }
            waiting_.transcript_octets += event.transcript.size();
        }
        if (waiting_.events.empty()) {
            waiting_.events = std::move(events);
        } else {
            waiting_.events.insert(waiting_.events.end(), std::make_move_iterator(events.begin()),
                                   std::make_move_iterator(events.end()));
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
    if (options_.keep <= Duration::zero()) {
        return;
    }
    if (!thread_.joinable()) {
        return write_waiting();
    }
    std::unique_lock lock(mutex_);
    hurry_ = true;
    work_.notify_one();
    idle_.wait(lock, [this] { return waiting_.is_empty() && !busy_; });
    hurry_ = false;
}

bool HistoryLog::gather(std::unique_lock<std::mutex>& lock) {
    const auto pause = behind_ ? std::chrono::milliseconds(stretch_pause) : std::chrono::milliseconds(prune_interval);
    if (work_.wait_for(lock, pause, [this] { return !waiting_.is_empty() || stop_; }) && !waiting_.is_empty()) {
        work_.wait_for(lock, gather_time, [this] { return stop_ || hurry_; });
        return true;
    }
    return !stop_;
}

void HistoryLog::run() {
    std::unique_lock lock(mutex_);
    while (gather(lock)) {
        Waiting waiting = std::exchange(waiting_, {});
        busy_ = true;
        lock.unlock();
        write_or_drop(std::move(waiting));
        lock.lock();
        busy_ = false;
        idle_.notify_all();
    }
}

void HistoryLog::write_or_drop(Waiting waiting) {
    waiting.lost += lost_;
    Tried tried = try_to_write(waiting);
    if (tried == Tried::begun_anew) {
        tried = try_to_write(waiting);
    }
    if (tried == Tried::written) {
        lost_ = 0;
        return;
    }
    lost_ = waiting.lost + waiting.events.size();
    behind_ = false;  // with nothing to write, not at once again
    pruned_at_ = clock_.steady();
}

HistoryLog::Tried HistoryLog::try_to_write(const Waiting& waiting) {
    try {
        if (const Tried opened = open(); opened != Tried::written) {
            return opened;
        }
        if (!waiting.is_empty()) {
            write(waiting);
        }
        prune_if_due();
        return Tried::written;
    } catch (const SqliteError& error) {
        writing_.reset();
        connection_.reset();  // rolls back; the next events try again from the start
        if (error.is_corrupt()) {
            return set_aside(fmt::format("{}: {}", options_.file.string(), error.what()));
        }
        warn(fmt::format("the history cannot be written, and loses what happens: {}", error.what()));
        return Tried::failed;
    }
}

void HistoryLog::write_waiting() {
    if (options_.keep <= Duration::zero()) {
        return;
    }
    Waiting waiting;
    {
        const std::lock_guard lock(mutex_);
        waiting = std::exchange(waiting_, {});
    }
    write_or_drop(std::move(waiting));
}

HistoryLog::Tried HistoryLog::open() {
    if (connection_) {
        return Tried::written;
    }
    auto opened = open_history_file(options_.file);
    if (!opened.has_value()) {
        return set_aside(opened.error().text);
    }
    connection_ = std::move(*opened);
    writing_ = std::make_unique<Writing>(*connection_);
    number_ = connection_->query_integer(
        "SELECT coalesce(max(number), 0) FROM (SELECT number FROM history ORDER BY message DESC LIMIT 10000)");
    number_ = std::max(number_, connection_->query_integer("SELECT coalesce(max(number), 0) FROM transcript"));
    // Numbers only order the rows of one message; time keeps them rising over restarts.
    number_ = std::max(number_, to_stored(clock_.wall()) << 10);
    transcript_octets_ = connection_->query_integer("SELECT coalesce(sum(octets), 0) FROM transcript");
    return Tried::written;
}

HistoryLog::Tried HistoryLog::set_aside(const std::string& why) {
    const std::string aside = options_.file.string() + ".aside";
    std::error_code error;
    // A log or a shared memory that was left beside a new file would be taken for that one's.
    for (const char* part : {"-wal", "-shm", ""}) {
        std::filesystem::remove(aside + part, error);
        std::filesystem::rename(options_.file.string() + part, aside + part, error);
    }
    if (error) {
        warn(fmt::format("{}; it cannot be set aside: {}", why, error.message()));
        return Tried::failed;
    }
    warn(fmt::format("{}; it was set aside as {}, and a new history begins", why, aside));
    return Tried::begun_anew;
}

void HistoryLog::warn(const std::string& text) {
    if (warn_ && warned_ != text) {
        warned_ = text;
        warn_(text);
    }
}

void HistoryLog::write(const Waiting& waiting) {
    connection_->execute("BEGIN IMMEDIATE");
    if (waiting.lost > 0) {
        HistoryEvent gap;
        gap.at = clock_.wall();
        gap.event = "lost";
        gap.actor = "gateway";
        gap.reply = fmt::format("({} rows of the history are missing before this one)", waiting.lost);
        insert_row(gap);
    }
    for (const HistoryEvent& event : waiting.events) {
        if (event.event != "transcript") {
            insert_row(event);
        }
        if (!event.transcript.empty()) {
            insert_transcript(event);
        }
    }
    while (transcript_octets_ > options_.transcript_octets_max) {
        (void)prune_transcripts(Instant::min());
    }
    connection_->execute("COMMIT");
    warned_.clear();
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
        .run();
}

void HistoryLog::insert_transcript(const HistoryEvent& event) {
    const auto octets = static_cast<std::int64_t>(event.transcript.size());
    writing_->insert_transcript.bind(1, ++number_)
        .bind(2, event.message.value())
        .bind(3, event.session)
        .bind(4, to_stored(event.at))
        .bind(5, event.backend)
        .bind(6, event.endpoint)
        .bind(7, event.duration.count())
        .bind(8, octets)
        .bind(9, event.transcript)
        .run();
    transcript_octets_ += octets;
}

void HistoryLog::prune_if_due() {
    const SteadyInstant now = clock_.steady();
    if (!behind_ && now - pruned_at_ < prune_interval) {
        return;
    }
    behind_ = !prune(clock_.wall() - options_.keep);
    pruned_at_ = now;
}

/// The rows of messages that came before: a range. Of a message that waited long the younger rows stay.
bool HistoryLog::prune(Instant before) {
    const std::int64_t end = MessageId::first_at(before).value();
    const std::int64_t at = to_stored(before);
    writing_->stretch_end.bind(1, end).bind(2, stretch_rows).bind(3, at);
    std::optional<std::pair<std::int64_t, std::int64_t>> stretch_end;
    if (auto rows = writing_->stretch_end.rows(); rows.step()) {
        stretch_end.emplace(writing_->stretch_end.integer(0), writing_->stretch_end.integer(1));
    }
    if (stretch_end) {
        writing_->prune.bind(1, stretch_end->first).bind(2, stretch_end->second).bind(3, at).run();
        return false;
    }
    if (!prune_transcripts(before)) {
        return false;
    }
    writing_->prune_last.bind(1, end).bind(2, at).run();
    // What has an id from a time when the clock was wrong.
    writing_->prune_ahead.bind(1, MessageId::first_at(clock_.wall() + std::chrono::hours(24)).value())
        .bind(2, at)
        .run();
    writing_->prune_gateway.bind(1, at).run();
    return true;
}

bool HistoryLog::prune_transcripts(Instant before) {
    std::optional<std::int64_t> last;
    std::int64_t count = 0;
    writing_->oldest_transcripts.bind(1, stretch_transcripts);
    {
        auto rows = writing_->oldest_transcripts.rows();
        while (rows.step() && (transcript_octets_ > options_.transcript_octets_max ||
                               writing_->oldest_transcripts.integer(2) < to_stored(before))) {
            last = writing_->oldest_transcripts.integer(0);
            transcript_octets_ -= writing_->oldest_transcripts.integer(1);
            ++count;
        }
    }
    if (!last) {
        transcript_octets_ = std::min(transcript_octets_, options_.transcript_octets_max);  // or writing never ended
        return true;
    }
    writing_->drop_transcripts.bind(1, *last).run();
    return count < stretch_transcripts;
}

}  // namespace postern::queue::detail
