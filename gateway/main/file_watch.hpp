// Notices that files have changed, by looking at them every few seconds: works on any file system, and follows the
// symbolic links that certificate clients turn.
//
// Two files that belong together are rarely written at once; so a change is told only once two looks have found the
// same. And one that could not be taken up is told again, at growing intervals: the reason may have lain outside the
// files.
//
// Threads: seen() from any; the calls come from the watch's own thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace postern::gateway {

/// What files look like from outside: enough to see that one was written, replaced or taken away, or that other people
/// may read it now.
[[nodiscard]] std::string look_of(const std::vector<std::filesystem::path>& files);

/// Files as they were at one moment. Whoever reads them takes the look first: what is written meanwhile is news then.
struct Look {
    std::vector<std::filesystem::path> files;
    std::string state;
};
[[nodiscard]] Look look_at(std::vector<std::filesystem::path> files);

/// When a change is worth telling. Pure.
class ChangeFilter {
public:
    /// In looks.
    explicit ChangeFilter(std::int64_t longest_pause) : longest_pause_(longest_pause) {}

    /// This is known: no news.
    void seen(std::string look);
    /// A look at the files. True: they have changed, and are quiet again; or it is time to try once more.
    [[nodiscard]] bool is_news(std::string look);
    /// The last news could not be taken up. It is news again after a pause, each twice as long as the one before.
    void refused();

private:
    const std::int64_t longest_pause_;
    std::string known_;
    std::optional<std::string> last_;  // differs from `known_`
    std::int64_t pause_ = 0;
    std::int64_t looks_to_wait_ = 0;  // 0: there is nothing to try again
};

class FileWatch {
public:
    struct Calls {
        std::function<bool()> changed;  ///< false: not taken up, to be told again
        std::function<void()> looked;   ///< after each look
    };
    FileWatch(std::chrono::milliseconds interval, Calls calls);
    ~FileWatch();
    FileWatch(const FileWatch&) = delete;
    FileWatch& operator=(const FileWatch&) = delete;

    /// What was read after this look is in use: its files are watched from now on, for what differs from it.
    void seen(Look look);
    void start();
    /// No call comes after it returns. Not from within one.
    void stop();

private:
    void run();

    const std::chrono::milliseconds interval_;
    const Calls calls_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::filesystem::path> files_;
    ChangeFilter filter_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace postern::gateway
