#include "queue/detail/writer.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "queue/detail/database_file.hpp"
#include "queue/detail/log_readers.hpp"

namespace postern::queue::detail {

namespace {

// One flush for as many as are on their way: whoever is here waits for those whose content is coming in, and for as
// many as came lately, but not longer than gather_max, and not for clients that have fallen silent. Where nobody is
// missed, a moment for one more.
constexpr std::chrono::microseconds pause_complete{250};
constexpr std::chrono::microseconds pause_expecting{2000};
constexpr std::chrono::microseconds pause_missing{4000};
constexpr std::chrono::microseconds gather_max{8000};
constexpr std::chrono::microseconds gather_results_max{1000};   // connections wait, each with its next message
constexpr std::chrono::milliseconds open_transaction_max{200};  // of a message that only trickles in
constexpr std::size_t batch_commands_max = 2048;
constexpr int warn_pages = 65536;  // 256 MiB of log
constexpr std::uint64_t page_octets = 4096;
constexpr std::int64_t free_pages_kept = 16384;  // 64 MiB, that the next messages need not make anew
constexpr std::chrono::milliseconds free_pages_fresh{500};
constexpr std::chrono::milliseconds give_back_pause{100};  // so long nothing was to do
constexpr std::chrono::milliseconds give_back_max{50};     // whoever comes meanwhile waits that long
constexpr std::chrono::milliseconds busy_pause{5};
constexpr std::chrono::seconds verify_max{2};  // nothing is accepted meanwhile
constexpr std::chrono::seconds verify_damaged_max{60};

/// Takes in something new, which may not be on a full disk.
bool adds(const Command& command) { return command.haste() != Command::Haste::relaxed; }

bool adds_a_message(const Command& command) { return command.haste() == Command::Haste::commit; }

int remember_log_pages(void* pages, sqlite3*, const char*, int count) {
    static_cast<std::atomic<int>*>(pages)->store(count, std::memory_order_relaxed);
    return SQLITE_OK;
}

}  // namespace

Writer::Writer(WriterOptions options, std::unique_ptr<Connection> connection, std::unique_ptr<DiskReserve> reserve,
               const Clock& clock, StoreListener& listener)
    : options_(std::move(options)),
      clock_(clock),
      listener_(listener),
      reserve_(std::move(reserve)),
      place_(options_.file),
      connection_(std::move(connection)),
      tables_(std::make_unique<Tables>(*connection_)),
      checkpoint_at_(options_.checkpoint_pages) {
    place_.opened(*connection_);
    sqlite3_wal_hook(connection_->handle(), remember_log_pages, &log_pages_);
    messages_ = static_cast<std::uint64_t>(std::max<std::int64_t>(0, tables_->meta("messages")));
    last_id = tables_->meta("last_id");
    if (!options_.by_hand) {
        thread_ = std::thread([this] { run(); });
    }
}

Writer::~Writer() {
    end();
    keep_log_of_others();
}

void Writer::end() {
    if (thread_.joinable()) {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
            hurry_ = true;
        }
        work_.notify_one();
        thread_.join();
    }
}

void Writer::push(std::unique_ptr<Command> command) {
    const Command::Haste haste = command->haste();
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        incoming_.push_back(std::move(command));
        wake = asleep_;
        if (haste == Command::Haste::commit) {
            ++commits_;
            wake = wake || commits_ == commits_wanted_;
        } else if (haste == Command::Haste::relaxed) {
            ++relaxed_;
        } else {
            ++hasty_;
            wake = true;
        }
        if (wake) {
            asleep_ = false;
        }
    }
    if (wake) {
        work_.notify_one();
    }
}

std::uint64_t Writer::log_octets() const noexcept {
    // SQLite says -1 of a log that it has not got.
    return static_cast<std::uint64_t>(std::max(0, log_pages_.load(std::memory_order_relaxed))) * page_octets;
}

