// The domains of others, of a backend that is the way out to all of them: a line each, so many transactions at once
// each, and a rest for those whose servers could not be reached. So one domain's trouble is its own. Pure, with time as
// an argument.
//
// Source: RFC 5321 section 4.5.4.1 (unreachable hosts are remembered, instead of being tried for each message).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/delivery/ready_queue.hpp"
#include "lmtp-client/transaction.hpp"
#include "queue/time.hpp"

namespace postern::delivery {

struct Destination {
    ReadyQueue line;
    std::uint32_t in_flight = 0;  ///< transactions
    std::uint32_t failures = 0;   ///< transactions in a row that found nobody
    std::uint32_t put_off = 0;    ///< recipients that went back to the store for want of room, since there was some
    queue::SteadyInstant rests_until{};
    std::string last_error;  ///< a stranger's text, perhaps

    [[nodiscard]] bool rests(queue::SteadyInstant now) const { return now < rests_until; }
    /// After a failure one transaction goes ahead and finds out.
    [[nodiscard]] bool has_room(std::uint32_t transactions_max) const {
        return in_flight < (failures > 0 ? 1 : transactions_max);
    }
};

class Destinations {
public:
    using Entry = std::pair<const std::string, Destination>;

    /// Into the lines of their domains.
    void add(Batch batch);
    [[nodiscard]] std::vector<Batch> take_all();
    [[nodiscard]] std::size_t recipients() const noexcept { return recipients_; }
    /// Domains of which something is known.
    [[nodiscard]] std::size_t size() const noexcept { return domains_.size(); }
    /// Domains whose line is not empty.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }
    [[nodiscard]] std::size_t recipients_of(queue::MessageId message) const;
    /// `count` recipients of `message` were taken out of the line of `entry`.
    void took(Entry& entry, queue::MessageId message, std::size_t count);

    /// The next in turn whose line is not empty and that has room, or rests (what waits for it has to be told);
    /// nullptr: none.
    [[nodiscard]] Entry* next(queue::SteadyInstant now, std::uint32_t transactions_max);
    /// Those with more than `most` recipients in their line.
    [[nodiscard]] std::vector<Entry*> longer_than(std::size_t most);
    /// nullptr: nothing is known of it.
    [[nodiscard]] const Destination* find(const std::string& domain) const;

    void began(const std::string& domain) { ++domains_[domain].in_flight; }
    /// It ended so. Who found nobody lets the domain rest for a minute, then longer, up to ten; who was broken off in
    /// the middle only if that happens twice in a row.
    void ended(const std::string& domain, lmtp_client::Trouble trouble, const std::string& detail,
               queue::SteadyInstant now);
    /// An operator is impatient: its rest is over, and one transaction goes ahead.
    void hurry(const std::string& domain, queue::SteadyInstant now);
    void hurry_all(queue::SteadyInstant now);
    /// Its results are recorded.
    void released(const std::string& domain);
    void released_all();
    /// Forgets what is over. Now and then.
    void tidy(queue::SteadyInstant now);

private:
    std::map<std::string, Destination> domains_;
    std::set<std::string> waiting_;  ///< whose line is not empty
    std::string last_;               ///< who had the last turn
    std::size_t recipients_ = 0;
    std::unordered_map<std::int64_t, std::size_t> by_message_;
};

/// The domain of a recipient as its destination is called.
[[nodiscard]] inline std::string destination_of(const queue::Recipient& recipient) {
    return recipient.address.domain_key();
}

}  // namespace postern::delivery
