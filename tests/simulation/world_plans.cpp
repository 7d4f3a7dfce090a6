#include <algorithm>
#include <set>
#include <utility>

#include "world_inside.hpp"

namespace postern::simulation {

Peer& World::add_peer(const std::string& endpoint) {
    auto peer = std::make_unique<Peer>(endpoint, truth_, timeline_, random_);
    peer->pipelining = random_.chance(80);
    peer->chunking = random_.chance(50);
    around_.peers[endpoint] = peer.get();
    return *(peers_[endpoint] = std::move(peer));
}

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
            add_peer(name);
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

void World::make_elsewhere() {
    const auto add_exchangers = [this](const std::string& domain, std::size_t domains) {
        std::vector<std::string> exchangers;
        for (std::int64_t number = random_.between(1, 2); number > 0; --number) {
            exchangers.push_back("smtp://mx" + std::to_string(number) + '.' + domain + ":25");
            Peer& peer = add_peer(exchangers.back());
            peer.speaks_smtp = true;
            peer.domains = domains;
        }
        return exchangers;
    };
    for (std::int64_t number = random_.between(3, 6); number > 0; --number) {
        away_.push_back("away" + std::to_string(number) + ".test");
        around_.elsewhere[away_.back()].exchangers = add_exchangers(away_.back(), 1);
    }
    constexpr std::size_t hosted = 20;
    const auto shared = add_exchangers("hosts.test", hosted);
    while (hosted_.size() < hosted) {
        hosted_.push_back("hosted" + std::to_string(hosted_.size()) + ".test");
        around_.elsewhere[hosted_.back()].exchangers = shared;
    }
    add_peer("smtp://relay.test:25").speaks_smtp = true;
    by_domain_.endpoints.push_back(*lmtp_client::parse_endpoint("smtp://*:25"));
    by_domain_.connections = static_cast<std::uint32_t>(random_.between(4, 14));
    by_domain_.connections_per_domain = static_cast<std::uint32_t>(random_.between(1, 3));
    by_domain_.recipients_per_transaction = static_cast<std::uint32_t>(random_.between(1, 10));
    by_domain_.reply_timeout = std::chrono::seconds(random_.between(30, 120));
    by_domain_.brake.on = false;
    by_domain_.is_elsewhere = true;
    set_way(Way::by_domain);
}

void World::set_way(Way way) {
    way_ = way;
    options_.backends.erase(delivery::outgoing_backend);
    if (way == Way::none) {
        return;
    }
    delivery::BackendOptions& out = options_.backends[delivery::outgoing_backend];
    out = by_domain_;
    if (way == Way::relay) {
        out.endpoints = {*lmtp_client::parse_endpoint("smtp://relay.test:25")};
        out.connections_per_domain = 0;
    }
}

std::optional<std::string> World::backend_of(const std::string& domain) const {
    if (around_.elsewhere.contains(domain)) {
        return std::nullopt;
    }
    return domain == "a.test" || (domain == "c.test" && third_is_first_) ? "first" : "second";
}

delivery::Route World::route() const {
    return [this](const mail::Mailbox& address) { return backend_of(address.domain()); };
}

delivery::Route World::way_to() const {
    return [this](const mail::Mailbox& address) -> std::optional<std::string> {
        auto backend = backend_of(address.domain());
        if (!backend && way_ != Way::none) {
            backend = delivery::outgoing_backend;
        }
        return backend;
    };
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
    const std::vector<std::string>* const hung = hung_.empty() ? nullptr : &around_.elsewhere.at(hung_).exchangers;
    for (auto& [name, peer] : peers_) {
        if (hung != nullptr && std::find(hung->begin(), hung->end(), name) != hung->end()) {
            continue;
        }
        Timeline::Milliseconds at = random_.chance(30) ? 0 : random_.between(0, hour);
        while (at < end_of_trouble_) {
            const Mood mood = random_.chance(40) ? Mood::well : static_cast<Mood>(random_.below(moods));
            timeline_.at(at, [this, here = peer.get(), mood] { set_mood(*here, mood); });
            at += random_.between(minute, random_.chance(20) ? 2 * hour : 20 * minute);
        }
    }
}

/// Much mail goes to it, and it takes none, or only slowly: that is nobody else's trouble.
void World::plan_a_hung_domain() {
    if (!random_.chance(35)) {
        return;
    }
    hung_ = away_[random_.below(away_.size())];
    constexpr Mood bad[] = {Mood::slow, Mood::slow, Mood::black_hole, Mood::silent, Mood::mute_after_data, Mood::dead};
    const Mood mood = bad[random_.below(6)];
    for (const std::string& exchanger : around_.elsewhere.at(hung_).exchangers) {
        set_mood(*peers_.at(exchanger), mood);
    }
    for (std::int64_t messages = random_.between(10, 60); messages > 0; --messages) {
        const Timeline::Milliseconds at = random_.between(1, 4) * (end_of_trouble_ / 5) + random_.between(0, 20'000);
        timeline_.at(at, [this] {
            std::vector<std::string> addresses;
            for (std::int64_t count = random_.between(1, random_.chance(10) ? 60 : 8); count > 0; --count) {
                addresses.push_back("user" + std::to_string(count) + '@' + hung_);
            }
            client_sends({"sender.test", queue::Origin::trusted}, addresses, 0, 200);
        });
    }
}

/// DNS does not answer for a while, or the domain is gone.
void World::plan_names() {
    for (auto& [domain, there] : around_.elsewhere) {
        if (!random_.chance(25)) {
            continue;
        }
        const Timeline::Milliseconds at = random_.between(0, end_of_trouble_);
        const auto names = random_.chance(70) ? Elsewhere::Names::failing : Elsewhere::Names::none;
        timeline_.at(at, [this, names, &domain = domain, &there = there] {
            trace("no names of " + domain);
            there.names = names;
        });
        timeline_.at(at + random_.between(1000, 40 * minute), [this, &domain = domain, &there = there] {
            trace("names of " + domain);
            there.names = Elsewhere::Names::told;
            there.told_since = timeline_.now();
        });
    }
}

void World::client_sends(const Sender& sender, const std::vector<std::string>& addresses, std::size_t parts,
                         std::size_t size) {
    if (!process_) {
        return;
    }
    std::vector<queue::Recipient> recipients;
    for (const std::string& text : addresses) {
        queue::Recipient recipient(*mail::Mailbox::parse(text, mail::Utf8::refused));
        const auto way = way_to()(recipient.address);
        if (!way) {
            continue;  // the client is told no
        }
        recipient.ordinal = static_cast<queue::Ordinal>(recipients.size());
        recipient.backend = *way;
        recipient.next_attempt_at = timeline_.wall();
        recipients.push_back(std::move(recipient));
    }
    if (recipients.empty()) {
        return;
    }
    std::string body = "Subject: " + std::to_string(random_.next()) + "\r\n\r\n";
    while (body.size() < size) {
        body += random_.chance(10) ? ".\r\n" : "." + std::to_string(random_.next()) + "\r\n";
        body += std::string(random_.below(200), 'x') + "\r\n";
    }
    process_->accept(recipients, parts, body, sender.domain, sender.origin);
}

std::string World::some_domain_elsewhere() {
    const std::vector<std::string>& domains = random_.chance(70) ? away_ : hosted_;
    return domains[random_.below(domains.size())];
}

/// Only who is trusted may send to the domains of others.
void World::somebody_sends() {
    Sender sender;
    sender.origin = random_.chance(50) ? queue::Origin::trusted : queue::Origin::client;
    if (random_.chance(40)) {
        sender.domain = some_domain_elsewhere();
    }
    const bool goes_out = sender.origin == queue::Origin::trusted && random_.chance(60);
    std::set<std::string> addresses;
    const std::int64_t count = random_.chance(60)   ? 1
                               : random_.chance(95) ? random_.between(2, 5)
                                                    : random_.between(20, 80);
    while (static_cast<std::int64_t>(addresses.size()) < count) {
        const char* const kind = random_.chance(5) ? "nobody" : random_.chance(8) ? "full" : "user";
        const char* const domains[] = {"a.test", "b.test", "c.test"};
        const std::string domain = goes_out && random_.chance(70) ? some_domain_elsewhere() : domains[random_.below(3)];
        addresses.insert(kind + std::to_string(random_.below(200)) + '@' + domain);
    }
    std::vector<std::string> list(addresses.begin(), addresses.end());
    const bool large = random_.chance(10);
    client_sends(sender, list, large ? random_.below(4) : 0, large ? random_.below(30'000) : random_.below(1500));
}

void World::plan_clients() {
    const std::int64_t messages = random_.between(80, 180);
    for (std::int64_t number = 0; number < messages; ++number) {
        // Half of them in bursts, so that windows overflow and transactions are shared.
        const Timeline::Milliseconds at =
            random_.chance(50) ? random_.between(0, end_of_trouble_)
                               : random_.between(1, 4) * (end_of_trouble_ / 5) + random_.between(0, 3000);
        timeline_.at(at, [this] { somebody_sends(); });
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
    if (random_.chance(30)) {
        plan_orders_for_all();
    }
}

/// Of everything that there is: taken out in a hurry, and most of it let go again.
void World::plan_orders_for_all() {
    const auto all = [this](delivery::Order order) {
        for (auto& [token, message] : truth_.messages()) {
            for (const Fact& fact : message.recipients) {
                if (process_ && random_.chance(80)) {
                    process_->order(order, message.id, fact.ordinal);
                }
            }
        }
    };
    const Timeline::Milliseconds out = random_.between(0, end_of_trouble_);
    const auto order = random_.chance(70) ? delivery::Order::hold : delivery::Order::bounce;
    timeline_.at(out, [all, order] { all(order); });
    timeline_.at(out + random_.between(0, 600'000), [all] { all(delivery::Order::release); });
}

void World::plan_backend_orders() {
    if (!random_.chance(40)) {
        return;
    }
    const std::int64_t orders = random_.between(1, 10);
    for (std::int64_t number = 0; number < orders; ++number) {
        timeline_.at(random_.between(0, end_of_trouble_), [this] {
            const char* const names[] = {"first", "second", delivery::outgoing_backend};
            const std::string name = names[random_.below(3)];
            const auto order = static_cast<delivery::BackendOrder>(random_.below(3));
            trace("order " + std::to_string(static_cast<int>(order)) + " for " + name);
            if (process_) {
                process_->order(order, name);
            }
        });
    }
}

void World::reload() {
    trace("reload");
    reloaded_at_ = timeline_.now();
    if (process_) {
        process_->reconfigure(options_, route());
    }
}

void World::plan_reloads() {
    if (!random_.chance(40)) {
        return;
    }
    const std::int64_t reloads = random_.between(1, 4);
    for (std::int64_t number = 0; number < reloads; ++number) {
        const Timeline::Milliseconds at = random_.between(0, end_of_trouble_);
        timeline_.at(at, [this] {
            third_is_first_ = random_.chance(50);
            options_.backends["first"].connections = static_cast<std::uint32_t>(random_.between(1, 6));
            options_.backends["second"].recipients_per_transaction = static_cast<std::uint32_t>(random_.between(1, 10));
            by_domain_.connections = static_cast<std::uint32_t>(random_.between(4, 14));
            by_domain_.connections_per_domain = static_cast<std::uint32_t>(random_.between(1, 3));
            set_way(random_.chance(60) ? Way::by_domain : random_.chance(50) ? Way::relay : Way::none);
            reload();
        });
        if (random_.chance(50)) {
            // Somebody sees his mistake, while what was on its way still is.
            timeline_.at(at + random_.between(100, minute), [this] {
                set_way(Way::by_domain);
                reload();
            });
        }
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

}  // namespace postern::simulation