void Writer::make_room() {
    {
        const std::lock_guard lock(mutex_);
        short_of_room_ = true;
    }
    work_.notify_one();
}

StoreCounters Writer::counters() const {
    StoreCounters counters;
    counters.flushes = flushes_;
    counters.commits = commit_count_;
    counters.messages = accepted_;
    counters.updates = updates_;
    counters.checkpoints = checkpoints_;
    return counters;
}

void Writer::run() {
    for (;;) {
        const Next next = gather();
        step(next);
        if (next == Next::end) {
            // A completion may have asked for more.
            std::unique_lock lock(mutex_);
            if (incoming_.empty()) {
                lock.unlock();
                if (!doubtful_.empty()) {
                    reopen_at_ = {};
                    try_to_reopen();  // what was refused shall not be found there by the next start
                }
                return;
            }
        }
    }
}

void Writer::step(Next next) {
    if (!healthy()) {
        try_to_reopen();
    }
    if (displaced()) {
        watch_place();
    }
    execute_new();
    if (next != Next::execute || batch_.size() >= batch_commands_max) {
        flush();
    }
    if (full()) {
        try_to_take_in_again();
    } else if (next == Next::idle) {
        give_back(short_of_room_ ? 0 : free_pages_kept);
        if (short_of_room_ && healthy() && !transaction_) {
            (void)checkpoint(Checkpoint::truncate);
        }
    }
    if (next == Next::idle) {
        short_of_room_ = false;
    }
}

bool Writer::work(bool to_the_end) {
    {
        const std::lock_guard lock(mutex_);
        take();
    }
    step(to_the_end ? Next::flush : Next::execute);
    const std::lock_guard lock(mutex_);
    return !incoming_.empty();
}

Writer::Next Writer::gather() {
    std::unique_lock lock(mutex_);
    const auto something = [this] { return !incoming_.empty() || stop_ || short_of_room_; };
    if (commits_ + relaxed_ == 0 && incoming_.empty() && !stop_) {
        asleep_ = true;
        if (!healthy() || !takes_in()) {
            work_.wait_for(lock, options_.try_again_after, something);
        } else if (transaction_) {
            work_.wait_for(lock, open_transaction_max, something);
        } else if (free_pages_ > free_pages_kept || free_pages_old_) {
            work_.wait_for(lock, give_back_pause, something);
        } else {
            work_.wait(lock, something);
        }
        asleep_ = false;
        if (incoming_.empty() && !stop_) {
            return Next::idle;
        }
    }
    const bool company_is_here = wait_for_company(lock);
    take();
    if (stop_) {
        return Next::end;
    }
    return company_is_here ? Next::flush : Next::execute;
}

bool Writer::wait_for_company(std::unique_lock<std::mutex>& lock) {
    for (;;) {
        const std::size_t waiting = commits_ + relaxed_;
        if (waiting == 0 || hasty_ > 0) {
            return false;
        }
        const auto now = clock_.steady();
        if (!gather_since_) {
            gather_since_ = now;
        }
        const bool expecting = expected.load(std::memory_order_relaxed) > 0;
        const bool only_results = commits_ == 0;
        const auto until =
            *gather_since_ + (only_results && !expecting && company_ <= 1 ? gather_results_max : gather_max);
        const bool lone = commits_ == 1 && company_ <= 1;
        if (stop_ || lone || waiting >= batch_commands_max || now >= until) {
            return true;
        }
        commits_wanted_ = std::max<std::size_t>(company_, 1);
        std::chrono::microseconds pause = pause_missing;
        if (commits_ >= company_) {
            pause = expecting ? pause_expecting : company_ < 4 ? pause_complete : 4 * pause_complete;
        }
        work_.wait_until(lock, only_results ? until : std::min(until, now + pause));
        commits_wanted_ = 0;
        if (!only_results && commits_ + relaxed_ == waiting && hasty_ == 0) {
            return true;
        }
    }
}

