// Reads the queue beside the writer: contents for delivery, and what operators ask. Its own read-only connection;
// never writes, never checkpoints, and holds no read transaction longer than one call, or where a call is long than a
// page of it, so that the log cannot grow behind it.
//
// Threads: one at a time; open one Reader per thread. Calls block on the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/filter.hpp"
#include "queue/message.hpp"
#include "queue/miscount.hpp"
#include "queue/store.hpp"

namespace postern::queue {

enum class ReadError : std::uint8_t {
    not_found,  ///< no such message
    damaged,    ///< the checksum over envelope and content does not fit: never deliver it
    failed,     ///< the disk or the file; the text is in Reader::last_error()
};

struct QueuedMessage {
    Envelope envelope;
    std::vector<Recipient> recipients;  ///< all of them, done ones too, by ordinal
};

/// Numbers for `status`.
struct Totals {
    std::uint64_t messages = 0;
    std::map<RecipientState, std::uint64_t> recipients;
    std::optional<Instant> oldest;  ///< received_at of the oldest queued message
};

/// One cell of `queue shape`.
struct ShapeCell {
    std::string key;                    ///< backend or domain
    std::vector<std::uint64_t> counts;  ///< by age bucket, as asked
};

/// Which rows of the history. A row matches as a recipient does in the queue, with three differences: `states` are the
/// states that the event led to, the ages are the row's own, and `limit` counts messages that have a row which matches.
/// Senders and clients are the message's, whichever row.
struct HistoryFilter {
    Filter filter;
    /// Of failed transactions: behind the last row of each its transcript, as an event `transcript`.
    bool transcripts = false;
};

/// The schedulable recipients of one domain that name one backend.
struct BacklogCell {
    std::string backend;  ///< empty: none
    std::string domain;   ///< lower case
    std::uint64_t recipients = 0;
};

struct BacklogSurvey {
    std::vector<BacklogCell> cells;
    Miscount miscount;
};

class Reader {
public:
    virtual ~Reader() = default;

    /// Envelope and recipients, or why not. Verifies no checksum.
    [[nodiscard]] virtual Result<QueuedMessage, ReadError> find(MessageId id) = 0;

    /// Several as they stand at one moment, in the order of `ids`; those that are gone are left out. Quicker than one
    /// by one, and they are in memory all at once.
    [[nodiscard]] virtual Result<std::vector<QueuedMessage>, ReadError> find(const std::vector<MessageId>& ids) = 0;

    /// The envelope, once the checksum over it, the recipients and the content was found right; reads all of them once.
    [[nodiscard]] virtual Result<Envelope, ReadError> verify(MessageId id) = 0;

    /// Part `number` (from 0) of the content; an empty string behind the last.
    [[nodiscard]] virtual Result<std::string, ReadError> content_part(MessageId id, std::uint32_t number) = 0;

    /// The messages that match, oldest first, with all of their recipients; stops when `each` returns false.
    /// `now` is for the ages. Returns failed, or nothing.
    [[nodiscard]] virtual Result<void, ReadError> list(const Filter& filter, Instant now,
                                                       const std::function<bool(const QueuedMessage&)>& each) = 0;

    /// The undone recipients that match, in the order of message and ordinal: what a command acts on. `each` must not
    /// block: a read transaction is open for a page of messages.
    [[nodiscard]] virtual Result<void, ReadError> match(
        const Filter& filter, Instant now, const std::function<bool(const QueuedMessage&, const Recipient&)>& each) = 0;

    [[nodiscard]] virtual Result<Totals, ReadError> totals() = 0;

    /// Undone recipients by backend or domain against age; `bounds` are the upper ends of the buckets, rising; one more
    /// bucket holds the rest.
    enum class ShapeBy : std::uint8_t { backend, domain };
    [[nodiscard]] virtual Result<std::vector<ShapeCell>, ReadError> shape(ShapeBy by,
                                                                          const std::vector<Duration>& bounds,
                                                                          Instant now) = 0;

    /// Schedulable recipients by backend and domain: what must be routed, and how much waits for whom. One pass over
    /// all recipients, which also tells whether they are as many as was counted along.
    [[nodiscard]] virtual Result<BacklogSurvey, ReadError> backlog() = 0;

    /// What was decided about backends and holds until it is taken back.
    [[nodiscard]] virtual Result<std::vector<BackendMark>, ReadError> marks() = 0;

    /// The history: the gateway's own rows, then message by message, the oldest first. No read transaction is open
    /// while `each` runs.
    [[nodiscard]] virtual Result<void, ReadError> history(const HistoryFilter& filter, Instant now,
                                                          const std::function<bool(const HistoryEvent&)>& each) = 0;

    /// What went wrong in the last call that returned failed or damaged, for the log.
    [[nodiscard]] virtual const std::string& last_error() const = 0;
};

}  // namespace postern::queue
