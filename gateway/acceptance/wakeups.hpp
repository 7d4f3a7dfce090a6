// How the store's writer thread wakes the sessions that wait for it: what completes in one flush reaches each I/O
// thread as one handler.
//
// Threads: add() and flush() on the store's writer thread; lookup from any, after construction.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <vector>

#include "gateway/threads/batched_post.hpp"

namespace postern::acceptance {

class Wakeups {
public:
    explicit Wakeups(const std::vector<boost::asio::any_io_executor>& executors) {
        for (const auto& executor : executors) {
            posts_.push_back({executor, std::make_unique<threads::BatchedPost>(executor)});
        }
    }

    /// The post of the I/O thread behind `executor`; nullptr when it is none of them.
    [[nodiscard]] threads::BatchedPost* of(const boost::asio::any_io_executor& executor) const {
        for (const auto& post : posts_) {
            if (post.executor == executor) {
                return post.batch.get();
            }
        }
        return nullptr;
    }

    void flush() {
        for (const auto& post : posts_) {
            post.batch->flush();
        }
    }

private:
    struct Post {
        boost::asio::any_io_executor executor;
        std::unique_ptr<threads::BatchedPost> batch;
    };
    std::vector<Post> posts_;
};

}  // namespace postern::acceptance
