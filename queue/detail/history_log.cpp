#include "queue/detail/history_log.hpp"

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
constexpr std::chrono::milliseconds stretch_pause{20};
constexpr std::size_t waiting_max = 200'000;

}  // namespace

struct HistoryLog::Writing {
    Statement insert;
    Statement stretch_end;
    Statement prune;
    Statement prune_last;
    Statement prune_gateway;
    explicit Writing(Connection& connection)
        : insert(connection,
                 "INSERT INTO history (message, number, at, ordinal, event, sender, recipient, backend, endpoint, "
                 "attempt, duration, "
                 "reply, actor) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13)"),
          stretch_end(connection,
                      "SELECT message, number FROM history WHERE message > 0 AND message < ?1 ORDER BY message, number "
                      "LIMIT 1 OFFSET ?2"),
          prune(connection, "DELETE FROM history WHERE message > 0 AND (message, number) < (?1, ?2)"),
          prune_last(connection, "DELETE FROM history WHERE message > 0 AND message < ?1"),
          prune_gateway(connection, "DELETE FROM history WHERE message = 0 AND at < ?1") {}
};

HistoryLog::HistoryLog(std::filesystem::path file, Duration keep, const Clock& clock, bool by_hand)
    : file_(std::move(file)), keep_(keep), clock_(clock) {
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
        if (waiting_.size() < waiting_max) {
            if (was_empty) {
                waiting_ = std::move(events);
            } else {
                waiting_.insert(waiting_.end(), std::make_move_iterator(events.begin()),
                                std::make_move_iterator(events.end()));
            }
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

bool HistoryLog::gather(std::unique_lock<std::mutex>& lock) {
    const auto pause = behind_ ? std::chrono::milliseconds(stretch_pause) : std::chrono::milliseconds(prune_interval);
    if (work_.wait_for(lock, pause, [this] { return !waiting_.empty() || stop_; }) && !waiting_.empty()) {
        work_.wait_for(lock, gather_time, [this] { return stop_ || hurry_; });
        return true;
    }
    return !stop_;
}

void HistoryLog::run() {
    std::unique_lock lock(mutex_);
    while (gather(lock)) {
        std::vector<HistoryEvent> events = std::exchange(waiting_, {});
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
            if (!events.empty()) {
                write(events);
            }
            prune_if_due();
            return;
        }
    } catch (const SqliteError&) {
        writing_.reset();
        connection_.reset();  // rolls back; the next events try again from the start
    }
    behind_ = false;  // with nothing to write, not at once again
    pruned_at_ = clock_.steady();
}

void HistoryLog::write_waiting() {
    if (keep_ <= Duration::zero()) {
        return;
    }
    std::vector<HistoryEvent> events;
    {
        const std::lock_guard lock(mutex_);
        events.swap(waiting_);
    }
    write_or_drop(events);
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
    // Numbers only order the rows of one message; time keeps them rising over restarts.
    number_ = std::max(number_, to_stored(clock_.wall()) << 10);
    return true;
}

void HistoryLog::write(const std::vector<HistoryEvent>& events) {
    connection_->execute("BEGIN IMMEDIATE");
    for (const HistoryEvent& event : events) {
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
            .run();
    }
    connection_->execute("COMMIT");
}

void HistoryLog::prune_if_due() {
    const SteadyInstant now = clock_.steady();
    if (!behind_ && now - pruned_at_ < prune_interval) {
        return;
    }
    behind_ = !prune(clock_.wall() - keep_);
    pruned_at_ = now;
}

bool HistoryLog::prune(Instant before) {
    const std::int64_t end = MessageId::first_at(before).value();
    writing_->stretch_end.bind(1, end).bind(2, stretch_rows);
    std::optional<std::pair<std::int64_t, std::int64_t>> stretch_end;
    if (auto rows = writing_->stretch_end.rows(); rows.step()) {
        stretch_end.emplace(writing_->stretch_end.integer(0), writing_->stretch_end.integer(1));
    }
    if (stretch_end) {
        writing_->prune.bind(1, stretch_end->first).bind(2, stretch_end->second).run();
        return false;
    }
    writing_->prune_last.bind(1, end).run();
    writing_->prune_gateway.bind(1, to_stored(before)).run();
    return true;
}

}  // namespace postern::queue::detail
