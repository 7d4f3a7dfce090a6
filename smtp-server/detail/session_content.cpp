// The part of a session in which content comes: DATA, BDAT, and what is said at their end.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "smtp-server/detail/session.hpp"

namespace postern::smtp_server::detail {

namespace asio = boost::asio;
using mail::EnhancedStatus;
using mail::Reply;

namespace {

/// What else speaks against a content at its end.
Refusal refusal_at_end(const ContentFacts& facts, const SessionOptions& options) {
    if (auto refusal = content_refusal(facts, options.limits, options.bare_newline)) {
        return refusal;
    }
    if (facts.begins_with_fold) {
        return Reply(554, EnhancedStatus(5, 6, 0), "The first line of the content begins with white space");
    }
    return std::nullopt;
}

}  // namespace

asio::awaitable<void> Session::take_data() {
    Hooks::Begun begun = co_await around_.hooks.begin(info_, dialogue_.mail(), dialogue_.recipients());
    if (!begun.sink) {
        const Reply refusal = begun.refusal.value_or(Reply(451, EnhancedStatus(4, 3, 0), "Cannot take it just now"));
        dialogue_.reset();
        say(refusal);
        count_error(refusal);
        co_return;
    }
    say(Reply(354, "End data with <CR><LF>.<CR><LF>"));
    co_await send();
    DataReader reader;
    std::string held;
    Refusal refusal;
    wait_at_most(options_->limits.data_timeout);
    while (!over_) {
        if (begin_ == end_) {
            co_await fill(Doing::receiving);
            if (over_) {
                break;
            }
        }
        const auto fed = reader.feed(input(), held);
        const bool block_was_full = end_ == block_.size();
        extend_content_deadline(fed.consumed, reader.facts().size);
        consume(fed.consumed);
        bool ended = fed.ended;
        // A full block says that more is waiting: it is taken in large bites.
        while (!ended && block_was_full && held.size() < options_->limits.chunk) {
            const std::size_t count = read_more(around_.scratch);
            if (count == 0) {
                break;
            }
            const std::string_view bite(around_.scratch.data(), count);
            const auto more = reader.feed(bite, held);
            extend_content_deadline(more.consumed, reader.facts().size);
            ended = more.ended;
            if (ended) {
                unread(bite.substr(more.consumed));
            }
        }
        if (ended) {
            co_await finish_content(std::move(begun.sink), std::move(held), reader.facts(), std::move(refusal));
            co_return;
        }
        if (held.size() >= options_->limits.chunk) {
            if (!refusal) {
                refusal = content_refusal(reader.facts(), options_->limits, options_->bare_newline);
            }
            co_await hand_on(*begun.sink, held, refusal);
        }
    }
}

asio::awaitable<void> Session::hand_on(MessageSink& sink, std::string& held, Refusal& refusal) {
    std::string part = std::exchange(held, {});
    if (!refusal) {
        const auto before = SteadyClock::now();
        refusal = co_await sink.write(std::move(part));
        deadline_ += SteadyClock::now() - before;  // the time that we took is not the client's
    }
}

asio::awaitable<void> Session::finish_content(std::unique_ptr<MessageSink> sink, std::string last_part,
                                              ContentFacts facts, Refusal refusal) {
    const std::size_t replies = info_.protocol == Protocol::lmtp ? dialogue_.recipients().size() : 1;
    // What speaks against the content as a whole goes before what was noticed on the way: so the reply does not depend
    // on where the network cut it.
    if (auto by_content = sink ? refusal_at_end(facts, *options_) : std::nullopt) {
        refusal = std::move(by_content);
    }
    deadline_ = SteadyClock::time_point::max();
    if (refusal) {
        sink.reset();
        for (std::size_t i = 0; i < replies; ++i) {
            say(*refusal);
        }
        around_.hooks.content_refused(info_, envelope(), *refusal);
        dialogue_.reset();
        count_error(*refusal);
        co_return;
    }
    std::vector<Reply> answers = co_await sink->finish(std::move(last_part), facts.has_8bit);
    if (answers.empty()) {
        end("no answer can be given");
        co_return;
    }
    // The client counts: never one reply too many or too few, whatever the hook gave.
    answers.resize(replies, Reply(451, EnhancedStatus(4, 3, 0), "No answer for this recipient; try again later"));
    bool taken = false;
    for (const Reply& answer : answers) {
        say(answer);
        taken = taken || answer.is_success();
    }
    if (taken) {
        ++messages_;
        commands_without_mail_ = 0;
        recipients_refused_ = 0;
        told_of_rate_ = false;
        around_.counters.messages.fetch_add(1, std::memory_order_relaxed);
    } else if (!answers.empty()) {
        around_.hooks.content_refused(info_, envelope(), answers.front());
    }
    dialogue_.reset();
    set_command_deadline();
}

asio::awaitable<void> Session::take_chunk(Bdat command) {
    if (!chunks_) {
        Hooks::Begun begun = co_await around_.hooks.begin(info_, dialogue_.mail(), dialogue_.recipients());
        chunks_ = std::make_unique<Chunks>();
        chunks_->sink = std::move(begun.sink);
        if (!chunks_->sink) {
            chunks_->refusal = begun.refusal.value_or(Reply(451, EnhancedStatus(4, 3, 0), "Cannot take it just now"));
        }
        chunks_->deadline = SteadyClock::now() + options_->limits.data_timeout;
        dialogue_.chunks_begin();
    }
    wait_for_chunks();
    co_await receive_chunk(command.size);
    if (over_) {
        co_return;
    }
    chunks_->deadline = deadline_;
    if (chunks_->sink) {
        if (auto by_content = content_refusal(chunks_->reader.facts(), options_->limits, options_->bare_newline)) {
            chunks_->refusal = std::move(by_content);
        }
    }
    if (command.last) {
        const std::unique_ptr<Chunks> chunks = std::move(chunks_);
        chunks->reader.finish(chunks->held);
        co_await finish_content(std::move(chunks->sink), std::move(chunks->held), chunks->reader.facts(),
                                std::move(chunks->refusal));
        co_return;
    }
    if (chunks_->refusal) {
        // RFC 3030 section 2: the transaction is over; chunks still in the pipe will hear 503.
        const Reply refusal = *chunks_->refusal;
        chunks_.reset();
        say(refusal);
        around_.hooks.content_refused(info_, envelope(), refusal);
        dialogue_.reset();
        count_error(refusal);
        co_return;
    }
    say(Reply(250, EnhancedStatus(2, 0, 0), std::to_string(command.size) + " octets received"));
}

asio::awaitable<void> Session::receive_chunk(std::uint64_t size) {
    while (size > 0 && !over_) {
        if (begin_ == end_) {
            co_await send();
            co_await fill(Doing::receiving);
            if (over_) {
                break;
            }
        }
        const std::string_view part = input().substr(0, size);
        chunks_->reader.feed(part, chunks_->held);
        if (chunks_->refusal) {
            chunks_->held.clear();  // looked at and forgotten
        }
        size -= part.size();
        consume(part.size());
        chunks_->octets += part.size();
        extend_content_deadline(part.size(), chunks_->octets);
        if (chunks_->held.size() >= options_->limits.chunk) {
            if (!chunks_->refusal) {
                chunks_->refusal = content_refusal(chunks_->reader.facts(), options_->limits, options_->bare_newline);
            }
            if (chunks_->sink) {
                co_await hand_on(*chunks_->sink, chunks_->held, chunks_->refusal);
            }
        }
    }
}

asio::awaitable<void> Session::discard_chunk(std::uint64_t size, Reply reply) {
    wait_at_most(options_->limits.data_timeout);
    std::uint64_t discarded = 0;
    while (size > 0 && !over_) {
        if (begin_ == end_) {
            co_await send();
            co_await fill(Doing::receiving);
            if (over_) {
                co_return;
            }
        }
        const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size, end_ - begin_));
        size -= part;
        consume(part);
        discarded += part;
        extend_content_deadline(part, discarded);
    }
    say(reply);
    count_error(reply);
}

}  // namespace postern::smtp_server::detail
