#include "gateway/screening/triplets.hpp"

#include <arpa/inet.h>
#include <xxhash.h>

#include <algorithm>
#include <array>

namespace postern::screening {

namespace {

constexpr std::string_view magic = "PstGrey1";
constexpr std::size_t header_octets = 24;   // magic, seed, number of rows
constexpr std::size_t row_octets = 32;      // key, first, last * 2 + passed
constexpr std::size_t checksum_octets = 8;  // of all before
constexpr std::chrono::minutes sweep_pause{1};

void put(std::string& out, std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
        out += static_cast<char>(value >> shift & 0xff);
    }
}

std::uint64_t get(std::string_view octets) {
    std::uint64_t value = 0;
    for (std::size_t i = 8; i-- > 0;) {
        value = value << 8 | static_cast<unsigned char>(octets[i]);
    }
    return value;
}

std::string network_of(std::string_view client) {
    const std::string text(client);
    std::array<char, 16> octets{};
    if (::inet_pton(AF_INET, text.c_str(), octets.data()) == 1) {
        return {octets.data(), 3};
    }
    if (::inet_pton(AF_INET6, text.c_str(), octets.data()) == 1) {
        return {octets.data(), 8};
    }
    return text;
}

void append_lower(std::string& out, std::string_view text) {
    for (const char c : text) {
        out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
}

std::uint64_t stored(queue::Instant instant) { return static_cast<std::uint64_t>(instant.time_since_epoch().count()); }
queue::Instant restored(std::uint64_t value) {
    return queue::Instant(queue::Duration(static_cast<queue::Duration::rep>(value)));
}

}  // namespace

Triplets::Key Triplets::key_of(std::string_view client, std::string_view sender, std::string_view recipient) const {
    std::string text = network_of(client) + '\0';
    append_lower(text, sender);
    text += '\0';
    append_lower(text, recipient);
    const XXH128_hash_t hash = XXH3_128bits_withSeed(text.data(), text.size(), seed_);
    return {hash.high64, hash.low64};
}

bool Triplets::is_old(const Seen& seen, queue::Instant now, const GreylistRules& rules) {
    return seen.passed ? now - seen.last > rules.remember : now - seen.first > rules.retry_within;
}

void Triplets::forget_old(queue::Instant now, const GreylistRules& rules) {
    // Not at each of a flood: a sweep looks at all of them. A clock that was set back is waited for no longer than
    // that.
    if (now >= swept_ && now - swept_ < sweep_pause) {
        return;
    }
    swept_ = now;
    std::erase_if(seen_, [&](const auto& entry) { return is_old(entry.second, now, rules); });
}

std::optional<queue::Duration> Triplets::ask(const Key& key, queue::Instant now, const GreylistRules& rules) {
    auto found = seen_.find(key);
    if (found != seen_.end() && is_old(found->second, now, rules)) {
        seen_.erase(found);
        found = seen_.end();
    }
    if (found == seen_.end()) {
        if (seen_.size() >= rules.maximum) {
            forget_old(now, rules);
        }
        full_ = seen_.size() >= rules.maximum;
        if (full_) {
            return std::nullopt;
        }
        seen_.emplace(key, Seen{now, now, false});
        return rules.delay;
    }
    Seen& seen = found->second;
    seen.first = std::min(seen.first, now);  // the clock was set back: nobody waits for it to come round again
    seen.last = now;
    if (!seen.passed && now - seen.first < rules.delay) {
        return rules.delay - (now - seen.first);
    }
    seen.passed = true;
    return std::nullopt;
}

std::string Triplets::write() const {
    std::string out;
    out.reserve(header_octets + seen_.size() * row_octets + checksum_octets);
    out += magic;
    put(out, seed_);
    put(out, seen_.size());
    for (const auto& [key, seen] : seen_) {
        put(out, key.high);
        put(out, key.low);
        put(out, stored(seen.first));
        put(out, stored(seen.last) * 2 + (seen.passed ? 1 : 0));
    }
    put(out, XXH3_64bits(out.data(), out.size()));
    return out;
}

std::optional<Triplets> Triplets::read(std::string_view octets) {
    if (octets.size() < header_octets + checksum_octets || !octets.starts_with(magic)) {
        return std::nullopt;
    }
    const std::uint64_t rows = get(octets.substr(16));
    const std::size_t room = octets.size() - header_octets - checksum_octets;
    const std::string_view checked = octets.substr(0, octets.size() - checksum_octets);
    if (room % row_octets != 0 || rows != room / row_octets ||
        get(octets.substr(checked.size())) != XXH3_64bits(checked.data(), checked.size())) {
        return std::nullopt;
    }
    Triplets triplets(get(octets.substr(8)));
    for (std::string_view rest = checked.substr(header_octets); !rest.empty(); rest.remove_prefix(row_octets)) {
        const std::uint64_t last = get(rest.substr(24));
        triplets.seen_.emplace(Key{get(rest), get(rest.substr(8))},
                               Seen{restored(get(rest.substr(16))), restored(last / 2), last % 2 == 1});
    }
    return triplets;
}

}  // namespace postern::screening
