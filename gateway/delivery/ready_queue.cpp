#include "gateway/delivery/ready_queue.hpp"

#include <iterator>
#include <utility>

namespace postern::delivery {

namespace {

constexpr std::uint32_t firsts_max = 8;  ///< before one that comes again

}  // namespace

std::list<Batch>& ReadyQueue::next_line() {
    const bool whose_turn_is_again = first_.empty() || (firsts_ >= firsts_max && !again_.empty());
    return whose_turn_is_again ? again_ : first_;
}

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
    first_.push_back(std::move(batch));
    by_message_.emplace(message, std::prev(first_.end()));
}

void ReadyQueue::took(std::size_t count) {
    recipients_ -= count;
    std::list<Batch>& line = next_line();
    firsts_ = &line == &first_ ? firsts_ + 1 : 0;
    const auto first = line.begin();
    if (first->recipients.empty()) {
        by_message_.erase(first->message.value());
        line.erase(first);
    } else {
        again_.splice(again_.end(), line, first);
    }
}

Batch ReadyQueue::take_last() {
    std::list<Batch>& line = first_.empty() ? again_ : first_;
    Batch last = std::move(line.back());
    line.pop_back();
    by_message_.erase(last.message.value());
    recipients_ -= last.recipients.size();
    return last;
}

std::list<Batch> ReadyQueue::take_all() {
    by_message_.clear();
    recipients_ = 0;
    std::list<Batch> all = std::exchange(first_, {});
    all.splice(all.end(), again_);
    return all;
}

}  // namespace postern::delivery
