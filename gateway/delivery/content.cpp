#include "gateway/delivery/content.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace postern::delivery {

namespace asio = boost::asio;
using lmtp_client::ContentPart;

namespace {

constexpr std::size_t verified_kept = 16;
constexpr std::chrono::minutes verified_for{1};

class MemoryContent final : public lmtp_client::ContentSource {
public:
    explicit MemoryContent(std::shared_ptr<const std::string> content) : content_(std::move(content)) {}
    asio::awaitable<ContentPart> next() override {
        const std::string_view part = given_ ? std::string_view() : std::string_view(*content_);
        given_ = true;
        co_return lmtp_client::content_part(part);
    }

private:
    std::shared_ptr<const std::string> content_;
    bool given_ = false;
};

class StoredContent final : public lmtp_client::ContentSource {
public:
    StoredContent(Loader& loader, queue::MessageId id) : loader_(loader), id_(id) {}
    asio::awaitable<ContentPart> next() override {
        Result<std::string, Loader::Failure> part = co_await loader_.part(id_, number_);
        if (part.has_error()) {
            co_return lmtp_client::content_failure(part.error().text);
        }
        ++number_;
        part_ = std::move(*part);
        co_return lmtp_client::content_part(part_);
    }

private:
    Loader& loader_;
    const queue::MessageId id_;
    std::uint32_t number_ = 0;
    std::string part_;
};

Loader::Failure failure_of(queue::ReadError error, const queue::Reader& reader) {
    Loader::Failure failure;
    failure.error = error;
    failure.text = error == queue::ReadError::not_found ? "the message is gone" : reader.last_error();
    return failure;
}

}  // namespace

std::shared_ptr<lmtp_client::ContentSource> memory_content(std::shared_ptr<const std::string> content) {
    return std::make_shared<MemoryContent>(std::move(content));
}

Loader::Loader(asio::any_io_executor delivery, OpenReader open_reader)
    : delivery_(std::move(delivery)), open_reader_(std::move(open_reader)) {}

Loader::~Loader() {
    thread_.stop();
    thread_.join();
}

Result<queue::Reader*, Loader::Failure> Loader::reader() {
    if (!reader_) {
        auto opened = open_reader_();
        if (opened.has_error()) {
            Failure failure;
            failure.text = opened.error();
            return failure;
        }
        reader_ = std::move(*opened);
    }
    return reader_.get();
}

template <class Answer>
asio::awaitable<Answer> Loader::ask(std::function<Answer(queue::Reader&)> question) {
    auto initiate = [this, question = std::move(question)](auto handler) mutable {
        auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
        asio::post(thread_, [this, waiting, question = std::move(question)] {
            auto opened = reader();
            auto answer = std::make_shared<Answer>(opened.has_error() ? Answer(opened.error()) : question(**opened));
            if (answer->has_error() && answer->error().error == queue::ReadError::failed) {
                reader_.reset();
            }
            asio::post(delivery_, [waiting, answer] { std::move (*waiting)(answer); });
        });
    };
    auto awaiting = asio::async_initiate<const asio::use_awaitable_t<>, void(std::shared_ptr<Answer>)>(
        std::move(initiate), asio::use_awaitable);
    const std::shared_ptr<Answer> answer = co_await std::move(awaiting);
    co_return std::move(*answer);
}

const queue::Envelope* Loader::lately_verified(queue::MessageId id, queue::SteadyInstant now) const {
    const auto found = std::find_if(verified_.begin(), verified_.end(), [&](const Verified& each) {
        return each.envelope.id == id && now - each.at < verified_for;
    });
    return found == verified_.end() ? nullptr : &found->envelope;
}

asio::awaitable<Result<queue::Envelope, Loader::Failure>> Loader::verified(queue::MessageId id,
                                                                           queue::SteadyInstant now) {
    using Answer = Result<queue::Envelope, Failure>;
    if (const queue::Envelope* const known = lately_verified(id, now)) {
        co_return Answer(*known);
    }
    std::function<Answer(queue::Reader&)> question = [id](queue::Reader& reader) -> Answer {
        auto envelope = reader.verify(id);
        if (envelope.has_error()) {
            return failure_of(envelope.error(), reader);
        }
        return std::move(*envelope);
    };
    auto asking = ask<Answer>(std::move(question));
    Answer answer = co_await std::move(asking);
    if (answer.has_value()) {
        verified_.push_back({*answer, now});
        if (verified_.size() > verified_kept) {
            verified_.pop_front();
        }
    }
    co_return answer;
}

asio::awaitable<Result<std::vector<queue::QueuedMessage>, Loader::Failure>> Loader::find(
    std::vector<queue::MessageId> ids) {
    using Answer = Result<std::vector<queue::QueuedMessage>, Failure>;
    std::function<Answer(queue::Reader&)> question = [ids = std::move(ids)](queue::Reader& reader) -> Answer {
        auto messages = reader.find(ids);
        if (messages.has_error()) {
            return failure_of(messages.error(), reader);
        }
        return std::move(*messages);
    };
    auto asking = ask<Answer>(std::move(question));
    Answer answer = co_await std::move(asking);
    co_return answer;
}

asio::awaitable<Result<queue::BacklogSurvey, Loader::Failure>> Loader::backlog() {
    using Answer = Result<queue::BacklogSurvey, Failure>;
    std::function<Answer(queue::Reader&)> question = [](queue::Reader& reader) -> Answer {
        auto survey = reader.backlog();
        if (survey.has_error()) {
            return failure_of(survey.error(), reader);
        }
        return std::move(*survey);
    };
    auto asking = ask<Answer>(std::move(question));
    Answer answer = co_await std::move(asking);
    co_return answer;
}

asio::awaitable<Result<std::string, Loader::Failure>> Loader::part(queue::MessageId id, std::uint32_t number) {
    using Answer = Result<std::string, Failure>;
    std::function<Answer(queue::Reader&)> question = [id, number](queue::Reader& reader) -> Answer {
        auto part = reader.content_part(id, number);
        if (part.has_error()) {
            return failure_of(part.error(), reader);
        }
        return std::move(*part);
    };
    auto asking = ask<Answer>(std::move(question));
    Answer answer = co_await std::move(asking);
    co_return answer;
}

std::shared_ptr<lmtp_client::ContentSource> Loader::stored_content(queue::MessageId id) {
    return std::make_shared<StoredContent>(*this, id);
}

}  // namespace postern::delivery
