#include "queue/detail/database_file.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "queue/detail/file_system.hpp"
#include "queue/detail/schema.hpp"

namespace postern::queue::detail {

namespace {

constexpr sqlite3_int64 log_block_octets = 1 << 16;  // SQLite's own layer takes less than 128 KiB at once
constexpr int busy_milliseconds = 2000;

OpenError refusal(OpenError::Kind kind, std::string text) {
    OpenError error;
    error.kind = kind;
    error.text = std::move(text);
    return error;
}

std::optional<OpenError> wrong_schema(SchemaState state, const std::filesystem::path& file) {
    if (state == SchemaState::newer) {
        return refusal(
            OpenError::Kind::newer_schema,
            file.string() + " was written by a newer version of postern; run that version, or restore an older file");
    }
    if (state == SchemaState::foreign) {
        return refusal(OpenError::Kind::damaged,
                       file.string() + " is a database, but not one of postern; is `queue.path` right?");
    }
    return std::nullopt;
}

/// Made before SQLite makes it, so that no moment has wider permissions; -wal and -shm take the file's over. A file
/// that exists is not opened: to close it again would drop the locks that a reader of this process holds on it.
void create_private(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor >= 0) {
        ::close(descriptor);
    }
}

}  // namespace

std::filesystem::path history_path(const std::filesystem::path& queue) { return queue.string() + "-history"; }

std::optional<OpenError> check_place(const std::filesystem::path& file) {
    struct stat entry {};
    if (::lstat(file.c_str(), &entry) == 0 && !S_ISREG(entry.st_mode)) {
        return refusal(OpenError::Kind::refused, file.string() + " is not a plain file; the queue follows no links");
    }
    if (::lstat(file.c_str(), &entry) == 0 && entry.st_nlink > 1) {
        return refusal(OpenError::Kind::refused, file.string() +
                                                     " has a second name (a hard link); used by that one it would lose "
                                                     "its write-ahead log. Remove the other name");
    }
    struct statfs system {};
    const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
    if (::statfs(folder.c_str(), &system) != 0) {
        return refusal(OpenError::Kind::io,
                       "cannot use the folder " + folder.string() + ": " + std::generic_category().message(errno));
    }
    if (const auto unfit = unfit_file_system(static_cast<long>(system.f_type)); !unfit.empty()) {
        return refusal(OpenError::Kind::refused, folder.string() + " is on " + std::string(unfit) +
                                                     ", where a queue cannot be kept safe; use a local disk");
    }
    return std::nullopt;
}

void write_log_again(Connection& connection) {
    // Seen inside a transaction, so that nobody else writes to the log meanwhile.
    connection.execute("BEGIN IMMEDIATE");
    sqlite3_file* log = nullptr;
    int code = sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    sqlite3_int64 size = 0;
    if (code == SQLITE_OK && log != nullptr && log->pMethods != nullptr) {
        code = log->pMethods->xFileSize(log, &size);
        std::vector<char> bytes(static_cast<std::size_t>(std::min<sqlite3_int64>(size, log_block_octets)));
        for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += log_block_octets) {
            const int count = static_cast<int>(std::min<sqlite3_int64>(size - at, log_block_octets));
            code = log->pMethods->xRead(log, bytes.data(), count, at);
            if (code == SQLITE_OK) {
                code = log->pMethods->xWrite(log, bytes.data(), count, at);
            }
        }
        if (code == SQLITE_OK && size > 0) {
            code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
        }
    }
    connection.execute("ROLLBACK");
    if (code != SQLITE_OK) {
        throw SqliteError(code, "the write-ahead log cannot be written again: " + std::string(sqlite3_errstr(code)));
    }
}

