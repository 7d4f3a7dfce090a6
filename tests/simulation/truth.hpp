// What really happened, written down beside the gateway by those who saw it (clients, stores, the disk), and held
// against everything that the gateway does. It survives crashes. A broken invariant throws Violation.
//
//  1. What was answered 250 is there after every crash, whole, until each of its recipients is done.
//  2. What was answered 4xx or 5xx never appears: not in the queue after a restart, not at a store.
//  3. A recorded result is never undone: after a crash a recipient is as it was last recorded, or as something said
//     since.
//  4. A recipient that is done (delivered, removed) or is not to be tried (held, parked) is never tried; nor one of
//  whom
//     the store is to record that.
//  5. No attempt before its time.
//  6. Nobody is tried twice at once.
//  7. A second copy reaches a store only when the answer about the first was lost, or its record not durable at a
//  crash.
//  8. `delivered` is said only of what a store has taken.
//  9. A permanent failure comes only from a store's 5xx about that very recipient, its sender or its content.
// 10. What reaches a store is what was accepted, octet for octet.
// 11. Memory is bounded by the windows and what is in flight; a domain of others is forgotten an hour after it was
//     last of interest.
// 12. Connects a second that bring nobody anything are bounded: to an endpoint that is down, and on its recovery.
// 13. A backend that is well delivers what is due, whatever the others do.
// 14. With everything well, in the end nothing schedulable is left.
// 15. A message goes from the queue with its last recipient, not before and not after.
// 16. Of each recipient that is returned, its sender has one report and no more, if it is to have one; of no other.
//     None is made about a report.
// 17. A backend that an operator has paused is sent nothing until he resumes it, whatever crashes; and while a brake is
//     on, no refusal of its backend is final.
// 18. Nothing expires before its time, whatever the wall clock says meanwhile; only a jump before a restart counts.
// 19. To no domain of others go more transactions at once than may go to one, and not more than may go out in all,
//     whatever is reloaded meanwhile. Who could not be reached is left alone for a minute, then asked by one at a time.
// 20. A domain of others that is well is sent what is due, whatever the others do: at once while there is room to
// begin,
//     and else in its turn.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "queue/reader.hpp"
#include "queue/reporter.hpp"
#include "queue/store.hpp"
#include "timeline.hpp"

namespace postern::simulation {

using Token = std::int64_t;  ///< a message, as the simulation knows it

struct Fact {
    std::string address;
    queue::Ordinal ordinal = 0;
    enum class Copy : std::uint8_t { none, made, answered, recorded } copy = Copy::none;
    std::uint64_t answered_in = 0;  ///< the life of the gateway that saw the 2xx
    int copies = 0;
    bool refused_for_good = false;  ///< by a store, on the wire
    bool in_flight = false;
    bool may_go_at_once = false;  ///< the wall clock jumped since it was recorded
    std::optional<queue::RecipientUpdate> recorded;
    std::vector<queue::RecipientUpdate> submitted;  ///< since

    [[nodiscard]] std::string domain() const { return address.substr(address.find('@') + 1); }
};

struct MessageFact {
    Token token = 0;
    queue::MessageId id;
    std::string content;
    Timeline::Milliseconds begun = 0;
    queue::Instant begun_at{};
    enum class Answer : std::uint8_t { none, accepted, refused } answer = Answer::none;
    std::vector<Fact> recipients;
    bool is_trusted = false;              ///< its sender may be told
    std::optional<Token> about;           ///< of a report
    std::optional<queue::Notice> notice;  ///< of a report
    std::vector<queue::Ordinal> told;     ///< of a report: whom it is about
    [[nodiscard]] bool may_be_returned(const queue::RecipientUpdate& update) const {
        return update.telling && update.telling->notice == queue::Notice::failed &&
               (is_trusted || about || update.telling->by_hand);
    }
    /// It is due since then, in the store, and nobody has taken it in hand.
    [[nodiscard]] bool waits_since(const Fact& fact, queue::Instant then) const {
        if (fact.in_flight || !fact.submitted.empty()) {
            return false;
        }
        return fact.recorded ? queue::is_schedulable(fact.recorded->state) && fact.recorded->next_attempt_at < then
                             : !about && begun_at < then;
    }
    [[nodiscard]] Fact* find(const std::string& address) {
        for (Fact& fact : recipients) {
            if (fact.address == address) {
                return &fact;
            }
        }
        return nullptr;
    }
};

struct Counts {
    std::uint64_t messages = 0;
    std::uint64_t recipients = 0;
    std::uint64_t accepted = 0;
    std::uint64_t attempts = 0;
    std::uint64_t copies = 0;
    std::uint64_t explained_duplicates = 0;
    std::uint64_t crashes = 0;
    std::uint64_t power_cuts = 0;
    std::uint64_t restarts = 0;
    std::uint64_t disk_errors = 0;
    std::uint64_t parked = 0;
    std::uint64_t returned = 0;
    std::uint64_t reports = 0;
    std::uint64_t held = 0;
    std::uint64_t removed = 0;
    std::uint64_t delivered = 0;
    std::uint64_t connects = 0;
    std::uint64_t pauses = 0;
    std::uint64_t brakes = 0;
    std::uint64_t outgoing = 0;  ///< transactions, by domain
    std::uint64_t checks = 0;
    void add(const Counts& other);
};

class Truth {
public:
    explicit Truth(const Timeline& timeline) : timeline_(timeline) {}

