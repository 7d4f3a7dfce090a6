#include "gateway/delivery/destinations.hpp"

#include <algorithm>
#include <utility>

#include "gateway/delivery/circuit.hpp"

namespace postern::delivery {

namespace {

constexpr std::chrono::minutes rest_first{1};
constexpr std::chrono::hours remembered{1};       ///< behind its rest, that a domain has failed
constexpr std::uint32_t rests_longest_after = 4;  ///< failures: then eight times as long
constexpr std::uint32_t breaks_in_a_row_max = 2;  ///< transactions in a row that broke off, until the domain rests

}  // namespace

void Destinations::add(Batch batch) {
    if (batch.recipients.empty()) {
        return;
    }
    recipients_ += batch.recipients.size();
    by_message_[batch.message.value()] += batch.recipients.size();
    std::map<std::string, Batch> parts;
    for (queue::Recipient& recipient : batch.recipients) {
        Batch& part = parts[destination_of(recipient)];
        part.recipients.push_back(std::move(recipient));
    }
    for (auto& [domain, part] : parts) {
        part.message = batch.message;
        part.received_at = batch.received_at;
        part.size = batch.size;
        part.fresh = batch.fresh;
        domains_[domain].line.add(std::move(part));
        waiting_.insert(domain);
    }
}

std::vector<Batch> Destinations::take_all() {
    std::vector<Batch> all;
    for (const std::string& domain : waiting_) {
        for (Batch& batch : domains_[domain].line.take_all()) {
            all.push_back(std::move(batch));
        }
    }
    waiting_.clear();
    by_message_.clear();
    recipients_ = 0;
    return all;
}

std::size_t Destinations::recipients_of(queue::MessageId message) const {
    const auto found = by_message_.find(message.value());
    return found == by_message_.end() ? 0 : found->second;
}

void Destinations::took(Entry& entry, queue::MessageId message, std::size_t count) {
    recipients_ -= count;
    const auto found = by_message_.find(message.value());
    if (found != by_message_.end() && (found->second -= std::min(count, found->second)) == 0) {
        by_message_.erase(found);
    }
    if (entry.second.line.empty()) {
        entry.second.put_off = 0;
        waiting_.erase(entry.first);
    }
}

Destinations::Entry* Destinations::next(queue::SteadyInstant now, std::uint32_t transactions_max) {
    auto candidate = waiting_.upper_bound(last_);
    for (std::size_t left = waiting_.size(); left > 0; --left, ++candidate) {
        if (candidate == waiting_.end()) {
            candidate = waiting_.begin();
        }
        const auto found = domains_.find(*candidate);
        if (found->second.rests(now) || found->second.has_room(transactions_max)) {
            last_ = *candidate;
            return &*found;
        }
    }
    return nullptr;
}

std::vector<Destinations::Entry*> Destinations::longer_than(std::size_t most) {
    std::vector<Entry*> found;
    if (recipients_ <= most) {
        return found;
    }
    for (const std::string& domain : waiting_) {
        const auto entry = domains_.find(domain);
        if (entry->second.line.recipients() > most) {
            found.push_back(&*entry);
        }
    }
    return found;
}

const Destination* Destinations::find(const std::string& domain) const {
    const auto found = domains_.find(domain);
    return found == domains_.end() ? nullptr : &found->second;
}

void Destinations::ended(const std::string& domain, lmtp_client::Trouble trouble, const std::string& detail,
                         queue::SteadyInstant now) {
    Destination& destination = domains_[domain];
    if (trouble == lmtp_client::Trouble::content) {
        return;  // ours
    }
    if (trouble == lmtp_client::Trouble::none) {
        destination.failures = 0;
        destination.rests_until = {};
        destination.last_error.clear();
        return;
    }
    ++destination.failures;
    destination.last_error = detail;
    if (is_surely_the_endpoint(trouble) || destination.failures >= breaks_in_a_row_max) {
        destination.rests_until = now + rest_first * (1U << (std::min(destination.failures, rests_longest_after) - 1));
    }
}

void Destinations::hurry(const std::string& domain, queue::SteadyInstant now) {
    const auto found = domains_.find(domain);
    if (found != domains_.end()) {
        found->second.rests_until = std::min(found->second.rests_until, now);
    }
}

void Destinations::hurry_all(queue::SteadyInstant now) {
    for (auto& [domain, destination] : domains_) {
        destination.rests_until = std::min(destination.rests_until, now);
    }
}

void Destinations::released(const std::string& domain) {
    const auto found = domains_.find(domain);
    if (found != domains_.end() && found->second.in_flight > 0) {
        --found->second.in_flight;
    }
}

void Destinations::released_all() {
    for (auto& [domain, destination] : domains_) {
        destination.in_flight = 0;
    }
}

void Destinations::tidy(queue::SteadyInstant now) {
    std::erase_if(domains_, [now](const Entry& entry) {
        const Destination& destination = entry.second;
        return destination.line.empty() && destination.in_flight == 0 &&
               (destination.failures == 0 || now - destination.rests_until >= remembered);
    });
}

}  // namespace postern::delivery
