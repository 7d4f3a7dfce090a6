#include "gateway/log/log.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>

#include "gateway/log/journal.hpp"

namespace postern::log {

Log::Log(const queue::Clock& clock, Format format, Level level)
    : clock_(clock),
      format_(format),
      to_journal_(leads_to_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))),
      level_(level),
      writer_([this](std::uint64_t lost) { return line(Level::warn, "log_lost", std::array{Field("lines", lost)}); }) {}

void Log::write(Level level, std::string_view event, std::initializer_list<Field> fields) {
    write(level, event, std::span<const Field>(fields.begin(), fields.size()));
}

void Log::write(Level level, std::string_view event, std::span<const Field> fields) {
    if (is_on(level)) {
        writer_.write(line(level, event, fields));
    }
}

std::string Log::line(Level level, std::string_view event, std::span<const Field> fields) const {
    std::string line = format_line(format_, clock_.wall(), level, event, fields);
    if (to_journal_) {
        line.insert(0, journal_prefix(level));
    }
    line.push_back('\n');
    return line;
}

}  // namespace postern::log
