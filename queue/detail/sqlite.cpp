// The least of C++ over sqlite3; see the header.
#include "queue/detail/sqlite.hpp"

#include <sqlite3.h>

#include <utility>

namespace postern::queue::detail {

bool SqliteError::is_full() const noexcept { return code() == SQLITE_FULL; }
bool SqliteError::is_constraint() const noexcept {
    return code() == SQLITE_CONSTRAINT || code() == SQLITE_TOOBIG || code() == SQLITE_MISMATCH;
}
bool SqliteError::is_corrupt() const noexcept { return code() == SQLITE_CORRUPT || code() == SQLITE_NOTADB; }

namespace {

int open_flags(OpenMode mode) {
    // NOMUTEX: one thread at a time uses a connection. NOFOLLOW: a link could lead to another's file.
    const int common = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    switch (mode) {
        case OpenMode::read_only:
            return common | SQLITE_OPEN_READONLY;
        case OpenMode::read_write:
            return common | SQLITE_OPEN_READWRITE;
        case OpenMode::create:
            return common | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    }
    return common;
}

/// NOFOLLOW refuses links in the folder's path too, and a folder that lies on another disk is nothing unusual.
std::filesystem::path with_real_folder(const std::filesystem::path& path) {
    std::error_code error;
    const auto folder = std::filesystem::canonical(path.has_parent_path() ? path.parent_path() : ".", error);
    return error ? path : folder / path.filename();
}

}  // namespace

Connection::Connection(const std::filesystem::path& path, OpenMode mode, const char* vfs) {
    const int code = sqlite3_open_v2(with_real_folder(path).c_str(), &handle_, open_flags(mode), vfs);
    if (code != SQLITE_OK) {
        const std::string text = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
        sqlite3_close(handle_);
        throw SqliteError(code, "cannot open " + path.string() + ": " + text);
    }
}

Connection::~Connection() { sqlite3_close_v2(handle_); }

void Connection::fail(int code, std::string_view doing) const {
    std::string text = sqlite3_errmsg(handle_);
    text.append(" (").append(std::to_string(code)).append(") in: ").append(doing.substr(0, 120));
    throw SqliteError(code, text);
}

void Connection::execute(const char* sql) {
    const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
        fail(code, sql);
    }
}

std::int64_t Connection::query_integer(const char* sql) {
    Statement statement(*this, sql);
    auto rows = statement.rows();
    return rows.step() ? statement.integer(0) : 0;
}

std::string Connection::query_text(const char* sql) {
    Statement statement(*this, sql);
    auto rows = statement.rows();
    return rows.step() ? std::string(statement.text(0)) : std::string();
}

bool Connection::in_autocommit() const noexcept { return sqlite3_get_autocommit(handle_) != 0; }
bool Connection::is_read_only() const noexcept { return sqlite3_db_readonly(handle_, "main") == 1; }
std::int64_t Connection::changes() const noexcept { return sqlite3_changes64(handle_); }

Statement::Statement(Connection& connection, std::string_view sql) : connection_(connection) {
    const int code = sqlite3_prepare_v3(connection.handle(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
    if (code != SQLITE_OK) {
        connection.fail(code, sql);
    }
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}

// A bind fails only for a wrong index, which is a mistake in the SQL beside it, or for a value over SQLite's limit.
Statement& Statement::bind(int index, std::int64_t value) {
    if (const int code = sqlite3_bind_int64(statement_, index, value); code != SQLITE_OK) {
        connection_.fail(code, "bind");
    }
    return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
    const char* data = text.data() != nullptr ? text.data() : "";
    if (const int code = sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8);
        code != SQLITE_OK) {
        connection_.fail(code, "bind");
    }
    return *this;
}

Statement& Statement::bind_blob(int index, std::string_view bytes) {
    const char* data = bytes.data() != nullptr ? bytes.data() : "";
    if (const int code = sqlite3_bind_blob64(statement_, index, data, bytes.size(), SQLITE_STATIC); code != SQLITE_OK) {
        connection_.fail(code, "bind");
    }
    return *this;
}

Statement& Statement::bind_null(int index) {
    if (const int code = sqlite3_bind_null(statement_, index); code != SQLITE_OK) {
        connection_.fail(code, "bind");
    }
    return *this;
}

bool Statement::step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) {
        return true;
    }
    if (code != SQLITE_DONE) {
        connection_.fail(code, sqlite3_sql(statement_));
    }
    return false;
}

void Statement::reset() noexcept { sqlite3_reset(statement_); }

void Statement::run() {
    const Rows scope(*this);
    while (step()) {}
}

std::int64_t Statement::integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }

std::string_view Statement::text(int column) const noexcept {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return data == nullptr ? std::string_view()
                           : std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

std::string_view Statement::blob(int column) const noexcept {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return data == nullptr ? std::string_view()
                           : std::string_view(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

bool Statement::is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

}  // namespace postern::queue::detail
