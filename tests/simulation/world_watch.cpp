#include <algorithm>
#include <set>

#include "world_inside.hpp"

namespace postern::simulation {

namespace {

constexpr Timeline::Milliseconds patience = 4 * minute;
constexpr Timeline::Milliseconds lane_patience = minute / 2;
constexpr Timeline::Milliseconds turn_patience = 30 * minute;

std::string waits(const MessageFact& message, const Fact& fact) {
    return ", recipient " + std::to_string(fact.ordinal) + ", waits since " +
           queue::to_rfc3339(fact.recorded ? fact.recorded->next_attempt_at : message.begun_at);
}

}  // namespace

/// A domain is reached although this exchanger of it is not, perhaps.
bool World::has_a_next(const std::string& exchanger) const {
    return std::any_of(around_.elsewhere.begin(), around_.elsewhere.end(), [&](const auto& domain) {
        const auto& names = domain.second.exchangers;
        return names.size() > 1 && std::find(names.begin(), names.end(), exchanger) != names.end();
    });
}

void World::check_connects() {
    constexpr std::size_t most_each = 3;  ///< of connections_per_domain
    for (auto& [name, peer] : peers_) {
        std::vector<Timeline::Milliseconds>& at = peer->connects;
        for (std::size_t first = 0; first < at.size(); ++first) {
            std::size_t in_a_second = 0;
            while (first + in_a_second < at.size() && at[first + in_a_second] < at[first] + 1000) {
                ++in_a_second;
            }
            ++truth_.counts.checks;
            const bool down =
                at[first] > peer->mood_since && (peer->mood == Mood::dead || peer->mood == Mood::black_hole);
            // Who spoils each of its connections, and takes what comes on it, is connected to for each.
            const auto fruitful = static_cast<std::size_t>(
                std::count_if(peer->taken.begin(), peer->taken.end(),
                              [from = at[first]](auto when) { return when >= from && when < from + 1000; }));
            // Of a domain that could not be reached one transaction finds out; operators and starts may ask again. At
            // one exchanger of several each transaction knocks on its way to the next.
            const std::size_t bound = !down || has_a_next(name) ? 60 + fruitful
                                      : peer->domains == 0      ? 14
                                                                : peer->domains * (most_each + 3);
            if (in_a_second > bound) {
                throw Violation("12: " + std::to_string(in_a_second) + " connects in a second to " + name);
            }
        }
        at.clear();
        peer->taken.clear();
    }
}

void World::look_around() {
    check_connects();
    if (!process_ || disk_.is_down()) {
        return;
    }
    process_->check_memory();
    if (process_->has_recorded_all()) {
        truth_.orders_recorded();
    }
    // Who is well for a while, with a store that records, has nothing lying about.
    const Timeline::Milliseconds since = std::max(calm_since_, process_->recording_since());
    if (disk_.is_full || disk_.sync_failures > 0 || disk_.write_failures > 0 || !process_->is_recording() ||
        timeline_.now() - since < patience) {
        return;
    }
    check_what_waits(timeline_.now() - since);
}

bool World::is_well(const std::string& endpoint, Timeline::Milliseconds since) const {
    const Peer& peer = *peers_.at(endpoint);
    return peer.mood == Mood::well && peer.well_since < since;
}

bool World::is_reached(const std::string& domain, Timeline::Milliseconds since) const {
    const Elsewhere& there = around_.elsewhere.at(domain);
    return there.names == Elsewhere::Names::told && there.told_since < since &&
           std::all_of(there.exchangers.begin(), there.exchangers.end(),
                       [&](const std::string& exchanger) { return is_well(exchanger, since); });
}

void World::check_what_waits(Timeline::Milliseconds calm) {
    std::set<std::string> well;
    for (const auto& [name, backend] : options_.backends) {
        if (truth_.is_surely_running(name, timeline_.now() - patience) && !backend.is_by_domain() &&
            std::all_of(backend.endpoints.begin(), backend.endpoints.end(), [this](const auto& endpoint) {
                return is_well(endpoint.to_string(), timeline_.now() - patience);
            })) {
            well.insert(name);
        }
    }
    // Who was never tried may have belonged to another backend until the last reload, one that was paused.
    const bool routes_are_old = timeline_.now() - reloaded_at_ >= patience;
    const bool goes_out =
        way_ == Way::by_domain && truth_.is_surely_running(delivery::outgoing_backend, timeline_.now() - patience);
    for (auto& [token, message] : truth_.messages()) {
        if (message.answer != MessageFact::Answer::accepted) {
            continue;
        }
        for (const Fact& fact : message.recipients) {
            ++truth_.counts.checks;
            if (!message.waits_since(fact, timeline_.wall() - std::chrono::milliseconds(lane_patience))) {
                continue;
            }
            const auto backend = backend_of(fact.domain());
            const bool is_long = message.waits_since(fact, timeline_.wall() - std::chrono::milliseconds(patience));
            if (backend && is_long && well.contains(*backend) &&
                (fact.recorded ? fact.recorded->backend == *backend : routes_are_old)) {
                throw Violation("13: " + *backend + " is well, and message " + message.id.to_string() +
                                waits(message, fact));
            }
            if (!backend && goes_out) {
                check_lane(message, fact, calm);
            }
        }
    }
}

/// A message has but its share of the memory, and others of its recipients may sit there whose domains are not well.
bool World::is_behind_its_own(const MessageFact& message) const {
    const std::size_t share = std::max<std::size_t>(options_.window / 8, by_domain_.recipients_per_transaction);
    return message.recipients.size() > share &&
           std::any_of(message.recipients.begin(), message.recipients.end(), [&](const Fact& fact) {
               return message.waits_since(fact, timeline_.wall()) && !backend_of(fact.domain()) &&
                      !is_reached(fact.domain(), timeline_.now() - patience);
           });
}

void World::check_lane(const MessageFact& message, const Fact& fact, Timeline::Milliseconds calm) {
    const std::string domain = fact.domain();
    const Timeline::Milliseconds now = timeline_.now();
    // With room in the lanes it goes at once. Without, each domain has its turn, however slow others are in theirs.
    const bool has_room =
        lanes_.had_room_since(now - lane_patience) && is_reached(domain, now - patience) && !is_behind_its_own(message);
    const bool had_no_turn = calm >= turn_patience && lanes_.are_there_since(now - turn_patience) &&
                             truth_.is_surely_running(delivery::outgoing_backend, now - turn_patience) &&
                             is_reached(domain, now - turn_patience) &&
                             message.waits_since(fact, timeline_.wall() - std::chrono::milliseconds(turn_patience)) &&
                             !lanes_.had_a_turn_since(domain, now - turn_patience);
    if (has_room || had_no_turn) {
        throw Violation("20: " + domain + (has_room ? " is well and has room" : " is well and has no turn") +
                        ", and message " + message.id.to_string() + waits(message, fact));
    }
}

}  // namespace postern::simulation
