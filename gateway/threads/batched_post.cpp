#include "gateway/threads/batched_post.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace postern::threads {

void BatchedPost::flush() {
    if (gathered_.empty()) {
        return;
    }
    std::vector<Work> batch;
    batch.reserve(gathered_.size());  // the next batch is likely of this size; so each costs one allocation
    batch.swap(gathered_);
    boost::asio::post(executor_, [work = std::move(batch)]() {
        for (const Work& one : work) {
            one();
        }
    });
}

}  // namespace postern::threads
