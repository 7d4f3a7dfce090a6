// Where the content of a transaction comes from: memory, when it has just been accepted; else the queue, read on a
// thread of its own, so that a slow disk holds up one transaction and not the others.
//
// Threads: awaited on the delivery thread; the Reader lives on the loader's own thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lmtp-client/transaction.hpp"
#include "queue/reader.hpp"

namespace postern::delivery {

/// A content that is in memory.
[[nodiscard]] std::shared_ptr<lmtp_client::ContentSource> memory_content(std::shared_ptr<const std::string> content);

class Loader {
public:
    /// Opens a Reader, or says why not. Called on the loader's thread, again after a failure.
    using OpenReader = std::function<Result<std::unique_ptr<queue::Reader>, std::string>()>;

    struct Failure {
        queue::ReadError error = queue::ReadError::failed;
        std::string text;
    };

    Loader(boost::asio::any_io_executor delivery, OpenReader open_reader);
    /// Waits for the call at work.
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    /// The envelope of the message, once its checksum was found right, perhaps a moment ago: a message to many takes
    /// many transactions, and each would read all of its recipients.
    [[nodiscard]] boost::asio::awaitable<Result<queue::Envelope, Failure>> verified(queue::MessageId id,
                                                                                    queue::SteadyInstant now);
    /// Messages as they stand; those that are gone are left out.
    [[nodiscard]] boost::asio::awaitable<Result<std::vector<queue::QueuedMessage>, Failure>> find(
        std::vector<queue::MessageId> ids);
    /// What lies in the queue, by backend and domain, and whether it was counted right.
    [[nodiscard]] boost::asio::awaitable<Result<queue::BacklogSurvey, Failure>> backlog();
    /// A content in the queue, part by part. The loader outlives it.
    [[nodiscard]] std::shared_ptr<lmtp_client::ContentSource> stored_content(queue::MessageId id);

    [[nodiscard]] boost::asio::awaitable<Result<std::string, Failure>> part(queue::MessageId id, std::uint32_t number);

private:
    template <class Answer>
    boost::asio::awaitable<Answer> ask(std::function<Answer(queue::Reader&)> question);
    [[nodiscard]] Result<queue::Reader*, Failure> reader();
    [[nodiscard]] const queue::Envelope* lately_verified(queue::MessageId id, queue::SteadyInstant now) const;

    struct Verified {
        queue::Envelope envelope;
        queue::SteadyInstant at;
    };

    boost::asio::any_io_executor delivery_;
    OpenReader open_reader_;
    std::unique_ptr<queue::Reader> reader_;
    std::deque<Verified> verified_;  // the newest last; on the delivery thread
    boost::asio::thread_pool thread_{1};
};

}  // namespace postern::delivery
