#include "gateway/acceptance/queue_sink.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "gateway/acceptance/abilities.hpp"

namespace postern::acceptance {

namespace asio = boost::asio;
using queue::StoreStatus;

namespace {

/// Runs `call` with a completion that resumes the awaiting session on its own thread, at the end of the flush that it
/// waited for.
template <class Call>
asio::awaitable<StoreStatus> completed(Call call, threads::BatchedPost* post, asio::any_io_executor executor) {
    auto initiate = [call = std::move(call), post, executor](auto handler) mutable {
        // std::function wants something that can be copied; the handler cannot.
        auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
        call([waiting, post, executor](StoreStatus status) {
            auto resume = [waiting, status] { std::move (*waiting)(status); };
            if (post != nullptr) {
                post->add(std::move(resume));
            } else {
                asio::post(executor, std::move(resume));
            }
        });
    };
    auto awaiting = asio::async_initiate<const asio::use_awaitable_t<>, void(StoreStatus)>(std::move(initiate),
                                                                                           asio::use_awaitable);
    const StoreStatus status = co_await std::move(awaiting);
    co_return status;
}

class QueueSink final : public smtp_server::MessageSink {
public:
    QueueSink(QueueSinkParts parts, const smtp_server::SessionInfo& session, const Wakeups& wakeups,
              const AcceptedSink& accepted)
        : parts_(std::move(parts)), session_(session), wakeups_(wakeups), accepted_(accepted) {}

    asio::awaitable<smtp_server::Refusal> write(std::string part) override {
        part = with_trace(std::move(part));
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        auto append = [this, content = std::move(part)](queue::StoreCompletion done) mutable {
            parts_.message->append(std::move(content), std::move(done));
        };
        // A part is not flushed, so no batch ends with it: it comes back by itself.
        auto appended = completed(std::move(append), nullptr, executor);
        const StoreStatus status = co_await std::move(appended);
        smtp_server::Refusal refusal;
        if (status != StoreStatus::stored) {
            refusal = refusal_of(status);
        }
        co_return refusal;
    }

    asio::awaitable<std::vector<mail::Reply>> finish(std::string last_part, bool has_8bit) override {
        parts_.envelope.has_8bit = has_8bit;
        last_part = with_trace(std::move(last_part));
        parts_.envelope.size = size_;
        parts_.envelope.id = parts_.message->id();
        const std::size_t replies = session_.protocol == smtp_server::Protocol::lmtp ? parts_.recipients.size() : 1;
        const auto unable = unable_to_take(*parts_.policy, parts_.envelope, parts_.recipients);
        if (unable) {
            co_return std::vector<mail::Reply>(replies, *unable);
        }
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        auto commit = [this, content = std::move(last_part)](queue::StoreCompletion done) mutable {
            parts_.message->commit(parts_.envelope, parts_.recipients, std::move(content), std::move(done));
        };
        auto committed = completed(std::move(commit), wakeups_.of(executor), executor);
        const StoreStatus status = co_await std::move(committed);
        if (status == StoreStatus::doubtful) {
            co_return std::vector<mail::Reply>();
        }
        mail::Reply reply = refusal_of(status);
        if (status == StoreStatus::stored) {
            accepted_(session_, parts_.envelope, parts_.recipients);
            if (recipients::HarvestBrake* const brake = brake_for(*parts_.policy, session_)) {
                brake->gave(session_.client_address, parts_.recipients.size(), parts_.clock->steady());
            }
            reply = mail::Reply(250, mail::EnhancedStatus(2, 0, 0), "queued as " + parts_.envelope.id.to_string());
        }
        co_return std::vector<mail::Reply>(replies, reply);
    }

private:
    std::string with_trace(std::string part) {
        if (!parts_.trace.empty()) {
            part.insert(0, std::exchange(parts_.trace, {}));
        }
        size_ += part.size();
        return part;
    }

    QueueSinkParts parts_;
    const smtp_server::SessionInfo& session_;
    const Wakeups& wakeups_;
    const AcceptedSink& accepted_;
    std::uint64_t size_ = 0;
};

}  // namespace

mail::Reply refusal_of(StoreStatus status) {
    if (status == StoreStatus::disk_full) {
        return {452, mail::EnhancedStatus(4, 3, 1), "Insufficient system storage; try again later"};
    }
    return {451, mail::EnhancedStatus(4, 3, 0), "The queue cannot be written just now; try again later"};
}

std::unique_ptr<smtp_server::MessageSink> make_queue_sink(QueueSinkParts parts, const smtp_server::SessionInfo& session,
                                                          const Wakeups& wakeups, const AcceptedSink& accepted) {
    return std::make_unique<QueueSink>(std::move(parts), session, wakeups, accepted);
}

}  // namespace postern::acceptance
