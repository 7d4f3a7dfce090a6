// Recipients that may go out, by message, in turn: each message has one place in the line, and goes behind the others
// after each transaction. So a message with thousands of recipients costs its neighbours one transaction's wait. Pure.
#pragma once

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
    [[nodiscard]] bool empty() const noexcept { return line_.empty(); }
    [[nodiscard]] std::size_t recipients() const noexcept { return recipients_; }
    [[nodiscard]] std::size_t recipients_of(queue::MessageId message) const;

    /// Joins what is here of the message, or goes to the end of the line.
    void add(Batch batch);
    /// The next in turn; not when empty. Whoever takes of its recipients says so with took().
    [[nodiscard]] Batch& front() { return line_.front(); }
    /// `count` recipients of front() were taken out by the caller: what is left goes behind the others.
    void took(std::size_t count);
    /// Everything, in turn; the queue is empty afterwards.
    [[nodiscard]] std::list<Batch> take_all();

private:
    std::list<Batch> line_;
    std::unordered_map<std::int64_t, std::list<Batch>::iterator> by_message_;
    std::size_t recipients_ = 0;
};

}  // namespace postern::delivery
