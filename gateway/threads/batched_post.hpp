// Hands completions of one thread (the store's writer) over to an executor (a session thread, the delivery thread), one
// wake-up for all that gathered since the last flush, instead of one for each.
//
// Order: what was added runs in the order of the calls, also across flushes when the executor is one thread.
// Threads: add() and flush() on ONE thread (the store's writer: inside completions and StoreListener::batch_done());
// what was added runs on the executor. Construction anywhere before that; destruction after the writer has ended or
// will not call any more. What was posted by flush() outlives this object.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <vector>

namespace postern::threads {

class BatchedPost {
public:
    /// Must not throw: an exception would take the rest of its batch along.
    using Work = std::function<void()>;

    explicit BatchedPost(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}
    BatchedPost(const BatchedPost&) = delete;
    BatchedPost& operator=(const BatchedPost&) = delete;

    /// Keeps `work` for the next flush.
    void add(Work work) { gathered_.push_back(std::move(work)); }

    /// Posts all that was gathered as one handler; nothing when there is nothing.
    void flush();

    [[nodiscard]] bool empty() const noexcept { return gathered_.empty(); }

private:
    const boost::asio::any_io_executor executor_;
    std::vector<Work> gathered_;
};

}  // namespace postern::threads
