#include "gateway/log/log.hpp"

#include <poll.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <future>
#include <mutex>
#include <system_error>
#include <thread>

#include "gateway/log/journal.hpp"

namespace postern::log {

namespace {

constexpr std::size_t waiting_lines_max = 8192;
/// The pool blocks whoever comes when it is full, so it must not get there: the rest is for the threads that find room
/// at the same moment, for the last `log_lost`, and for the pool's own word at the end.
constexpr std::size_t full = waiting_lines_max - 256;
constexpr std::size_t roomy = waiting_lines_max / 2;
constexpr std::chrono::seconds wait_for_room{1};
constexpr std::chrono::milliseconds look_for_room{5};
constexpr std::chrono::seconds wait_for_the_end{5};

/// Standard error, without stdio: who is stuck in a write must not hold the lock that the end of the process takes.
class Sink final : public spdlog::sinks::base_sink<std::mutex> {
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        std::string_view rest(line.data(), line.size());
        while (!rest.empty()) {
            const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
            if (written >= 0) {
                rest.remove_prefix(static_cast<std::size_t>(written));
            } else if (errno == EAGAIN) {  // somebody else has set it so
                pollfd room{STDERR_FILENO, POLLOUT, 0};
                ::poll(&room, 1, -1);
            } else if (errno != EINTR) {
                return;
            }
        }
    }
    void flush_() override {}
};

}  // namespace

struct Log::Writer {
    std::shared_ptr<Sink> sink = std::make_shared<Sink>();
    std::shared_ptr<spdlog::details::thread_pool> pool;
    std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("postern", sink);

    Writer() { prepare(); }
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    void start() {
        pool = std::make_shared<spdlog::details::thread_pool>(waiting_lines_max, 1);
        logger = std::make_shared<spdlog::async_logger>("postern", sink, pool, spdlog::async_overflow_policy::block);
        prepare();
    }

    /// Waits for room, but not for long. False: the line is lost, and counted.
    [[nodiscard]] bool has_room();
    /// How many were lost before there was room again; told once.
    [[nodiscard]] std::uint64_t take_lost() { return lost_ == 0 || is_lossy_ ? 0 : lost_.exchange(0); }
    /// Whatever the state: at the end.
    [[nodiscard]] std::uint64_t take_all_lost() { return lost_.exchange(0); }

private:
    void prepare() {
        logger->set_pattern("%v");
        logger->set_level(spdlog::level::trace);
        // There is no buffer: every line is a write already.
        logger->flush_on(spdlog::level::off);
    }

    std::atomic<bool> is_stalled_{false};  ///< somebody had to wait, and it is not roomy yet
    std::atomic<bool> is_lossy_{false};
    std::atomic<std::uint64_t> lost_{0};
    std::mutex stall_mutex_;  ///< held by who waits: the others wait behind, so that it is one wait for all
    std::chrono::steady_clock::duration waited_{};  ///< in this stall; under `stall_mutex_`
};

bool Log::Writer::has_room() {
    if (!pool || (!is_stalled_ && pool->queue_size() < full)) {
        return true;
    }
    const std::lock_guard lock(stall_mutex_);
    for (;;) {
        const std::size_t waiting = pool->queue_size();
        if (waiting < roomy) {
            waited_ = {};
            is_lossy_ = false;
            is_stalled_ = false;
            return true;
        }
        if (is_lossy_) {
            ++lost_;
            return false;
        }
        if (waiting < full) {
            return true;
        }
        is_stalled_ = true;
        const auto began = std::chrono::steady_clock::now();
        std::this_thread::sleep_for(look_for_room);
        waited_ += std::chrono::steady_clock::now() - began;
        is_lossy_ = waited_ >= wait_for_room;
    }
}

/// The pool ends once its thread has written everything. A thread that nobody waits for does that, as it may be never.
Log::Writer::~Writer() {
    if (!pool) {
        return;
    }
    std::promise<void> ended;
    const auto end = ended.get_future();
    try {
        std::thread closer([pool = std::move(pool), ended = std::move(ended)]() mutable {
            pool.reset();
            ended.set_value();
        });
        if (end.wait_for(wait_for_the_end) == std::future_status::ready) {
            closer.join();
        } else {
            closer.detach();
        }
    } catch (const std::system_error&) {  // no such thread: the pool has ended here
    }
}

Log::Log(const queue::Clock& clock, Format format, Level level)
    : clock_(clock),
      format_(format),
      to_journal_(leads_to_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"))),
      level_(level),
      writer_(std::make_unique<Writer>()) {}

Log::~Log() {
    if (const std::uint64_t lost = writer_->take_all_lost()) {
        put(Level::warn, "log_lost", std::array{Field("lines", lost)});
    }
}

void Log::start() { writer_->start(); }

void Log::write(Level level, std::string_view event, std::initializer_list<Field> fields) {
    write(level, event, std::span<const Field>(fields.begin(), fields.size()));
}

void Log::write(Level level, std::string_view event, std::span<const Field> fields) {
    if (!is_on(level)) {
        return;
    }
    if (!writer_->has_room()) {
        return;
    }
    if (const std::uint64_t lost = writer_->take_lost()) {
        put(Level::warn, "log_lost", std::array{Field("lines", lost)});
    }
    put(level, event, fields);
}

void Log::put(Level level, std::string_view event, std::span<const Field> fields) {
    std::string line = format_line(format_, clock_.wall(), level, event, fields);
    if (to_journal_) {
        line.insert(0, journal_prefix(level));
    }
    writer_->logger->log(spdlog::level::info, spdlog::string_view_t(line));
}

}  // namespace postern::log
