#include "smtp-server/detail/client_table.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

namespace postern::smtp_server::detail {

namespace {

constexpr std::chrono::seconds memory_of_idle{60};  // in which every bucket fills

std::uint32_t per_minute(ClientTable::What what, const Limits& limits) {
    switch (what) {
        case ClientTable::What::connection:
            return limits.connections_per_minute;
        case ClientTable::What::message:
            return limits.messages_per_minute;
        case ClientTable::What::recipient:
            return limits.recipients_per_minute;
        case ClientTable::What::error:
            break;
    }
    return limits.errors_per_minute;
}

}  // namespace

std::string client_key(const std::string& ip) {
    std::array<unsigned char, 16> octets{};
    const std::string plain = ip.substr(0, ip.find('%'));
    if (::inet_pton(AF_INET6, plain.c_str(), octets.data()) == 1) {
        return '6' + std::string(octets.begin(), octets.begin() + 8);  // never the same as an IPv4 address in text
    }
    return ip;
}

bool is_loopback(const std::string& ip) { return ip.compare(0, 4, "127.") == 0 || ip == "::1"; }

double TokenBucket::tokens(std::uint32_t per_minute, Instant now) const {
    const double passed = std::chrono::duration<double>(now - at_).count();
    return per_minute - std::max(0.0, missing_ - std::max(0.0, passed) * per_minute / 60);
}

bool TokenBucket::take(std::uint32_t per_minute, Instant now) {
    if (per_minute == 0) {
        return true;
    }
    const double there = tokens(per_minute, now);
    if (there < 1) {
        return false;
    }
    missing_ = per_minute - there + 1;
    at_ = now;
    return true;
}

bool TokenBucket::is_empty(std::uint32_t per_minute, Instant now) const {
    return per_minute != 0 && tokens(per_minute, now) < 1;
}

ClientTable::Place::Place(Place&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)), client_(other.client_), unmetered_(other.unmetered_) {}

ClientTable::Place& ClientTable::Place::operator=(Place&& other) noexcept {
    if (this != &other) {
        leave();
        table_ = std::exchange(other.table_, nullptr);
        client_ = other.client_;
        unmetered_ = other.unmetered_;
    }
    return *this;
}

void ClientTable::Place::leave() {
    if (table_ != nullptr) {
        std::exchange(table_, nullptr)->leave(client_);
    }
}

bool ClientTable::Place::take(What what, const Limits& limits, Instant now) {
    if (unmetered_ || table_ == nullptr || client_ == nullptr) {
        return true;
    }
    const std::lock_guard lock(table_->mutex_);
    return client_->buckets.at(static_cast<std::size_t>(what)).take(per_minute(what, limits), now);
}

ClientTable::Verdict ClientTable::judge(Client& client, const Limits& limits, Standing standing, Instant now) {
    if (!standing.trusted && client.connections >= limits.connections_per_client) {
        return Verdict::too_many_from_client;
    }
    const auto bucket = [&client](What what) -> TokenBucket& {
        return client.buckets.at(static_cast<std::size_t>(what));
    };
    if (!standing.unmetered && bucket(What::error).is_empty(limits.errors_per_minute, now)) {
        return Verdict::too_many_errors;
    }
    if (!standing.unmetered && !bucket(What::connection).take(limits.connections_per_minute, now)) {
        return Verdict::too_fast;
    }
    return Verdict::admitted;
}

ClientTable::Entered ClientTable::enter(const std::string& key, const Limits& limits, Standing standing, Instant now) {
    Entered entered = let_in(key, limits, standing, now);
    total_ += entered.verdict == Verdict::admitted ? 1U : 0U;
    return entered;
}

ClientTable::Entered ClientTable::let_in(const std::string& key, const Limits& limits, Standing standing, Instant now) {
    const std::lock_guard lock(mutex_);
    Entered entered;
    room_ = limits.connections;
    forget_old(now);
    if (current_ >= limits.connections) {
        ++refused_;
        entered.verdict = Verdict::too_many;
        return entered;
    }
    Client* client = nullptr;
    if (!key.empty()) {
        const auto [place, is_new] = clients_.try_emplace(key);
        client = &place->second;
        if (is_new) {
            client->key = &place->first;
            rest(*client, now);
        }
        entered.verdict = judge(*client, limits, standing, now);
        if (entered.verdict != Verdict::admitted) {
            ++refused_;
            return entered;
        }
        if (client->connections++ == 0) {
            idle_.erase(client->idle);
        }
    }
    ++current_;
    entered.place.table_ = this;
    entered.place.client_ = client;
    entered.place.unmetered_ = standing.unmetered;
    return entered;
}

ClientTable::Entered ClientTable::rename(Place place, const std::string& key, const Limits& limits, Standing standing,
                                         Instant now) {
    place.leave();
    return let_in(key, limits, standing, now);  // it was counted when it came
}

/// It has no connection (any more).
void ClientTable::rest(Client& client, Instant now) {
    client.idle = idle_.insert(idle_.end(), {client.key, now});
    if (idle_.size() > idle_max) {
        forget_first();
    }
}

void ClientTable::forget_first() {
    clients_.erase(clients_.find(*idle_.front().key));
    idle_.pop_front();
}

void ClientTable::forget_old(Instant now) {
    while (!idle_.empty() && now - idle_.front().since >= memory_of_idle) {
        forget_first();
    }
}

void ClientTable::leave(Client* client) {
    const std::lock_guard lock(mutex_);
    --current_;
    if (client != nullptr && --client->connections == 0) {
        rest(*client, std::chrono::steady_clock::now());
    }
}

bool ClientTable::stressed() const { return current_ * 5 >= std::size_t{room_} * 4 && room_ > 0; }

std::size_t ClientTable::idle() const {
    const std::lock_guard lock(mutex_);
    return idle_.size();
}

}  // namespace postern::smtp_server::detail
