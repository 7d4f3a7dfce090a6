#include "gateway/recipients/database.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <chrono>
#include <utility>

namespace postern::recipients {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t waiting_max = 2000;
constexpr int lock_wait_milliseconds = 250;  // for whoever writes to the database
constexpr std::chrono::milliseconds query_time_max{1000};
constexpr int steps_between_looks = 1000;  // of SQLite's machine, at the clock

using Answer = Result<bool, std::string>;

/// The open database with its query. Opened anew when another file has taken the name.
class Reader {
public:
    explicit Reader(const DatabaseCheck::Source& source) : source_(source) {}
    ~Reader() { close(); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// Empty: it is open.
    std::string open_if_needed() {
        struct stat entry {};
        const bool is_there = ::stat(source_.file.c_str(), &entry) == 0;
        if (query_ != nullptr && is_there && entry.st_dev == device_ && entry.st_ino == inode_) {
            return {};
        }
        close();
        const std::string problem = open();
        if (!problem.empty()) {
            close();
            return source_.file.string() + ": " + problem;
        }
        device_ = entry.st_dev;
        inode_ = entry.st_ino;
        return {};
    }

    Answer answer(const mail::Mailbox& address) {
        if (std::string problem = open_if_needed(); !problem.empty()) {
            return Answer(boost::system::in_place_error, std::move(problem));
        }
        const std::string key = folded(address);
        until_ = SteadyClock::now() + query_time_max;
        sqlite3_bind_text(query_, 1, key.data(), static_cast<int>(key.size()), SQLITE_STATIC);
        const int code = sqlite3_step(query_);
        std::string problem;
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            problem = code == SQLITE_INTERRUPT ? "the query takes too long" : sqlite3_errmsg(database_);
        }
        sqlite3_reset(query_);
        sqlite3_clear_bindings(query_);
        if (!problem.empty()) {
            close();
            return Answer(boost::system::in_place_error, source_.file.string() + ": " + problem);
        }
        return Answer(boost::system::in_place_value, code == SQLITE_ROW);
    }

private:
    std::string open() {
        const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
        if (sqlite3_open_v2(source_.file.c_str(), &database_, flags, nullptr) != SQLITE_OK) {
            return database_ != nullptr ? sqlite3_errmsg(database_) : "out of memory";
        }
        sqlite3_busy_timeout(database_, lock_wait_milliseconds);
        auto too_long = [](void* self) { return SteadyClock::now() > static_cast<Reader*>(self)->until_ ? 1 : 0; };
        until_ = SteadyClock::now() + query_time_max;
        sqlite3_progress_handler(database_, steps_between_looks, too_long, this);
        const char* rest = nullptr;
        const int size = static_cast<int>(source_.query.size());
        if (sqlite3_prepare_v3(database_, source_.query.data(), size, SQLITE_PREPARE_PERSISTENT, &query_, &rest) !=
            SQLITE_OK) {
            return sqlite3_errmsg(database_);
        }
        if (query_ == nullptr || sqlite3_stmt_readonly(query_) == 0 || sqlite3_column_count(query_) == 0) {
            return "`query` is not a SELECT";
        }
        const std::string_view behind(rest, static_cast<std::size_t>(source_.query.data() + size - rest));
        if (behind.find_first_not_of("; \t\r\n") != std::string_view::npos) {
            return "`query` is more than one statement";
        }
        if (sqlite3_bind_parameter_count(query_) != 1) {
            return "`query` needs one `?`, for the address";
        }
        return {};
    }

    void close() {
        sqlite3_finalize(std::exchange(query_, nullptr));
        sqlite3_close_v2(std::exchange(database_, nullptr));
    }

    const DatabaseCheck::Source& source_;
    sqlite3* database_ = nullptr;
    sqlite3_stmt* query_ = nullptr;
    dev_t device_ = 0;
    ino_t inode_ = 0;
    SteadyClock::time_point until_{};
};

}  // namespace

DatabaseCheck::DatabaseCheck(Source source, Warn warn) : source_(std::move(source)), warn_(std::move(warn)) {
    thread_ = std::thread([this] { run(); });
}

DatabaseCheck::~DatabaseCheck() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    work_.notify_one();
    thread_.join();
}

void DatabaseCheck::ask(const mail::Mailbox& address, const Ahead&, Done done) {
    {
        const std::lock_guard lock(mutex_);
        if (!stopping_ && waiting_.size() < waiting_max) {
            waiting_.push_back({address, std::move(done)});
            work_.notify_one();
            return;
        }
    }
    done(cannot_tell());
}

void DatabaseCheck::run() {
    Reader reader(source_);
    bool told = false;
    while (true) {
        std::unique_lock lock(mutex_);
        work_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) {
            return;
        }
        const Question question = std::move(waiting_.front());
        waiting_.pop_front();
        const bool give_up = stopping_;
        lock.unlock();
        if (give_up) {
            question.done(cannot_tell());
            continue;
        }
        const Answer answer = reader.answer(question.address);
        if (answer.has_value()) {
            told = false;
            question.done(*answer ? Verdict() : no_such_mailbox(question.address));
        } else {
            if (!std::exchange(told, true)) {
                warn_(answer.error());
            }
            question.done(cannot_tell());
        }
    }
}

std::optional<std::string> DatabaseCheck::fault_of(const Source& source) {
    Reader reader(source);
    std::string problem = reader.open_if_needed();
    return problem.empty() ? std::nullopt : std::optional(std::move(problem));
}

Result<bool, std::string> DatabaseCheck::answer_now(const Source& source, const mail::Mailbox& address) {
    Reader reader(source);
    return reader.answer(address);
}

}  // namespace postern::recipients
