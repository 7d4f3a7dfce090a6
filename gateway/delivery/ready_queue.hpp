// Recipients that may go out, by message, in turn. Each message has one place; who has not had a turn yet goes before
// those that come again, so that a message with thousands of recipients costs its neighbours one transaction's wait;
// and now and then one that comes again goes before them, so that it does not wait for ever. Pure.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "queue/store.hpp"

namespace postern::delivery {

/// Recipients of one message for one backend, in RCPT order.
struct Batch {
    queue::MessageId message;
    queue::Instant received_at{};
    std::uint64_t size = 0;
    std::vector<queue::Recipient> recipients;
    std::shared_ptr<const queue::CommittedMessage> fresh;
};

class ReadyQueue {
public:
    [[nodiscard]] bool empty() const noexcept { return first_.empty() && again_.empty(); }
    [[nodiscard]] std::size_t recipients() const noexcept { return recipients_; }
    [[nodiscard]] std::size_t recipients_of(queue::MessageId message) const;

    /// Joins what is here of the message, or goes to the end of the line.
    void add(Batch batch);
    /// The next in turn; not when empty. Whoever takes of its recipients says so with took().
    [[nodiscard]] Batch& front() { return next_line().front(); }
    /// `count` recipients of front() were taken out by the caller: what is left comes again.
    void took(std::size_t count);
    /// The last in turn, taken out whole; not when empty.
    [[nodiscard]] Batch take_last();
    /// Everything, in turn; the queue is empty afterwards.
    [[nodiscard]] std::list<Batch> take_all();

private:
    [[nodiscard]] std::list<Batch>& next_line();

    std::list<Batch> first_;  ///< have not had a turn
    std::list<Batch> again_;
    std::uint32_t firsts_ = 0;  ///< turns of first_ in a row
    std::unordered_map<std::int64_t, std::list<Batch>::iterator> by_message_;
    std::size_t recipients_ = 0;
};

}  // namespace postern::delivery