void Writer::take() {
    for (auto& command : incoming_) {
        batch_.push_back(std::move(command));
    }
    incoming_.clear();
    hasty_ = 0;
}

void Writer::begin_if_needed() {
    if (transaction_) {
        return;
    }
    // Nobody else should write here; but somebody who looks into the file with a shell may hold the lock for a moment.
    for (auto waited = busy_pause * 0;; waited += busy_pause) {
        try {
            connection_->execute("BEGIN IMMEDIATE");
            transaction_ = true;
            tables_->begin_counting();
            effects_.no_room = !takes_in();
            return;
        } catch (const SqliteError& error) {
            if (error.code() != SQLITE_BUSY || waited >= options_.busy_time_max) {
                throw;
            }
        }
        std::this_thread::sleep_for(busy_pause);
    }
}

void Writer::execute_new() {
    if (!healthy()) {
        answer(StoreStatus::failed);
        return;
    }
    if (!takes_in()) {
        refuse_new();
    }
    try {
        for (; done_ < batch_.size(); ++done_) {
            begin_if_needed();
            batch_[done_]->execute(*tables_, effects_);
            batch_[done_]->executed();
        }
    } catch (const SqliteError& error) {
        retry_alone(error);
    }
}

StoreStatus Writer::refusal() const noexcept { return displaced() ? StoreStatus::failed : StoreStatus::disk_full; }

void Writer::refuse_new() {
    Commands rest;
    Commands refused;
    for (std::size_t i = 0; i < batch_.size(); ++i) {
        (i >= done_ && adds(*batch_[i]) ? refused : rest).push_back(std::move(batch_[i]));
    }
    batch_ = std::move(rest);
    if (refused.empty()) {
        return;
    }
    finish(refused, refusal());
    listener_.batch_done();
}

void Writer::write_meta() {
    tables_->write_counts();
    if (effects_.committed.empty() && effects_.reports.empty() && effects_.messages == 0) {
        return;
    }
    const auto count = static_cast<std::int64_t>(messages()) + effects_.messages;
    tables_->set_meta("messages", std::max<std::int64_t>(0, count));
    tables_->set_meta("last_id", last_id.load(std::memory_order_relaxed));
}

void Writer::flush() {
    if (!transaction_) {
        answer(StoreStatus::stored);
        return;
    }
    try {
        commit();
    } catch (const SqliteError& error) {
        if (error.is_full()) {
            retry_alone(error);
        } else {
            close(error);
        }
        return;
    }
    answer(StoreStatus::stored);
    checkpoint_if_due();
    watch_free_pages();
}

void Writer::commit() {
    write_meta();
    connection_->execute("COMMIT");
    transaction_ = false;
    ++flushes_;
    ++commit_count_;
    watch_place();
}

void Writer::finish(const Commands& batch, StoreStatus status) {
    std::size_t commits = 0;
    std::size_t relaxed = 0;
    for (const auto& command : batch) {
        commits += command->haste() == Command::Haste::commit ? 1U : 0U;
        relaxed += command->haste() == Command::Haste::relaxed ? 1U : 0U;
    }
    {
        const std::lock_guard lock(mutex_);
        commits_ -= commits;
        relaxed_ -= relaxed;
        if (commits + relaxed > 0) {
            // Who came during the flush has just missed it. Those who stay away are given up slowly.
            const std::size_t missing = company_ > commits ? company_ - commits : 0;
            company_ = std::max(commits + commits_, company_ - (missing + 3) / 4);
        }
    }
    for (const auto& command : batch) {
        command->finish(status);
    }
}

