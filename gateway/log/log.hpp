// Where events go: standard error, from any thread, written by a thread of its own so that neither a session nor the
// store waits for a terminal. When standard error is systemd's journal, it learns each line's level (journal.hpp).
//
// When lines come faster than they can be written, or whoever reads them has stopped, thousands of them wait in memory.
// Once that is full, the writers wait too, a second in all: a burst loses nothing. Then lines are dropped, so that mail
// goes on, and counted. When half of the room is free again, the first line after that is preceded by
// `log_lost lines=N`.
//
// Threads: any.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "gateway/log/line.hpp"

namespace postern::log {

class Log {
public:
    /// `clock` outlives it. Until start() lines are written at once, by who has them, and that may be one thread only.
    Log(const queue::Clock& clock, Format format, Level level);
    /// Writes what is still waiting; what nobody reads within a few seconds is left behind, with the thread that has
    /// it.
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    /// Starts the thread. Once, before there is any other that writes: the rights of the process are given up by
    /// thread, and this one must not have begun with more than the others.
    void start();

    void set_level(Level level) noexcept { level_ = level; }
    [[nodiscard]] bool is_on(Level level) const noexcept { return level >= level_.load(std::memory_order_relaxed); }

    void write(Level level, std::string_view event, std::initializer_list<Field> fields);
    void write(Level level, std::string_view event, std::span<const Field> fields);
    void info(std::string_view event, std::initializer_list<Field> fields) { write(Level::info, event, fields); }
    void warn(std::string_view event, std::initializer_list<Field> fields) { write(Level::warn, event, fields); }
    void error(std::string_view event, std::initializer_list<Field> fields) { write(Level::error, event, fields); }

private:
    struct Writer;

    void put(Level level, std::string_view event, std::span<const Field> fields);

    const queue::Clock& clock_;
    const Format format_;
    const bool to_journal_;  ///< lines get its prefix
    std::atomic<Level> level_;
    std::unique_ptr<Writer> writer_;
};

}  // namespace postern::log
