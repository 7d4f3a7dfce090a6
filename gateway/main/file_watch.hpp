// Notices that files have changed, by looking at them every few seconds: works on any file system, and follows the
// symbolic links that certificate clients turn.
//
// Two files that belong together are rarely written at once; so a change is told only once two looks have found the
// same.
//
// Threads: seen() from any; the calls come from the watch's own thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace postern::gateway {

/// What files look like from outside: enough to see that one was written, replaced or taken away.
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
    /// This is known: no news.
    void seen(std::string look);
    /// A look at the files. True: they have changed, and are quiet again.
    [[nodiscard]] bool is_news(std::string look);

private:
    std::string known_;
    std::optional<std::string> last_;  // differs from `known_`
};

class FileWatch {
public:
    struct Calls {
        std::function<void()> changed;
        std::function<void()> looked;  ///< after each look
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
