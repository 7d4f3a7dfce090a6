// The operations behind the commands. Three of this interface: LocalOperations does the work beside the queue, in the
// gateway (for the server) or in a command with the gateway stopped; RemoteOperations asks a gateway over its control
// socket.
//
// Threads: one at a time. Calls block.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/control/failure.hpp"
#include "gateway/control/live_gateway.hpp"
#include "gateway/control/verb.hpp"
#include "gateway/control/views.hpp"
#include "queue/filter.hpp"
#include "queue/reader.hpp"

namespace postern::control {

struct Status {
    GatewaySnapshot gateway;
    queue::Totals queue;
    std::uint64_t oldest_seconds = 0;
};

struct ApplyRequest {
    Verb verb = Verb::retry;
    queue::Filter filter;
    bool dry_run = false;
    std::string reason{};  ///< with bounce: told to the sender; may be empty
};

struct Outcome {
    std::uint64_t messages = 0;             ///< that hold a recipient which matched
    std::uint64_t recipients = 0;           ///< that matched, in a state that the verb acts on
    std::uint64_t changed = 0;              ///< 0 with dry_run
    std::vector<queue::MessageId> missing;  ///< named in the filter, but not in the queue
};

struct ShapeRequest {
    queue::Reader::ShapeBy by = queue::Reader::ShapeBy::backend;
    std::vector<queue::Duration> bounds;  ///< rising
};

struct BackendRequest {
    BackendVerb verb = BackendVerb::pause;
    std::string backend;
    std::string reason;  ///< for the others who look after it
};

struct BackendChange {
    bool changed = false;  ///< false: it was so already
};

class Operations {
public:
    virtual ~Operations() = default;

    /// The messages that match, oldest first; ends early when `each` returns false. `each` may block: nothing is held
    /// meanwhile.
    [[nodiscard]] virtual Result<void, Failure> list(const queue::Filter& filter,
                                                     const std::function<bool(const MessageView&)>& each) = 0;
    [[nodiscard]] virtual Result<MessageView, Failure> show(queue::MessageId id) = 0;
    /// The content, in parts, once its checksum was found right. Ends early when `part` returns false.
    [[nodiscard]] virtual Result<void, Failure> cat(queue::MessageId id,
                                                    const std::function<bool(std::string_view)>& part) = 0;
    [[nodiscard]] virtual Result<Outcome, Failure> apply(const ApplyRequest& request) = 0;
    [[nodiscard]] virtual Result<Why, Failure> why(queue::MessageId id) = 0;
    /// not_found: no such backend.
    [[nodiscard]] virtual Result<BackendChange, Failure> change(const BackendRequest& request) = 0;
    /// not_found: no such backend.
    [[nodiscard]] virtual Result<std::vector<ProbeView>, Failure> probe(const std::string& backend) = 0;
    [[nodiscard]] virtual Result<Status, Failure> status() = 0;
    [[nodiscard]] virtual Result<std::vector<queue::ShapeCell>, Failure> shape(const ShapeRequest& request) = 0;
    [[nodiscard]] virtual Result<void, Failure> history(
        const queue::HistoryFilter& filter, const std::function<bool(const queue::HistoryEvent&)>& each) = 0;
    [[nodiscard]] virtual Result<ReloadOutcome, Failure> reload() = 0;
};

}  // namespace postern::control
