// Keeps a book in its file: reads it at the start, and writes what has changed every few seconds, on a thread of its
// own, so that nobody waits for the disk.
//
// Threads: construction, start() and stop() by the owner.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "gateway/recipients/book.hpp"
#include "queue/known_recipients.hpp"

namespace postern::recipients {

class Keeper {
public:
    using Warn = std::function<void(const std::string&)>;

    /// `book` and `clock` outlive it.
    Keeper(Book& book, const queue::Clock& clock) : book_(book), clock_(clock) {}
    ~Keeper() { stop(); }
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    /// Fills the book with at most `entries` from the file beside `queue`, and begins to write. Without a file that can
    /// be used, `warn` is told, and the book is not kept.
    void start(const std::filesystem::path& queue, std::size_t entries, queue::Duration keep, Warn warn);
    /// Writes what has changed, and ends.
    void stop();

private:
    void run();

    Book& book_;
    const queue::Clock& clock_;
    std::unique_ptr<queue::KnownRecipientsFile> file_;
    queue::Duration keep_{};
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;  // last: it uses all of the above
};

}  // namespace postern::recipients
