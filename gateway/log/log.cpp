#include "gateway/log/log.hpp"

#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <cstdlib>

#include "gateway/log/journal.hpp"

namespace postern::log {

namespace {

constexpr std::size_t waiting_lines_max = 8192;

}  // namespace

struct Log::Writer {
    std::shared_ptr<spdlog::sinks::stderr_sink_mt> sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    std::shared_ptr<spdlog::details::thread_pool> pool;
    std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("postern", sink);

    Writer() { prepare(); }
    // The pool's thread writes what is queued, and has ended before anything that it uses goes.
    ~Writer() { pool.reset(); }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void start() {
        pool = std::make_shared<spdlog::details::thread_pool>(waiting_lines_max, 1);
        logger = std::make_shared<spdlog::async_logger>("postern", sink, pool, spdlog::async_overflow_policy::block);
        prepare();
    }

private:
    void prepare() {
        logger->set_pattern("%v");
        logger->set_level(spdlog::level::trace);
        // stderr has no buffer of its own: every line is a write already.
        logger->flush_on(spdlog::level::off);
    }
};

Log::Log(const queue::Clock& clock, Format format, Level level)
    : clock_(clock),
      format_(format),
      to_journal_(leads_to_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))),
      level_(level),
      writer_(std::make_unique<Writer>()) {}

Log::~Log() = default;

void Log::start() { writer_->start(); }

void Log::write(Level level, std::string_view event, std::initializer_list<Field> fields) {
    write(level, event, std::span<const Field>(fields.begin(), fields.size()));
}

void Log::write(Level level, std::string_view event, std::span<const Field> fields) {
    if (!is_on(level)) {
        return;
    }
    std::string line = format_line(format_, clock_.wall(), level, event, fields);
    if (to_journal_) {
        line.insert(0, journal_prefix(level));
    }
    writer_->logger->log(spdlog::level::info, spdlog::string_view_t(line));
}

}  // namespace postern::log