    MessageFact& begin(queue::MessageId id, std::string content, const std::vector<std::string>& addresses);
    /// The gateway has made a report; it is in the queue once report_committed() says so, or it is found there.
    void report_made(const queue::Reporter::Case& about, const queue::Reporter::Answer& answer);
    void report_committed(queue::MessageId id);
    /// A store has refused a report to this address for good.
    void report_refused(const std::string& address);
    /// Somebody has refused this recipient for good who may: DNS, that knows no such domain.
    void refused(queue::MessageId id, queue::Ordinal ordinal) { fact(id, ordinal).refused_for_good = true; }
    /// The report with this content, by its Message-ID.
    [[nodiscard]] MessageFact& by_content(const std::string& content);
    [[nodiscard]] MessageFact& by_token(Token token);
    [[nodiscard]] MessageFact& by_id(queue::MessageId id);
    [[nodiscard]] std::map<Token, MessageFact>& messages() { return messages_; }

    void answered(MessageFact& message, queue::StoreStatus status);
    void attempt_begins(queue::MessageId id, const queue::Recipient& recipient);
    void attempt_ends(queue::MessageId id, queue::Ordinal ordinal);
    /// As good as an attempt: it was due, and the servers of its domain were not asked.
    void deferred_untried(queue::MessageId id, const queue::Recipient& recipient);
    /// A store has taken the message for this recipient.
    void copy_made(Token token, const std::string& address, const std::string& content);
    /// The gateway has understood 2xx.
    void success_seen(queue::MessageId id, queue::Ordinal ordinal, std::uint64_t life);
    void submitted(const std::vector<queue::RecipientUpdate>& updates);
    /// As they are in the file.
    void recorded(const std::vector<queue::RecipientUpdate>& updates);
    /// What waits for this address was called: it may go before the time that was recorded.
    void called(const std::string& address);
    void crashed();
    /// An operator has paused a backend, or resumed it.
    void pause_ordered(const std::string& backend, bool pause);
    /// Nothing that was ordered until now waits for its record.
    void orders_recorded();
    void plan_begins(const std::string& backend);
    /// And was all the time since then. False: perhaps, too.
    [[nodiscard]] bool is_surely_running(const std::string& backend, Timeline::Milliseconds since) const;
    /// What was due by the clock before may be on its way.
    void clock_jumped(Timeline::Milliseconds by);
    /// What a new life finds in the queue: all of it.
    void found(const std::vector<queue::QueuedMessage>& queue);
    /// Everything well, and long enough: what may be left.
    void ended(const std::vector<queue::QueuedMessage>& queue);

    std::uint64_t life = 0;
    Timeline::Milliseconds expire = 0;  ///< as configured
    Counts counts;

private:
    [[nodiscard]] Fact& fact(queue::MessageId id, queue::Ordinal ordinal);
    void check_reports();
    void check_its_time(const MessageFact& message, const Fact& fact);
    [[noreturn]] void broken(int invariant, const std::string& what, const MessageFact& message, const Fact* fact);

    struct Pause {
        enum class Is : std::uint8_t { no, yes, perhaps } is = Is::no;
        bool recorded = true;
        Timeline::Milliseconds ordered_at = 0;
    };

    const Timeline& timeline_;
    Timeline::Milliseconds jumped_before_ = 0;  ///< forward, in earlier lives
    Timeline::Milliseconds jumped_ = 0;         ///< in this one
    std::map<std::string, Pause> pauses_;       ///< by backend
    std::map<Token, MessageFact> messages_;
    std::map<std::int64_t, Token> tokens_;
};

}  // namespace postern::simulation
