// What becomes of lines that nobody reads.
#include "gateway/log/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <regex>
#include <string>
#include <thread>

namespace postern::log {
namespace {

constexpr int lines_each = 20'000;

/// Standard error is a pipe while it lives.
class PipedError {
public:
    /// O_DIRECT (pipe(2)): each read is one write, or 4096 octets of it.
    explicit PipedError(int flags = 0) : saved_(::dup(STDERR_FILENO)) {
        EXPECT_EQ(::pipe2(pipe_.data(), O_CLOEXEC | flags), 0);
        ::dup2(pipe_[1], STDERR_FILENO);
        ::close(pipe_[1]);
    }
    ~PipedError() {
        give_back();
        ::close(pipe_[0]);
    }
    PipedError(const PipedError&) = delete;
    PipedError& operator=(const PipedError&) = delete;

    void give_back() {
        if (saved_ >= 0) {
            ::dup2(saved_, STDERR_FILENO);
            ::close(saved_);
            saved_ = -1;
        }
    }
    /// Until give_back() and the end. `sees` is told all that there is, time and again.
    [[nodiscard]] std::string read(const std::function<void(const std::string&)>& sees = {}) const {
        std::string text;
        std::array<char, 4096> buffer{};
        for (ssize_t size = 0; (size = ::read(pipe_[0], buffer.data(), buffer.size())) > 0;) {
            text.append(buffer.data(), static_cast<std::size_t>(size));
            if (sees) {
                sees(text);
            }
        }
        return text;
    }

    /// What is there, or comes next.
    [[nodiscard]] std::string read_some() const {
        std::array<char, 4096> buffer{};
        const ssize_t size = ::read(pipe_[0], buffer.data(), buffer.size());
        return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
    }

private:
    int saved_;
    std::array<int, 2> pipe_{};
};

void write_from_two_threads(Log& log) {
    const auto write = [&log] {
        for (int i = 0; i < lines_each; ++i) {
            log.info("line", {{"number", std::int64_t{i}}});
        }
    };
    std::thread other(write);
    write();
    other.join();
}

std::int64_t count(const std::string& text, const std::string& part) {
    std::int64_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

std::int64_t told_lost(const std::string& text) {
    const std::regex pattern(" warn log_lost lines=([0-9]+)\n");
    std::int64_t lost = 0;
    for (auto each = std::sregex_iterator(text.begin(), text.end(), pattern); each != std::sregex_iterator(); ++each) {
        lost += std::stoll((*each)[1]);
    }
    return lost;
}

TEST(Log, LosesNothingWhileItIsRead) {
    const queue::SystemClock clock;
    PipedError piped;
    auto text = std::async(std::launch::async, [&piped] { return piped.read(); });
    {
        Log log(clock, Format::logfmt, Level::info);
        log.start();
        for (int i = 0; i < 2000; ++i) {
            log.info("line", {{"number", std::int64_t{i}}});
        }
    }
    piped.give_back();
    const std::string read = text.get();
    EXPECT_EQ(count(read, " info line number="), 2000);
    EXPECT_EQ(count(read, "log_lost"), 0);
}

TEST(Log, DropsWhatNobodyReadsAndSaysHowMuch) {
    const queue::SystemClock clock;
    PipedError piped;
    std::future<std::string> text;
    {
        Log log(clock, Format::logfmt, Level::info);
        log.start();
        write_from_two_threads(log);
        text = std::async(std::launch::async, [&piped] { return piped.read(); });
    }
    piped.give_back();
    const std::string read = text.get();
    EXPECT_GT(told_lost(read), 0);
    EXPECT_EQ(count(read, " info line number=") + told_lost(read), 2 * lines_each);
}

TEST(Log, SaysWhatWasLostOnceThereIsRoomAgain) {
    const queue::SystemClock clock;
    PipedError piped;
    std::future<std::string> text;
    {
        Log log(clock, Format::logfmt, Level::info);
        log.start();
        write_from_two_threads(log);
        std::promise<void> told;
        text = std::async(std::launch::async, [&piped, &told] {
            bool is_told = false;
            return piped.read([&](const std::string& all) {
                if (!is_told && all.find(" log_lost lines=") != std::string::npos) {
                    is_told = true;
                    told.set_value();
                }
            });
        });
        told.get_future().wait();
        log.info("after", {});
    }
    piped.give_back();
    const std::string read = text.get();
    EXPECT_EQ(count(read, " info line number=") + told_lost(read), 2 * lines_each);
    EXPECT_EQ(count(read, "log_lost"), 1);
    EXPECT_LT(read.find(" log_lost lines="), read.find(" info after\n"));
}

TEST(Log, CountsWhatCouldNotBeWritten) {
    const queue::SystemClock clock;
    PipedError piped;
    Log log(clock, Format::logfmt, Level::info);
    log.start();
    const int pipe = ::dup(STDERR_FILENO);
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    std::string text;
    std::int64_t logged = 0;
    while (told_lost(text) == 0) {  // until the disk was full when a line was written
        ::dup2(full, STDERR_FILENO);
        log.info("some", {});
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        ::dup2(pipe, STDERR_FILENO);
        log.info("some", {});
        logged += 2;
        while (count(text, " info some\n") + told_lost(text) < logged) {
            text += piped.read_some();
        }
        EXPECT_EQ(count(text, " info some\n") + told_lost(text), logged);
    }
    ::close(pipe);
    ::close(full);
}

TEST(Log, WritesAtOnceWhatComesWhenAllIsQuiet) {
    const queue::SystemClock clock;
    PipedError piped;
    Log log(clock, Format::logfmt, Level::info);
    log.start();
    log.info("line", {});
    EXPECT_EQ(count(piped.read_some(), " info line\n"), 1);
}

TEST(Log, WritesTogetherWhatComesTogether) {
    const queue::SystemClock clock;
    PipedError piped(O_DIRECT);
    int writes = 0;
    auto text = std::async(std::launch::async,
                           [&piped, &writes] { return piped.read([&writes](const std::string&) { ++writes; }); });
    {
        Log log(clock, Format::logfmt, Level::info);
        log.start();
        for (int i = 0; i < 2000; ++i) {
            log.info("line", {{"number", std::int64_t{i}}});
        }
    }
    piped.give_back();
    EXPECT_EQ(count(text.get(), " info line number="), 2000);
    EXPECT_LT(writes, 500) << "a hundred a second, but for what does not fit";
}

TEST(Log, ThatNobodyReadsDoesNotKeepAProcessFromItsEnd) {
    PipedError piped;
    const pid_t child = ::fork();
    if (child == 0) {
        {
            const queue::SystemClock clock;
            Log log(clock, Format::logfmt, Level::info);
            log.start();
            write_from_two_threads(log);
        }
        std::exit(7);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 7);
}

}  // namespace
}  // namespace postern::log