void verify_pages(Connection& connection, std::chrono::seconds time_max, const std::atomic<bool>& give_up) {
    struct Limit {
        std::chrono::steady_clock::time_point until;
        const std::atomic<bool>& give_up;
    } limit{std::chrono::steady_clock::now() + time_max, give_up};
    auto too_long = [](void* given) {
        const auto& when = *static_cast<const Limit*>(given);
        return when.give_up || std::chrono::steady_clock::now() > when.until ? 1 : 0;
    };
    sqlite3_progress_handler(connection.handle(), 10'000, too_long, &limit);
    std::string verdict;
    try {
        verdict = connection.query_text("PRAGMA quick_check(1)");
    } catch (const SqliteError& error) {
        sqlite3_progress_handler(connection.handle(), 0, nullptr, nullptr);
        if (error.code() == SQLITE_INTERRUPT) {
            return;
        }
        throw;
    }
    sqlite3_progress_handler(connection.handle(), 0, nullptr, nullptr);
    if (verdict != "ok") {
        throw SqliteError(SQLITE_CORRUPT, "the check of the queue file found: " + verdict);
    }
}

Result<std::unique_ptr<Connection>, OpenError> open_queue_file(const std::filesystem::path& file, OpenMode mode,
                                                               const char* vfs) {
    if (mode == OpenMode::create) {
        create_private(file);
    }
    auto connection = std::make_unique<Connection>(file, mode, vfs);
    if (connection->is_read_only()) {
        return refusal(OpenError::Kind::refused, file.string() + " cannot be written by this user");
    }
    sqlite3_busy_timeout(connection->handle(), busy_milliseconds);
    sqlite3_db_config(connection->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);  // until all went well
    connection->execute("PRAGMA locking_mode=NORMAL");
    // Incremental: what a full queue took of the disk, the writer gives back bit by bit when it has emptied.
    connection->execute("PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL");
    if (auto wrong = wrong_schema(queue_schema_state(*connection), file)) {
        return *wrong;
    }
    if (connection->query_text("PRAGMA journal_mode=WAL") != "wal") {
        return refusal(OpenError::Kind::refused, file.string() + ": the file system cannot keep a write-ahead log");
    }
    // secure_delete is on in Debian's build: it would write every page of a message that is gone once more.
    connection->execute(
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0; PRAGMA secure_delete=OFF; "
        "PRAGMA cache_size=-4096; PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY; "
        "PRAGMA journal_size_limit=67108864; PRAGMA trusted_schema=OFF");
    write_log_again(*connection);
    migrate_queue(*connection);
    connection->execute(
        "BEGIN IMMEDIATE; DELETE FROM chunk WHERE message IN (SELECT message FROM incoming); DELETE FROM incoming; "
        "COMMIT");
    // From here on the writer waits by itself, and not at all where it only looks whether it could.
    sqlite3_busy_timeout(connection->handle(), 0);
    sqlite3_db_config(connection->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
    return connection;
}

Result<std::unique_ptr<Connection>, OpenError> open_history_file(const std::filesystem::path& file) {
    create_private(file);
    auto connection = std::make_unique<Connection>(file, OpenMode::create);
    if (auto wrong = wrong_schema(history_schema_state(*connection), file)) {
        return *wrong;
    }
    (void)connection->query_text("PRAGMA journal_mode=WAL");
    connection->execute(
        "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4096; PRAGMA mmap_size=0; PRAGMA secure_delete=OFF; "
        "PRAGMA cache_size=-2048; PRAGMA trusted_schema=OFF");
    migrate_history(*connection);
    return connection;
}

Result<std::unique_ptr<Connection>, OpenError> open_recipients_file(const std::filesystem::path& file) {
    if (auto misplaced = check_place(file)) {
        return *misplaced;
    }
    try {
        create_private(file);
        auto connection = std::make_unique<Connection>(file, OpenMode::create);
        if (auto wrong = wrong_schema(recipients_schema_state(*connection), file)) {
            return *wrong;
        }
        (void)connection->query_text("PRAGMA journal_mode=WAL");
        connection->execute(
            "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=1000; PRAGMA mmap_size=0; PRAGMA secure_delete=OFF; "
            "PRAGMA cache_size=-1024; PRAGMA trusted_schema=OFF");
        migrate_recipients(*connection);
        return connection;
    } catch (const SqliteError& error) {
        return refusal(error.is_corrupt() ? OpenError::Kind::damaged : OpenError::Kind::io,
                       file.string() + ": " + error.what());
    }
}

OpenError open_error(const SqliteError& error, const std::filesystem::path& file) {
    const auto kind = error.is_corrupt() ? OpenError::Kind::damaged : OpenError::Kind::io;
    std::string text = file.string() + ": " + error.what();
    if (kind == OpenError::Kind::damaged) {
        text +=
            "; stop the gateway, keep a copy of the file with its -wal, and restore a backup (`postern queue list` and "
            "`postern queue cat ID` show what can still be read)";
    }
    return refusal(kind, std::move(text));
}

}  // namespace postern::queue::detail
