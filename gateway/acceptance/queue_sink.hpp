// One message on its way from a session into the queue: puts the trace header first, hands the content on, and turns
// the store's answer into the reply. 250 only after the flush (RFC 5321 section 4.2.5).
//
// Threads: the session's I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/acceptance/policy.hpp"
#include "gateway/acceptance/wakeups.hpp"
#include "queue/store.hpp"
#include "smtp-server/hooks.hpp"

namespace postern::acceptance {

/// Told of each message that is safe in the queue, on its session's I/O thread.
using AcceptedSink =
    std::function<void(const smtp_server::SessionInfo&, const queue::Envelope&, const std::vector<queue::Recipient>&)>;

/// What the store's answers become: 451 4.3.0, 452 4.3.1. Not for `stored`.
[[nodiscard]] mail::Reply refusal_of(queue::StoreStatus status);

struct QueueSinkParts {
    std::unique_ptr<queue::IncomingMessage> message;
    queue::Envelope envelope;
    std::vector<queue::Recipient> recipients;
    std::string trace;                     ///< goes before the content
    std::shared_ptr<const Policy> policy;  ///< what the message was begun under
    const queue::Clock* clock = nullptr;   ///< outlives the sink
};

/// `session`, `wakeups` and `accepted` outlive the sink.
[[nodiscard]] std::unique_ptr<smtp_server::MessageSink> make_queue_sink(QueueSinkParts parts,
                                                                        const smtp_server::SessionInfo& session,
                                                                        const Wakeups& wakeups,
                                                                        const AcceptedSink& accepted);

}  // namespace postern::acceptance
