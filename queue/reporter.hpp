// Who decides what senders are told, as the store asks it: in the transaction that records a result, so that a report
// is in the queue exactly when the result that caused it is recorded, whatever crashes. gateway/bounce fills it in.
//
// Threads: called on the store's writer thread, in an open transaction; it must be quick and must not throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/message.hpp"
#include "queue/message_id.hpp"
#include "queue/time.hpp"

namespace postern::queue {

/// What a sender is told of (RFC 3461 section 4.1).
enum class Notice : std::uint8_t {
    failed,   ///< undeliverable: refused for good, expired, or returned by the operator
    delayed,  ///< not delivered yet, and still tried
    relayed,  ///< a store took it, and will not report a success itself (RFC 3461 section 5.2.2)
};

/// The word for it in a report's Action field (RFC 3464 section 2.3.3), and in the history.
[[nodiscard]] std::string_view to_action(Notice notice);

/// Goes with a change of a recipient of which its sender perhaps has to hear.
struct Telling {
    Notice notice = Notice::failed;
    Instant at{};              ///< when it happened
    bool expired = false;      ///< with failed: given up after too long
    bool by_hand = false;      ///< with failed: an operator returns it, whoever vouches for the sender or does not
    bool changes_all = true;   ///< false: nothing of the recipient changes but that its delay was told
    std::string remote_mta{};  ///< the host name of who replied, when it is no secret
};

class Reporter {
public:
    virtual ~Reporter() = default;

    struct Told {
        Recipient recipient;  ///< as it stands with the change
        Telling telling;
    };
    /// Of one message, what happened together, all with the same notice.
    struct Case {
        Notice notice = Notice::failed;
        Envelope envelope;
        std::string_view content;  ///< from its beginning: all of it, or at least content_octets_max()
        bool content_is_whole = false;
        std::vector<Told> recipients;
        MessageId report_id;  ///< the report's, if there is one
    };
    enum class Ruling : std::uint8_t {
        report,
        silence,  ///< nobody is to be told, now or later
        park,     ///< somebody should be told and may not be: it is kept for the operator
    };
    struct Verdict {
        Ruling ruling = Ruling::park;
        std::string why{};  ///< for the history; our own words, in parentheses. Empty with `report`.
    };
    struct Answer {
        std::vector<Verdict> verdicts;  ///< one for each recipient of the case
        /// With at least one `report` among them. Its envelope carries `report_id`; `content` is set.
        std::optional<CommittedMessage> report;
    };
    [[nodiscard]] virtual Answer decide(const Case& about) = 0;

    /// How much of a content it wants to see.
    [[nodiscard]] virtual std::size_t content_octets_max() const = 0;
};

}  // namespace postern::queue
