// Where events go: standard error, from any thread, written by a thread of its own (line_writer.hpp) so that neither a
// session nor the store waits for a terminal. When standard error is systemd's journal, it learns each line's level
// (journal.hpp). Lines that nobody reads are lost once there is no more room, and mail goes on; `log_lost lines=N`
// tells how many.
//
// Threads: any.
#pragma once

#include <atomic>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "gateway/log/line.hpp"
#include "gateway/log/line_writer.hpp"

namespace postern::log {

class Log {
public:
    /// `clock` outlives it. Until start() lines are written at once, by who has them, and that may be one thread only.
    Log(const queue::Clock& clock, Format format, Level level);
    ~Log() = default;
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    /// Starts the thread. Once, before there is any other that writes: the rights of the process are given up by
    /// thread, and this one must not have begun with more than the others.
    void start() { writer_.start(); }

    void set_level(Level level) noexcept { level_ = level; }
    [[nodiscard]] bool is_on(Level level) const noexcept { return level >= level_.load(std::memory_order_relaxed); }

    void write(Level level, std::string_view event, std::initializer_list<Field> fields);
    void write(Level level, std::string_view event, std::span<const Field> fields);
    void info(std::string_view event, std::initializer_list<Field> fields) { write(Level::info, event, fields); }
    void warn(std::string_view event, std::initializer_list<Field> fields) { write(Level::warn, event, fields); }
    void error(std::string_view event, std::initializer_list<Field> fields) { write(Level::error, event, fields); }

private:
    [[nodiscard]] std::string line(Level level, std::string_view event, std::span<const Field> fields) const;

    const queue::Clock& clock_;
    const Format format_;
    const bool to_journal_;  ///< lines get its prefix
    std::atomic<Level> level_;
    LineWriter writer_;
};

}  // namespace postern::log
