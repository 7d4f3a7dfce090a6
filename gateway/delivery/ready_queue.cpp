#include "gateway/delivery/ready_queue.hpp"

#include <iterator>
#include <utility>

namespace postern::delivery {

std::size_t ReadyQueue::recipients_of(queue::MessageId message) const {
    const auto found = by_message_.find(message.value());
    return found == by_message_.end() ? 0 : found->second->recipients.size();
}

void ReadyQueue::add(Batch batch) {
    if (batch.recipients.empty()) {
        return;
    }
    recipients_ += batch.recipients.size();
    const auto found = by_message_.find(batch.message.value());
    if (found != by_message_.end()) {
        auto& there = found->second->recipients;
        there.insert(there.end(), std::make_move_iterator(batch.recipients.begin()),
                     std::make_move_iterator(batch.recipients.end()));
        return;
    }
    const std::int64_t message = batch.message.value();
    line_.push_back(std::move(batch));
    by_message_.emplace(message, std::prev(line_.end()));
}

void ReadyQueue::took(std::size_t count) {
    recipients_ -= count;
    const auto first = line_.begin();
    if (first->recipients.empty()) {
        by_message_.erase(first->message.value());
        line_.erase(first);
    } else {
        line_.splice(line_.end(), line_, first);
    }
}

std::list<Batch> ReadyQueue::take_all() {
    by_message_.clear();
    recipients_ = 0;
    return std::exchange(line_, {});
}

}  // namespace postern::delivery
