// Writes lines to standard error on a thread of its own. A line that comes when all is quiet is written at once; what
// comes within the next hundredth of a second is written together, for waking a thread and calling the system once a
// line cost a loaded gateway more than making the lines.
//
// Room: a megabyte of lines may wait. Who comes when there is no more waits too, a second in all. Then lines are
// dropped and counted; once half of the room is free the count is told, and lines are taken again.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern::log {

class LineWriter {
public:
    /// `tell_lost` makes the line that says how many were lost; called under a lock, on the thread or in the
    /// destructor, and never after it. Until start() lines are written at once, by who has them.
    explicit LineWriter(std::function<std::string(std::uint64_t lost)> tell_lost);
    /// Writes what waits; what nobody reads within a few seconds is left behind, with the thread that has it.
    ~LineWriter();
    LineWriter(const LineWriter&) = delete;
    LineWriter& operator=(const LineWriter&) = delete;

    /// Once. Errors: std::system_error.
    void start();

    /// `line` ends with a line feed.
    void write(std::string_view line);

private:
    struct Shared;

    std::shared_ptr<Shared> shared_;  ///< with the thread, which may outlive this
    bool is_started_ = false;
};

}  // namespace postern::log
