#include "gateway/control/local_operations.hpp"

#include <algorithm>
#include <deque>
#include <future>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "gateway/control/json.hpp"

namespace postern::control {
namespace {

// A listing keeps the views of its first messages, up to so many recipients, and only the ids of those behind them: the
// listing of a million costs 8 MB, and no read transaction is open while a slow reader takes the rows.
constexpr std::size_t recipients_kept = 4000;
constexpr std::size_t apply_batch = 1000;  // what LiveGateway::apply takes at once
constexpr std::size_t batches_at_work = 2;

/// Narrows the filter to what the verb acts on, so that --limit counts messages that change. False: nothing can match.
bool narrow(queue::Filter& filter, Verb verb) {
    if (filter.states.empty()) {
        filter.states = source_states(verb);
        return true;
    }
    std::erase_if(filter.states, [verb](queue::RecipientState state) { return !applies(verb, state); });
    return !filter.states.empty();
}

}  // namespace

Failure LocalOperations::failure(queue::ReadError error, queue::MessageId id) const {
    switch (error) {
        case queue::ReadError::not_found:
            return Failure(
                FailureKind::not_found,
                fmt::format("{0}: no such message in the queue; `postern history {0}` tells what became of it",
                            id.to_string()));
        case queue::ReadError::damaged:
            if (id == queue::MessageId()) {
                return Failure(FailureKind::disk, fmt::format("the queue is damaged: {}", reader_.last_error()));
            }
            return Failure(FailureKind::damaged,
                           fmt::format("{}: the message is damaged: {}", id.to_string(), reader_.last_error()));
        case queue::ReadError::failed:
            break;
    }
    return Failure(FailureKind::disk, fmt::format("cannot read the queue: {}", reader_.last_error()));
}

Result<void, Failure> LocalOperations::list(const queue::Filter& filter,
                                            const std::function<bool(const MessageView&)>& each) {
    std::vector<MessageView> views;
    std::vector<queue::MessageId> others;
    std::size_t kept = 0;
    const auto read = reader_.list(filter, clock_.wall(), [&](const queue::QueuedMessage& message) {
        if (kept < recipients_kept) {
            kept += message.recipients.size() + 1;
            views.push_back(view_of(message));
        } else {
            others.push_back(message.envelope.id);
        }
        return true;
    });
    // What lies before a damaged place in the file is listed all the same.
    const auto failed = read ? std::nullopt : std::optional<Failure>(failure(read.error()));
    for (const MessageView& view : views) {
        if (!each(view)) {
            return {};
        }
    }
    for (const queue::MessageId id : others) {
        const auto message = reader_.find(id);
        if (!message && message.error() == queue::ReadError::not_found) {
            continue;  // delivered since
        }
        if (!message) {
            return failure(message.error(), id);
        }
        if (!each(view_of(*message))) {
            return {};
        }
    }
    if (failed) {
        return *failed;
    }
    return {};
}

Result<MessageView, Failure> LocalOperations::show(queue::MessageId id) {
    const auto message = reader_.find(id);
    if (!message) {
        return failure(message.error(), id);
    }
    return view_of(*message);
}

Result<void, Failure> LocalOperations::cat(queue::MessageId id, const std::function<bool(std::string_view)>& part) {
    const auto verified = reader_.verify(id);
    if (!verified) {
        return failure(verified.error(), id);
    }
    for (std::uint32_t number = 0;; ++number) {
        const auto content = reader_.content_part(id, number);
        if (!content) {
            return failure(content.error(), id);
        }
        if (content->empty() || !part(*content)) {
            return {};
        }
    }
}

Result<Outcome, Failure> LocalOperations::apply(const ApplyRequest& request) {
    Outcome outcome;
    std::vector<RecipientRef> matched;
    queue::Filter filter = request.filter;
    if (narrow(filter, request.verb)) {
        const auto read = reader_.match(
            filter, clock_.wall(), [&](const queue::QueuedMessage& message, const queue::Recipient& recipient) {
                if (applies(request.verb, recipient.state)) {
                    const queue::MessageId id = message.envelope.id;
                    outcome.messages += matched.empty() || matched.back().message != id ? 1U : 0U;
                    matched.emplace_back(id, recipient.ordinal);
                }
                return true;
            });
        if (!read) {
            return failure(read.error());
        }
    }
    outcome.recipients = matched.size();
    auto missing = find_missing(request.filter.ids, matched);
    if (!missing) {
        return missing.error();
    }
    outcome.missing = std::move(*missing);
    if (!request.dry_run) {
        const auto changed = change(request, matched);
        if (!changed) {
            return changed.error();
        }
        outcome.changed = *changed;
    }
    return outcome;
}

Result<std::vector<queue::MessageId>, Failure> LocalOperations::find_missing(const std::vector<queue::MessageId>& ids,
                                                                             const std::vector<RecipientRef>& found) {
    std::vector<queue::MessageId> missing;
    for (const queue::MessageId id : ids) {
        const auto place =
            std::lower_bound(found.begin(), found.end(), id,
                             [](const RecipientRef& ref, queue::MessageId wanted) { return ref.message < wanted; });
        if (place != found.end() && place->message == id) {
            continue;
        }
        const auto message = reader_.find(id);
        if (!message && message.error() != queue::ReadError::not_found) {
            return failure(message.error(), id);
        }
        if (!message) {
            missing.push_back(id);
        }
    }
    return missing;
}

Result<std::uint64_t, Failure> LocalOperations::change(const ApplyRequest& request,
                                                       const std::vector<RecipientRef>& recipients) {
    const std::string actor = fmt::format("{}: queue {} {}", actor_, to_string(request.verb), describe(request.filter));
    std::uint64_t changed = 0;
    std::uint64_t pending = 0;  // in force, and not on the disk
    std::deque<std::future<ApplyResult>> at_work;
    auto status = ApplyResult::Status::done;
    for (std::size_t at = 0; at < recipients.size() || !at_work.empty();) {
        // The next one is read and prepared while the one before is being written.
        while (status == ApplyResult::Status::done && at < recipients.size() && at_work.size() < batches_at_work) {
            const std::size_t end = std::min(at + apply_batch, recipients.size());
            at_work.push_back(begin_change(request,
                                           {recipients.begin() + static_cast<std::ptrdiff_t>(at),
                                            recipients.begin() + static_cast<std::ptrdiff_t>(end)},
                                           actor));
            at = end;
        }
        if (at_work.empty()) {
            break;
        }
        ApplyResult result;
        try {
            result = at_work.front().get();
        } catch (const std::future_error&) {
            result = ApplyResult(ApplyResult::Status::failed, 0);
        }
        at_work.pop_front();
        (result.status == ApplyResult::Status::done ? changed : pending) += result.changed;
        status = status == ApplyResult::Status::done ? result.status : status;
    }
    if (status != ApplyResult::Status::done) {
        const char* why =
            status == ApplyResult::Status::disk_full ? "the disk is full" : "the change could not be recorded";
        std::string text = fmt::format("{} ({} of {} recipients were changed", why, changed, recipients.size());
        if (pending > 0) {
            text += fmt::format(
                "; {} more are changed in the running gateway, and on the disk once it takes that: not if "
                "the gateway stops before",
                pending);
        }
        return Failure(FailureKind::disk, text + ')');
    }
    return changed;
}

std::future<ApplyResult> LocalOperations::begin_change(const ApplyRequest& request, std::vector<RecipientRef> batch,
                                                       const std::string& actor) {
    // The callback alone owns the promise: destroyed unused, it breaks it, and the wait ends.
    auto promise = std::make_shared<std::promise<ApplyResult>>();
    auto future = promise->get_future();
    gateway_.apply(request.verb, std::move(batch), actor, request.reason,
                   [held = std::move(promise)](ApplyResult result) { held->set_value(result); });
    return future;
}

Result<Why, Failure> LocalOperations::why(queue::MessageId id) {
    const auto message = reader_.find(id);
    if (!message) {
        return failure(message.error(), id);
    }
    Why why;
    why.running = gateway_.snapshot().running;
    why.recipients = gateway_.explain(*message);
    return why;
}

namespace {

/// Waits for the callback that `begin` hands on. It alone owns the promise: destroyed unused, it gives nullopt.
template <class T, class Begin>
std::optional<T> wait_for(Begin begin) {
    auto promise = std::make_shared<std::promise<T>>();
    auto future = promise->get_future();
    begin([held = std::move(promise)](T result) { held->set_value(std::move(result)); });
    try {
        return future.get();
    } catch (const std::future_error&) {
        return std::nullopt;
    }
}

Failure no_backend(const std::string& name) {
    return Failure(FailureKind::not_found, fmt::format("there is no backend `{}`", name));
}

}  // namespace

Result<BackendChange, Failure> LocalOperations::change(const BackendRequest& request) {
    const std::string actor = fmt::format("{}: backend {} {}", actor_, to_string(request.verb), request.backend);
    const auto result = wait_for<BackendResult>([&](std::function<void(BackendResult)> done) {
        gateway_.order(request.verb, request.backend, actor, request.reason, std::move(done));
    });
    switch (result.value_or(BackendResult::failed)) {
        case BackendResult::done:
            return BackendChange{true};
        case BackendResult::nothing_to_do:
            return BackendChange{false};
        case BackendResult::unknown_backend:
            return no_backend(request.backend);
        case BackendResult::disk_full:
            return Failure(FailureKind::disk, "the disk is full: it holds now, but not after a restart");
        case BackendResult::failed:
            break;
    }
    return Failure(FailureKind::disk, "it could not be recorded: it may not hold after a restart");
}

Result<std::vector<ProbeView>, Failure> LocalOperations::probe(const std::string& backend) {
    auto found = wait_for<std::vector<ProbeView>>(
        [&](std::function<void(std::vector<ProbeView>)> done) { gateway_.probe(backend, std::move(done)); });
    if (!found) {
        return Failure(FailureKind::unreachable, "the gateway stopped before the probe ended");
    }
    if (found->empty()) {
        return no_backend(backend);
    }
    return std::move(*found);
}

Result<Status, Failure> LocalOperations::status() {
    Status status;
    status.gateway = gateway_.snapshot();
    const auto totals = reader_.totals();
    if (!totals) {
        return failure(totals.error());
    }
    status.queue = *totals;
    const queue::Instant now = clock_.wall();
    if (totals->oldest && *totals->oldest < now) {
        status.oldest_seconds =
            static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now - *totals->oldest).count());
    }
    return status;
}

Result<std::vector<queue::ShapeCell>, Failure> LocalOperations::shape(const ShapeRequest& request) {
    const auto cells = reader_.shape(request.by, request.bounds, clock_.wall());
    if (!cells) {
        return failure(cells.error());
    }
    return *cells;
}

Result<void, Failure> LocalOperations::history(const queue::HistoryFilter& filter,
                                               const std::function<bool(const queue::HistoryEvent&)>& each) {
    const auto read = reader_.history(filter, clock_.wall(), each);
    if (!read) {
        return failure(read.error());
    }
    return {};
}

Result<ReloadOutcome, Failure> LocalOperations::reload() { return gateway_.reload(actor_); }

}  // namespace postern::control
