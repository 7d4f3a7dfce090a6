#include "world.hpp"

#include <algorithm>
#include <deque>
#include <iostream>
#include <set>
#include <utility>

#include "process.hpp"

namespace postern::simulation {

namespace {

constexpr std::size_t trace_lines = 400;
constexpr Timeline::Milliseconds minute = 60'000;
constexpr Timeline::Milliseconds hour = 60 * minute;

class World {
public:
    explicit World(const RunOptions& options)
        : run_(options),
          random_(options.seed * 0x2545F4914F6CDD1DULL + 1),
          disk_(random_.next()),
          truth_(timeline_),
          lanes_(timeline_),
          around_{timeline_,
                  disk_,
                  truth_,
                  lanes_,
                  random_,
                  {},
                  {},
                  options.folder + "/queue.db",
                  [this](const std::string& line) { trace(line); }} {}

    RunResult run();
    RunResult run_pattern(int pattern, int count, bool crash);

private:
    void trace(const std::string& line);
    RunResult guarded(const std::function<void()>& what);
    void make_peers();
    void set_mood(Peer& peer, Mood mood);
    void plan_moods();
    void plan_clients();
    void plan_orders();
    void plan_backend_orders();
    void plan_reloads();
    void plan_disk_trouble();
    void plan_crashes();
    void boot();
    void crash(bool power_cut);
    /// Runs until `end`, and lets the gateway die when its disk does.
    void live_until(Timeline::Milliseconds end);
    void look_around();
    void check_connects();
    void make_all_well();
    void finish();
    [[nodiscard]] std::vector<queue::QueuedMessage> what_is_left();
    [[nodiscard]] delivery::Route route() const;
    void client_sends(const std::vector<std::string>& addresses, std::size_t parts, std::size_t size);
    [[nodiscard]] std::string backend_of(const std::string& domain) const;

