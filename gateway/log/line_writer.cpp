#include "gateway/log/line_writer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace postern::log {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t room = 1024 * 1024;
constexpr std::size_t roomy = room / 2;
constexpr std::size_t at_once = 64 * 1024;
constexpr std::chrono::milliseconds between_writes{10};
constexpr std::chrono::seconds wait_for_room{1};
constexpr std::chrono::seconds wait_for_the_end{5};

/// Without stdio: who is stuck in a write must not hold the lock that the end of the process takes. What is left when
/// nothing more can be written (a full disk, nobody at the other end).
std::string_view write_all(std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {  // somebody else has set it so
            pollfd descriptor{STDERR_FILENO, POLLOUT, 0};
            ::poll(&descriptor, 1, -1);
        } else if (errno != EINTR) {
            break;
        }
    }
    return text;
}

/// The first part that is written in one go: whole lines, if one ends there.
std::string_view next_part(std::string_view text) {
    if (text.size() <= at_once) {
        return text;
    }
    const std::size_t end = text.rfind('\n', at_once - 1);
    return text.substr(0, end == std::string_view::npos ? at_once : end + 1);
}

}  // namespace

struct LineWriter::Shared {
    std::function<std::string(std::uint64_t)> tell_lost;

    std::mutex mutex;
    std::condition_variable wake;   ///< the thread's
    std::condition_variable freed;  ///< there is more room
    std::condition_variable ended;
    std::string lines;         ///< not with the thread yet
    std::size_t unwritten{0};  ///< bytes, also of what the thread has
    bool is_idle{false};       ///< the thread waits for a line
    bool is_ending{false};
    bool has_ended{false};

    // From when there is no room until it is roomy again.
    Clock::duration waited{};  ///< by whoever waited, together: two at once are one wait
    Clock::time_point wait_began;
    int waiting{0};
    bool is_lossy{false};
    bool is_broken{false};  ///< the last write failed
    std::uint64_t lost{0};

    void take(std::string_view line);
    void put(std::string_view line);
    void run();

private:
    using Lock = std::unique_lock<std::mutex>;

    [[nodiscard]] bool has_room(std::string_view line) const {
        return unwritten == 0 || unwritten + line.size() <= room;
    }
    [[nodiscard]] bool wait_for_room_for(std::string_view line, Lock& lock);
    void written(std::size_t bytes);
};

void LineWriter::Shared::take(std::string_view line) {
    bool wakes = false;
    {
        Lock lock(mutex);
        if (is_lossy || (!has_room(line) && !wait_for_room_for(line, lock))) {
            ++lost;
            return;
        }
        put(line);
        wakes = std::exchange(is_idle, false);
    }
    if (wakes) {
        wake.notify_one();
    }
}

bool LineWriter::Shared::wait_for_room_for(std::string_view line, Lock& lock) {
    if (waiting++ == 0) {
        wait_began = Clock::now();
    }
    const bool found =
        freed.wait_until(lock, wait_began + (wait_for_room - waited), [&] { return is_lossy || has_room(line); });
    if (--waiting == 0) {
        waited += Clock::now() - wait_began;
    }
    is_lossy = is_lossy || !found;
    return !is_lossy;
}

void LineWriter::Shared::put(std::string_view line) {
    lines += line;
    unwritten += line.size();
}

/// A part has left.
void LineWriter::Shared::written(std::size_t bytes) {
    unwritten -= bytes;
    if (unwritten < roomy) {
        waited = {};
        is_lossy = false;
        if (lost > 0 && !is_ending && !is_broken) {
            put(tell_lost(std::exchange(lost, 0)));
        }
    }
    if (waiting > 0) {
        freed.notify_all();
    }
}

void LineWriter::Shared::run() {
    Lock lock(mutex);
    for (;;) {
        is_idle = lines.empty();
        wake.wait(lock, [this] { return is_ending || !lines.empty(); });
        is_idle = false;
        if (lines.empty()) {
            break;
        }
        const std::string batch = std::exchange(lines, {});
        const auto began = Clock::now();
        for (std::string_view rest = batch; !rest.empty();) {
            const std::string_view part = next_part(rest);
            lock.unlock();
            const std::string_view unwritable = write_all(part);
            lock.lock();
            lost += static_cast<std::uint64_t>(std::count(unwritable.begin(), unwritable.end(), '\n'));
            is_broken = !unwritable.empty();
            rest.remove_prefix(part.size());
            written(part.size());
        }
        wake.wait_until(lock, began + between_writes, [this] { return is_ending; });
    }
    has_ended = true;
    ended.notify_all();
}

LineWriter::LineWriter(std::function<std::string(std::uint64_t)> tell_lost) : shared_(std::make_shared<Shared>()) {
    shared_->tell_lost = std::move(tell_lost);
}

LineWriter::~LineWriter() {
    std::unique_lock lock(shared_->mutex);
    shared_->is_ending = true;
    if (shared_->lost > 0) {
        shared_->put(shared_->tell_lost(std::exchange(shared_->lost, 0)));
    }
    shared_->wake.notify_one();
    if (is_started_) {
        shared_->ended.wait_for(lock, wait_for_the_end, [this] { return shared_->has_ended; });
    }
}

void LineWriter::start() {
    // Nobody joins it: it may be stuck in a write for good.
    std::thread([shared = shared_] { shared->run(); }).detach();
    is_started_ = true;
}

void LineWriter::write(std::string_view line) {
    if (is_started_) {
        shared_->take(line);
    } else {
        static_cast<void>(write_all(line));
    }
}

}  // namespace postern::log
