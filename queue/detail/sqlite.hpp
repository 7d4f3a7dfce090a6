// The least of C++ over sqlite3: a connection, a prepared statement, an error. No SQL of its own.
//
// Errors are thrown as SqliteError: inside queue/ a failed statement ends the unit of work (a batch, a read), and is
// caught where that unit begins. Nothing of this leaves the folder.
//
// Threads: one at a time for a connection and its statements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace postern::queue::detail {

class SqliteError : public std::runtime_error {
public:
    SqliteError(int extended_code, const std::string& what) : std::runtime_error(what), extended_code_(extended_code) {}
    [[nodiscard]] int extended_code() const noexcept { return extended_code_; }
    [[nodiscard]] int code() const noexcept { return extended_code_ & 0xff; }
    /// No room: SQLITE_FULL, which SQLite also makes of ENOSPC.
    [[nodiscard]] bool is_full() const noexcept;
    /// A row that breaks a CHECK, a key or NOT NULL: the caller's data is at fault, not the disk.
    [[nodiscard]] bool is_constraint() const noexcept;
    /// The file is not a database, or its pages contradict one another.
    [[nodiscard]] bool is_corrupt() const noexcept;

private:
    int extended_code_;
};

enum class OpenMode : std::uint8_t { read_only, read_write, create };

class Connection {
public:
    /// The folder may be reached by a link; the file itself may not be one. `vfs`: the name of the SQLite file layer,
    /// nullptr for the usual one; tests pass one that fails on demand.
    Connection(const std::filesystem::path& path, OpenMode mode, const char* vfs = nullptr);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Runs statements that give no rows, or whose rows do not matter.
    void execute(const char* sql);
    /// The first column of the first row of a query; 0 or "" when it gives no row.
    [[nodiscard]] std::int64_t query_integer(const char* sql);
    [[nodiscard]] std::string query_text(const char* sql);

    /// No transaction is open.
    [[nodiscard]] bool in_autocommit() const noexcept;
    /// SQLite opens a file that cannot be written for reading alone, without a word.
    [[nodiscard]] bool is_read_only() const noexcept;
    /// Rows changed by the last INSERT, UPDATE or DELETE.
    [[nodiscard]] std::int64_t changes() const noexcept;
    [[nodiscard]] sqlite3* handle() const noexcept { return handle_; }
    [[noreturn]] void fail(int code, std::string_view doing) const;

private:
    sqlite3* handle_ = nullptr;
};

/// A prepared statement, made to be used many times.
///
///     insert.bind(1, id).bind(2, name).run();
///
///     auto rows = select.rows();              // after the binds; resets the statement at the end of its scope
///     while (rows.step()) { use(select.integer(0), select.text(1)); }
///
/// Text and blobs are bound by reference: they must live until run() returns or the rows are gone.
class Statement {
public:
    Statement(Connection& connection, std::string_view sql);
    ~Statement();
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    Statement& bind(int index, std::int64_t value);
    Statement& bind(int index, std::string_view text);
    Statement& bind_blob(int index, std::string_view bytes);
    Statement& bind_null(int index);

    /// Steps to the end and resets, also when it throws.
    void run();

    class Rows {
    public:
        explicit Rows(Statement& statement) : statement_(statement) {}
        ~Rows() { statement_.reset(); }
        Rows(const Rows&) = delete;
        Rows& operator=(const Rows&) = delete;
        [[nodiscard]] bool step() { return statement_.step(); }

    private:
        Statement& statement_;
    };
    [[nodiscard]] Rows rows() { return Rows(*this); }

    // Of the current row; columns count from 0. Text and blobs live until the next step.
    [[nodiscard]] std::int64_t integer(int column) const noexcept;
    [[nodiscard]] std::string_view text(int column) const noexcept;
    [[nodiscard]] std::string_view blob(int column) const noexcept;
    [[nodiscard]] bool is_null(int column) const noexcept;

private:
    bool step();
    void reset() noexcept;

    Connection& connection_;
    sqlite3_stmt* statement_ = nullptr;
};

}  // namespace postern::queue::detail