    const RunOptions run_;
    Random random_;
    Timeline timeline_;
    Disk disk_;
    Truth truth_;
    Lanes lanes_;
    Surroundings around_;
    delivery::Options options_;
    std::map<std::string, std::unique_ptr<Peer>> peers_;
    std::unique_ptr<Process> process_;
    std::deque<std::string> lines_;
    Timeline::Milliseconds end_of_trouble_ = 0;
    Timeline::Milliseconds calm_since_ = 0;  ///< no trouble of disk or clock
    bool third_is_first_ = false;            ///< where the third domain is routed
    bool power_cut_next_ = false;
    bool booting_ = false;
};

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

// ---- Who is there ----

void World::make_peers() {
    options_.hostname = "mx.test";
    options_.retry.first = std::chrono::seconds(random_.between(20, 120));
    options_.retry.maximum = std::chrono::minutes(random_.between(5, 40));
    options_.retry.expire = std::chrono::hours(random_.between(6, 48));
    truth_.expire = options_.retry.expire.count();
    options_.retry.delay_notice = std::chrono::minutes(random_.chance(50) ? random_.between(10, 240) : 0);
    options_.window = static_cast<std::size_t>(random_.between(6, 60));
    for (const char* backend : {"first", "second"}) {
        delivery::BackendOptions& made = options_.backends[backend];
        const auto endpoints = random_.between(1, 2);
        for (std::int64_t number = 0; number < endpoints; ++number) {
            const std::string name = std::string(backend) + std::to_string(number) + ".test:24";
            made.endpoints.push_back(*lmtp_client::parse_endpoint(name));
            auto peer = std::make_unique<Peer>(name, truth_, timeline_, random_);
            peer->pipelining = random_.chance(80);
            peer->chunking = random_.chance(50);
            around_.peers[name] = peer.get();
            peers_[name] = std::move(peer);
        }
        made.connections = static_cast<std::uint32_t>(random_.between(1, 6));
        made.recipients_per_transaction = static_cast<std::uint32_t>(random_.between(1, 10));
        made.reply_timeout = std::chrono::seconds(random_.between(30, 120));
        constexpr delivery::Balance balances[] = {delivery::Balance::least_busy, delivery::Balance::failover,
                                                  delivery::Balance::sticky};
        made.balance = balances[random_.below(3)];
        made.brake.on = random_.chance(60);
        made.brake.failures = static_cast<std::uint32_t>(random_.between(3, 12));
        made.brake.recipients = static_cast<std::uint32_t>(random_.between(2, 6));
        made.brake.window = std::chrono::minutes(random_.between(1, 20));
    }
}

std::string World::backend_of(const std::string& domain) const {
    return domain == "a.test" || (domain == "c.test" && third_is_first_) ? "first" : "second";
}

delivery::Route World::route() const {
    return [this](const mail::Mailbox& address) -> std::optional<std::string> { return backend_of(address.domain()); };
}

void World::set_mood(Peer& peer, Mood mood) {
    trace("mood of " + peer.name + ": " + to_string(mood));
    if (mood == Mood::well && peer.mood != Mood::well) {
        peer.well_since = timeline_.now();
    }
    peer.mood = mood;
    peer.mood_since = timeline_.now();
}

void World::plan_moods() {
    for (auto& [name, peer] : peers_) {
        Timeline::Milliseconds at = random_.chance(30) ? 0 : random_.between(0, hour);
        while (at < end_of_trouble_) {
            const Mood mood = random_.chance(40) ? Mood::well : static_cast<Mood>(random_.below(moods));
            timeline_.at(at, [this, here = peer.get(), mood] { set_mood(*here, mood); });
            at += random_.between(minute, random_.chance(20) ? 2 * hour : 20 * minute);
        }
    }
}

void World::client_sends(const std::vector<std::string>& addresses, std::size_t parts, std::size_t size) {
    if (!process_) {
        return;
    }
    std::vector<queue::Recipient> recipients;
    for (const std::string& text : addresses) {
        queue::Recipient recipient(*mail::Mailbox::parse(text, mail::Utf8::refused));
        recipient.ordinal = static_cast<queue::Ordinal>(recipients.size());
        recipient.backend = backend_of(recipient.address.domain());
        recipient.next_attempt_at = timeline_.wall();
        recipients.push_back(std::move(recipient));
    }
    std::string body = "Subject: " + std::to_string(random_.next()) + "\r\n\r\n";
    while (body.size() < size) {
        body += random_.chance(10) ? ".\r\n" : "." + std::to_string(random_.next()) + "\r\n";
        body += std::string(random_.below(200), 'x') + "\r\n";
    }
    process_->accept(recipients, parts, body, "sender.test",
                     random_.chance(50) ? queue::Origin::trusted : queue::Origin::client);
}

void World::plan_clients() {
    const std::int64_t messages = random_.between(60, 140);
    for (std::int64_t number = 0; number < messages; ++number) {
        // Half of them in bursts, so that windows overflow and transactions are shared.
        const Timeline::Milliseconds at =
            random_.chance(50) ? random_.between(0, end_of_trouble_)
                               : random_.between(1, 4) * (end_of_trouble_ / 5) + random_.between(0, 3000);
        timeline_.at(at, [this] {
            std::set<std::string> addresses;
            const std::int64_t count = random_.chance(60)   ? 1
                                       : random_.chance(95) ? random_.between(2, 5)
                                                            : random_.between(20, 80);
            while (static_cast<std::int64_t>(addresses.size()) < count) {
                const char* const kind = random_.chance(5) ? "nobody" : random_.chance(8) ? "full" : "user";
                const char* const domains[] = {"a.test", "b.test", "c.test"};
                addresses.insert(kind + std::to_string(random_.below(200)) + '@' + domains[random_.below(3)]);
            }
            std::vector<std::string> list(addresses.begin(), addresses.end());
            const bool large = random_.chance(10);
            client_sends(list, large ? random_.below(4) : 0, large ? random_.below(30'000) : random_.below(1500));
        });
    }
}

void World::plan_orders() {
    if (!random_.chance(60)) {
        return;
    }
    const std::int64_t orders = random_.between(1, 12);
    for (std::int64_t number = 0; number < orders; ++number) {
        timeline_.at(random_.between(0, end_of_trouble_), [this] {
            auto& messages = truth_.messages();
            if (!process_ || messages.empty()) {
                return;
            }
            auto& message = messages.at(static_cast<Token>(1 + random_.below(messages.size())));
            const auto order = static_cast<delivery::Order>(random_.below(5));
            const auto ordinal = static_cast<queue::Ordinal>(random_.below(message.recipients.size()));
            process_->order(order, message.id, ordinal);
        });
    }
}

void World::plan_backend_orders() {
    if (!random_.chance(40)) {
        return;
    }
    const std::int64_t orders = random_.between(1, 10);
    for (std::int64_t number = 0; number < orders; ++number) {
        timeline_.at(random_.between(0, end_of_trouble_), [this] {
            const std::string name = random_.chance(50) ? "first" : "second";
            const auto order = static_cast<delivery::BackendOrder>(random_.below(3));
            trace("order " + std::to_string(static_cast<int>(order)) + " for " + name);
            if (process_) {
                process_->order(order, name);
            }
        });
    }
}

void World::plan_reloads() {
    if (!random_.chance(40)) {
        return;
    }
    const std::int64_t reloads = random_.between(1, 4);
    for (std::int64_t number = 0; number < reloads; ++number) {
        timeline_.at(random_.between(0, end_of_trouble_), [this] {
            third_is_first_ = random_.chance(50);
            options_.backends["first"].connections = static_cast<std::uint32_t>(random_.between(1, 6));
            options_.backends["second"].recipients_per_transaction = static_cast<std::uint32_t>(random_.between(1, 10));
            trace("reload");
            if (process_) {
                process_->reconfigure(options_, route());
            }
        });
    }
}

void World::plan_disk_trouble() {
    if (random_.chance(25)) {
        const Timeline::Milliseconds at = random_.between(0, end_of_trouble_);
        timeline_.at(at, [this] {
            trace("the disk is full");
            disk_.is_full = true;
        });
        timeline_.at(at + random_.between(1000, 20 * minute), [this] {
            trace("the disk has room");
            disk_.is_full = false;
            calm_since_ = timeline_.now();
        });
    }
    if (random_.chance(25)) {
        const Timeline::Milliseconds at = random_.between(0, end_of_trouble_);
        const bool syncs = random_.chance(50);
        timeline_.at(at, [this, syncs] {
            trace("the disk fails");
            (syncs ? disk_.sync_failures : disk_.write_failures) = 20;
        });
        timeline_.at(at + random_.between(1000, 5 * minute), [this] {
            trace("the disk is mended");
            disk_.sync_failures = disk_.write_failures = 0;
            calm_since_ = timeline_.now();
        });
    }
    if (random_.chance(30)) {
        timeline_.at(random_.between(0, end_of_trouble_), [this] {
            const Timeline::Milliseconds by =
                random_.chance(50) ? random_.between(0, 240 * hour) : random_.between(-hour, hour);
            timeline_.skew += by;
            truth_.clock_jumped(by);
            calm_since_ = timeline_.now();
            trace("the wall clock jumps");
        });
    }
}

void World::plan_crashes() {
    const std::int64_t crashes = random_.between(0, 8);
    for (std::int64_t number = 0; number < crashes; ++number) {
        timeline_.at(random_.between(0, end_of_trouble_), [this] {
            power_cut_next_ = random_.chance(60);
            if (random_.chance(70)) {
                disk_.fail_power_in(1 + random_.below(60));  // in the midst of what it writes next
            } else {
                disk_.go_down();
            }
        });
    }
}

// ---- Life and death ----

void World::boot() {
    booting_ = false;
    ++truth_.counts.restarts;
    trace("start");
    calm_since_ = std::max(calm_since_, timeline_.now());
    process_ = std::make_unique<Process>(around_, options_, route(), route());
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

// ---- Watching ----

void World::check_connects() {
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
            const std::size_t bound = down ? 14 : 60;
            if (in_a_second > bound) {
                throw Violation("12: " + std::to_string(in_a_second) + " connects in a second to " + name);
            }
        }
        at.clear();
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
    // Invariant 13. Who is well for a while, with a store that records, has nothing lying about.
    constexpr Timeline::Milliseconds patience = 4 * minute;
    const Timeline::Milliseconds since = std::max(calm_since_, process_->recording_since());
    if (disk_.is_full || disk_.sync_failures > 0 || disk_.write_failures > 0 || !process_->is_recording() ||
        timeline_.now() - since < patience) {
        return;
    }
    for (const auto& [name, backend] : options_.backends) {
        const bool well = std::all_of(backend.endpoints.begin(), backend.endpoints.end(), [this](const auto& endpoint) {
            const Peer& peer = *peers_.at(endpoint.to_string());
            return peer.mood == Mood::well && timeline_.now() - peer.well_since > patience;
        });
        if (!well || !truth_.is_surely_running(name)) {
            continue;
        }
        for (auto& [token, message] : truth_.messages()) {
            if (message.answer != MessageFact::Answer::accepted) {
                continue;
            }
            for (const Fact& fact : message.recipients) {
                ++truth_.counts.checks;
                if (fact.recorded && queue::is_schedulable(fact.recorded->state) && !fact.in_flight &&
                    fact.submitted.empty() && backend_of(fact.address.substr(fact.address.find('@') + 1)) == name &&
                    fact.recorded->backend == name &&
                    timeline_.wall() - fact.recorded->next_attempt_at > std::chrono::milliseconds(patience)) {
                    throw Violation("13: " + name + " is well, and message " + message.id.to_string() +
                                    " waits since " + queue::to_rfc3339(fact.recorded->next_attempt_at));
                }
            }
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
    if (process_) {
        process_->reconfigure(options_, route());
    }
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
        end_of_trouble_ = random_.between(hour, 8 * hour);
        boot();
        plan_moods();
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

}  // namespace

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
        timeline_.at(1, [this, &addresses] { client_sends(addresses, 0, 500); });
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
