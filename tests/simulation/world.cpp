#include "world.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

#include "world_inside.hpp"

namespace postern::simulation {

namespace {

constexpr std::size_t trace_lines = 400;

}  // namespace

void World::trace(const std::string& line) {
    std::string whole = std::to_string(timeline_.now()) + "ms " + line;
    if (run_.verbose) {
        std::cout << whole << '\n';
    }
    lines_.push_back(std::move(whole));
    if (lines_.size() > trace_lines) {
        lines_.pop_front();
    }
}

RunResult World::guarded(const std::function<void()>& what) {
    RunResult result;
    try {
        what();
    } catch (const Violation& violation) {
        result.ok = false;
        result.violation = violation.what();
    } catch (const std::exception& error) {
        result.ok = false;
        result.violation = std::string("an exception: ") + error.what();
    }
    if (!result.ok) {
        for (const std::string& line : lines_) {
            result.trace += line + '\n';
        }
    }
    disk_.go_down();
    process_.reset();
    truth_.counts.disk_errors = disk_.failures();
    result.counts = truth_.counts;
    result.virtual_ms = timeline_.now();
    return result;
}

// ---- Life and death ----

void World::boot() {
    booting_ = false;
    ++truth_.counts.restarts;
    trace("start");
    calm_since_ = std::max(calm_since_, timeline_.now());
    process_ = std::make_unique<Process>(around_, options_, route(), way_to());
    auto found = process_->begin() ? process_->read_all() : std::nullopt;
    if (disk_.is_down()) {
        return;
    }
    if (!found) {
        process_.reset();
        booting_ = true;
        timeline_.at(5000, [this] { boot(); });
        return;
    }
    truth_.found(*found);
    trace("found " + std::to_string(found->size()) + " messages");
}

void World::crash(bool power_cut) {
    trace(power_cut ? "power cut" : "killed");
    process_.reset();
    ++truth_.counts.crashes;
    truth_.counts.power_cuts += power_cut ? 1U : 0U;
    truth_.crashed();
    lanes_.crashed();
    disk_.restart(power_cut);
    if (!booting_) {
        booting_ = true;
        timeline_.at(random_.between(100, minute), [this] { boot(); });
    }
}

void World::live_until(Timeline::Milliseconds end) {
    while (timeline_.next(end)) {
        if (disk_.is_down()) {
            crash(power_cut_next_);
        }
    }
}

void World::make_all_well() {
    trace("everything is made well");
    disk_.is_full = false;
    disk_.sync_failures = disk_.write_failures = 0;
    disk_.fail_power_never();
    calm_since_ = timeline_.now();
    for (auto& [name, peer] : peers_) {
        set_mood(*peer, Mood::well);
    }
    for (auto& [name, backend] : options_.backends) {
        backend.brake.on = false;
    }
    for (auto& [domain, there] : around_.elsewhere) {
        there.names = Elsewhere::Names::told;
    }
    set_way(Way::by_domain);
    reload();
}

std::vector<queue::QueuedMessage> World::what_is_left() {
    if (!process_) {
        throw Violation("14: the gateway does not start");
    }
    auto left = process_->read_all();
    if (!left) {
        throw Violation("14: the queue cannot be read");
    }
    return std::move(*left);
}

void World::finish() {
    // Long enough for the longest retry, and for those that expire.
    const Timeline::Milliseconds until = timeline_.now() + 60 * hour;
    while (timeline_.now() < until) {
        for (const auto& [name, backend] : options_.backends) {
            if (process_) {
                process_->order(delivery::BackendOrder::resume, name);
                process_->order(delivery::BackendOrder::release_brake, name);
            }
        }
        live_until(timeline_.now() + hour);
        const bool none = process_ && process_->is_idle() && [this] {
            const auto left = what_is_left();
            return std::none_of(left.begin(), left.end(), [](const queue::QueuedMessage& message) {
                return std::any_of(message.recipients.begin(), message.recipients.end(),
                                   [](const queue::Recipient& row) { return queue::is_schedulable(row.state); });
            });
        }();
        if (none) {
            break;
        }
        timeline_.at(hour, [] {});
    }
    truth_.ended(what_is_left());
}

RunResult World::run() {
    return guarded([this] {
        make_peers();
        make_elsewhere();
        end_of_trouble_ = random_.between(hour, 8 * hour);
        boot();
        plan_a_hung_domain();
        plan_moods();
        plan_names();
        plan_clients();
        plan_orders();
        plan_backend_orders();
        plan_reloads();
        plan_disk_trouble();
        plan_crashes();
        for (Timeline::Milliseconds at = 0; at < end_of_trouble_; at += minute) {
            live_until(at);
            look_around();
        }
        live_until(end_of_trouble_);
        make_all_well();
        finish();
    });
}

RunResult run_seed(const RunOptions& options) {
    World world(options);
    return world.run();
}

RunResult run_pattern(int pattern, int count, bool crash, const RunOptions& options) {
    World world(options);
    return world.run_pattern(pattern, count, crash);
}

RunResult World::run_pattern(int pattern, int count, bool crash) {
    return guarded([this, pattern, count, crash] {
        make_peers();
        make_elsewhere();
        options_.backends["first"].endpoints.resize(1);
        options_.backends["first"].recipients_per_transaction = 5;
        options_.backends["first"].brake.on = false;
        boot();
        Peer& peer = *peers_.at("first0.test:24");
        constexpr Slot slots[] = {Slot::accept, Slot::defer, Slot::refuse, Slot::close, Slot::silence};
        std::vector<std::string> addresses;
        std::vector<Slot> said;
        for (int left = pattern, number = 0; number < count; ++number, left /= 5) {
            addresses.push_back("user" + std::to_string(number) + "@a.test");
            said.push_back(slots[left % 5]);
            peer.dictated[addresses.back()] = said.back();
        }
        timeline_.at(1, [this, &addresses] { client_sends({}, addresses, 0, 500); });
        if (crash) {
            power_cut_next_ = random_.chance(50);
            timeline_.at(random_.between(2, 120), [this] {
                if (random_.chance(50)) {
                    disk_.go_down();
                } else {
                    disk_.fail_power_in(1 + random_.below(12));
                }
            });
        }
        live_until(20'000);
        // After the first attempt, before the second: each as its own slot said.
        MessageFact* const message = truth_.messages().empty() ? nullptr : &truth_.messages().begin()->second;
        live_until(200'000);
        bool in_step = true;
        for (std::size_t slot = 0; message != nullptr && !crash && slot < said.size(); ++slot) {
            const Fact& fact = message->recipients[slot];
            if (!fact.recorded) {
                throw Violation("4 (pattern): nothing recorded for recipient " + std::to_string(slot));
            }
            const auto state = fact.recorded->state;
            bool right = false;
            if (in_step && said[slot] == Slot::accept) {
                right = state == queue::RecipientState::delivered;
            } else if (in_step && said[slot] == Slot::refuse) {
                right = (state == queue::RecipientState::parked || state == queue::RecipientState::returned) &&
                        fact.recorded->failed;
            } else if (in_step && said[slot] == Slot::defer) {
                right = state == queue::RecipientState::waiting && fact.recorded->attempts > 0;
            } else {
                in_step = false;  // this one, and those behind it, were never answered for in the first attempt
                right = fact.recorded->unknowns > 0 || fact.copies > 0 || said[slot] == Slot::refuse ||
                        said[slot] == Slot::defer;
            }
            if (!right) {
                throw Violation("pattern: recipient " + std::to_string(slot) + " is " +
                                std::string(queue::to_string(state)) + " \"" + fact.recorded->last_reply + '"');
            }
        }
        peer.dictated.clear();
        make_all_well();
        finish();
        for (std::size_t slot = 0; message != nullptr && slot < said.size(); ++slot) {
            const Fact& fact = message->recipients[slot];
            // Who never was answered for may be held; but not because of its neighbours.
            const bool unanswered = said[slot] == Slot::close || said[slot] == Slot::silence;
            const bool held = fact.recorded && fact.recorded->state == queue::RecipientState::held;
            if (message->answer == MessageFact::Answer::accepted && fact.copies == 0 && !fact.refused_for_good &&
                !(unanswered && held)) {
                throw Violation("pattern: recipient " + std::to_string(slot) + " never reached its store");
            }
        }
    });
}

}  // namespace postern::simulation