void Writer::answer(StoreStatus status) {
    Commands batch = std::exchange(batch_, {});
    BatchEffects effects = std::exchange(effects_, {});
    done_ = 0;
    gather_since_.reset();
    if (batch.empty()) {
        return;
    }
    if (status == StoreStatus::stored) {
        messages_ = static_cast<std::uint64_t>(
            std::max<std::int64_t>(0, static_cast<std::int64_t>(messages()) + effects.messages));
        accepted_ += effects.committed.size();
        updates_ += effects.updates;
        auto committed = std::move(effects.committed);
        committed.insert(committed.end(), effects.reports.begin(), effects.reports.end());
        if (!committed.empty()) {
            listener_.committed(std::move(committed));
        }
    }
    finish(batch, status);
    listener_.batch_done();
}

void Writer::roll_back(StoreStatus why) noexcept {
    // After some errors SQLite has rolled back by itself.
    if (transaction_ && connection_ && !connection_->in_autocommit()) {
        sqlite3_exec(connection_->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
    transaction_ = false;
    effects_ = {};
    for (std::size_t i = 0; i < done_ && i < batch_.size(); ++i) {
        batch_[i]->rolled_back(why);
    }
    done_ = 0;
}

void Writer::retry_alone(const SqliteError& error) {
    if (!error.is_full() && !error.is_constraint()) {
        close(error);
        return;
    }
    roll_back(error.is_full() ? StoreStatus::disk_full : StoreStatus::failed);
    Commands commands = std::exchange(batch_, {});
    if (error.is_full()) {
        disk_is_full(error.what());
    }
    for (auto& command : commands) {
        if (!healthy()) {
            batch_.push_back(std::move(command));
            answer(StoreStatus::failed);
            continue;
        }
        StoreStatus status = StoreStatus::stored;
        batch_.push_back(std::move(command));
        if (!takes_in() && adds(*batch_.front())) {
            answer(refusal());
            continue;
        }
        try {
            begin_if_needed();
            batch_.front()->execute(*tables_, effects_);
            batch_.front()->executed();
            done_ = 1;
            commit();
        } catch (const SqliteError& alone) {
            if (!alone.is_full() && !alone.is_constraint()) {
                close(alone);
                continue;
            }
            status = alone.is_full() ? StoreStatus::disk_full : StoreStatus::failed;
            done_ = 1;
            roll_back(status);
            if (alone.is_full()) {
                disk_is_full(alone.what());
            }
        }
        if (healthy()) {
            answer(status);
        } else {
            answer(StoreStatus::failed);
        }
    }
}

void Writer::disk_is_full(const std::string& error) {
    if (!disk_full_) {
        listener_.warning("the disk of the queue is full, nothing new is taken in: " + error);
    }
    disk_full_ = true;
    full_ = true;
    look_again_at_ = clock_.steady() + options_.try_again_after;
    reserve_->give_up();
    // Only once the log is back in the file is it written from its start again, and are pages of deleted messages free.
    (void)checkpoint(Checkpoint::passive);
}

void Writer::try_to_take_in_again() {
    if (!healthy() || clock_.steady() < look_again_at_) {
        return;
    }
    look_again_at_ = clock_.steady() + options_.try_again_after;
    if (transaction_) {
        flush();
    }
    if (!healthy() || !checkpoint(log_full_ ? Checkpoint::truncate : Checkpoint::passive)) {
        return;
    }
    if (disk_full_) {
        give_back(0);  // what was delivered meanwhile makes room for the reserve
    }
    if (!healthy()) {
        return;
    }
    disk_full_ = disk_full_ && !reserve_->restore();
    log_full_ = log_full_ && log_octets() > options_.log_octets_max / 2;
    full_ = disk_full_ || log_full_;
    if (!full()) {
        listener_.warning("new messages are taken in again");
    }
}

void Writer::close(const SqliteError& error) {
    for (const auto& message : effects_.committed) {
        doubtful_.push_back(message->envelope.id);
    }
    const std::size_t executed = done_;
    roll_back(StoreStatus::failed);
    Commands doubted;
    for (std::size_t i = 0; i < executed && i < batch_.size(); ++i) {
        if (adds_a_message(*batch_[i])) {
            doubted.push_back(std::move(batch_[i]));
        }
    }
    std::erase(batch_, nullptr);
    healthy_ = false;
    tables_.reset();
    if (connection_) {
        // What else SQLite would do when it closes (move the log into the file, and remove it) is for a file that is
        // well.
        sqlite3_db_config(connection_->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
        connection_.reset();
    }
    damaged_ = error.is_corrupt();
    if (!opened_at_ || clock_.steady() - *opened_at_ >= options_.try_again_max) {
        reopen_after_ = Duration(0);
    }
    back_off();
    finish(doubted, StoreStatus::doubtful);
    answer(StoreStatus::failed);
    tell_problem(describe(error));
}

std::string Writer::describe(const SqliteError& error) const {
    std::string text = open_error(error, options_.file).text;
    if (error.code() == SQLITE_BUSY) {
        text += "; its write lock is held by " + describe_processes(log_writers(options_.file)) +
                ", which must end its transaction, or be ended";
    }
    return text;
}

void Writer::back_off() {
    reopen_after_ =
        reopen_after_ == Duration(0) ? options_.try_again_after : std::min(2 * reopen_after_, options_.try_again_max);
    reopen_at_ = clock_.steady() + reopen_after_;
}

void Writer::tell_problem(const std::string& error) {
    if (problem_ != error) {
        problem_ = error;
        listener_.health_changed(error);
        listener_.batch_done();
    }
}

void Writer::try_to_reopen() {
    if (clock_.steady() < reopen_at_) {
        return;
    }
    const std::string problem = reopen();
    if (!problem.empty()) {
        back_off();
        tell_problem(problem);
        return;
    }
    checkpoint_at_ = options_.checkpoint_pages;
    opened_at_ = clock_.steady();
    damaged_ = false;
    doubtful_.clear();
    healthy_ = true;
    tell_problem("");
}

std::string Writer::reopen() {
    try {
        std::string elsewhere = place_.problem_of_file();
        if (!elsewhere.empty()) {
            return elsewhere;
        }
        if (auto refused = check_place(options_.file)) {
            return refused->text;
        }
        auto opened = open_queue_file(options_.file, OpenMode::read_write, options_.vfs);
        if (!opened.has_value()) {
            return opened.error().text;
        }
        make_good(**opened);
        place_.opened(**opened);
        connection_ = std::move(*opened);
        tables_ = std::make_unique<Tables>(*connection_, ++generation_);
        sqlite3_wal_hook(connection_->handle(), remember_log_pages, &log_pages_);
        messages_ = static_cast<std::uint64_t>(std::max<std::int64_t>(0, tables_->meta("messages")));
    } catch (const SqliteError& error) {
        tables_.reset();
        connection_.reset();
        damaged_ = damaged_ || error.is_corrupt();
        return describe(error);
    }
    return {};
}

void Writer::make_good(Connection& connection) {
    {
        Tables tables(connection);
        connection.execute("BEGIN IMMEDIATE");
        std::int64_t count = tables.meta("messages");
        for (const MessageId id : doubtful_) {
            count -= tables.delete_message(id) ? 1 : 0;
        }
        tables.write_counts();
        tables.set_meta("messages", count);
        connection.execute("COMMIT");
    }
    verify_pages(connection, damaged_ ? verify_damaged_max : verify_max, hurry_);
    int in_log = 0;
    const int code =
        sqlite3_wal_checkpoint_v2(connection.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &in_log, nullptr);
    log_pages_ = in_log;
    if (code != SQLITE_OK && code != SQLITE_BUSY) {
        connection.fail(code, "checkpoint");
    }
}

void Writer::checkpoint_if_due() {
    if (!connection_ || log_pages_ < checkpoint_at_) {
        return;
    }
    if (checkpoint(Checkpoint::passive)) {
        watch_log();
    }
}

bool Writer::checkpoint(Checkpoint how) {
    int in_log = 0;
    int moved = 0;
    const int mode = how == Checkpoint::passive ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_TRUNCATE;
    const int code = sqlite3_wal_checkpoint_v2(connection_->handle(), nullptr, mode, &in_log, &moved);
    ++checkpoints_;
    flushes_ += 2;  // the log's, then the file's
    if (code == SQLITE_FULL) {
        // What is in the log is safe there; but it can only grow. More room may come with the reserve.
        if (!disk_full_) {
            disk_is_full("checkpoint");
        }
    } else if (code != SQLITE_OK && code != SQLITE_BUSY) {
        close(SqliteError(code, "checkpoint: " + std::string(sqlite3_errmsg(connection_->handle()))));
        return false;
    } else if (code == SQLITE_OK && how == Checkpoint::truncate) {
        log_pages_ = 0;
    }
    // A reader may hold a part of the log back; then it is tried again after a while, not at every commit.
    checkpoint_at_ =
        code == SQLITE_OK && moved >= in_log ? options_.checkpoint_pages : log_pages_ + options_.checkpoint_pages / 4;
    return healthy();
}

void Writer::watch_free_pages() {
    if (!healthy() || clock_.steady() < free_seen_at_ + free_pages_fresh) {
        free_pages_old_ = true;
        return;
    }
    free_seen_at_ = clock_.steady();
    free_pages_old_ = false;
    try {
        free_pages_ = connection_->query_integer("PRAGMA freelist_count");
    } catch (const SqliteError&) {
        return;  // the next command meets the same error, and tells
    }
    free_octets_ = static_cast<std::uint64_t>(free_pages_) * page_octets;
}

void Writer::give_back(std::int64_t keep) {
    free_seen_at_ = {};
    watch_free_pages();
    if (!healthy() || transaction_ || free_pages_ <= keep) {
        return;
    }
    constexpr std::int64_t pages_at_once = 256;
    const auto until = clock_.steady() + give_back_max;
    try {
        connection_->execute("BEGIN IMMEDIATE");
        transaction_ = true;
        for (std::int64_t before = free_pages_ + 1;
             keep < free_pages_ && free_pages_ < before && clock_.steady() < until;) {
            before = free_pages_;
            const std::int64_t pages = std::min(pages_at_once, free_pages_ - keep);
            connection_->execute(fmt::format("PRAGMA incremental_vacuum({})", pages).c_str());
            free_pages_ = connection_->query_integer("PRAGMA freelist_count");
        }
        connection_->execute("COMMIT");
        transaction_ = false;
        ++flushes_;
    } catch (const SqliteError& error) {
        if (error.code() == SQLITE_BUSY || error.is_full()) {
            roll_back(StoreStatus::failed);
        } else {
            close(error);
        }
        return;
    }
    free_octets_ = static_cast<std::uint64_t>(free_pages_) * page_octets;
    // The file is cut when the log has gone into it.
    if (free_pages_ <= keep) {
        (void)checkpoint(keep == 0 ? Checkpoint::truncate : Checkpoint::passive);
    } else {
        checkpoint_if_due();
    }
}

void Writer::watch_log() {
    if (log_pages_ < warn_pages / 2) {
        log_warned_ = false;
    }
    const bool too_large = log_octets() > options_.log_octets_max;
    if ((log_pages_ >= warn_pages && !log_warned_) || (too_large && !log_full_)) {
        log_warned_ = true;
        listener_.warning(fmt::format(
            "the write-ahead log of the queue has grown to {} MiB, for a reader keeps an old state of it: {}{}",
            log_octets() >> 20, describe_processes(log_readers(options_.file)),
            too_large ? "; nothing new is taken in until it ends" : ""));
    }
    if (too_large && !log_full_) {
        log_full_ = true;
        full_ = true;
        look_again_at_ = clock_.steady() + options_.try_again_after;
    }
}

}  // namespace postern::queue::detail
