// Who was asked to come again, and who did: by client network, sender and recipient, of which only a hash is kept.
// Pure: time is an argument.
//
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "queue/time.hpp"

namespace postern::screening {

struct GreylistRules {
    bool suspicious = false;                                 ///< suspicious clients are asked to come again
    queue::Duration delay = std::chrono::minutes(5);         ///< not before this
    queue::Duration retry_within = std::chrono::hours(48);   ///< after this it is as if they had never come
    queue::Duration remember = std::chrono::hours(24 * 35);  ///< who came again passes until he has been away so long
    std::size_t maximum = 100'000;                           ///< triplets kept
};

class Triplets {
public:
    struct Key {
        std::uint64_t high = 0;
        std::uint64_t low = 0;
        friend bool operator==(const Key&, const Key&) = default;
    };

    /// `seed`: so that nobody outside can choose what falls together.
    explicit Triplets(std::uint64_t seed) : seed_(seed) {}

    /// Of an IPv4 network of 24 bits or an IPv6 one of 64: large senders try again from a neighbour.
    [[nodiscard]] Key key_of(std::string_view client, std::string_view sender, std::string_view recipient) const;

    /// How long it is to stay away still; nullopt: it may pass. When there is no room for a new one it passes too, and
    /// is_full() says so: greylisting must never cost mail.
    [[nodiscard]] std::optional<queue::Duration> ask(const Key& key, queue::Instant now, const GreylistRules& rules);

    [[nodiscard]] bool is_full() const noexcept { return full_; }
    [[nodiscard]] std::size_t size() const noexcept { return seen_.size(); }

    /// All of it, for a file; read() takes it back. nullopt: it is damaged, or of another program.
    [[nodiscard]] std::string write() const;
    [[nodiscard]] static std::optional<Triplets> read(std::string_view octets);

private:
    struct Seen {
        queue::Instant first;
        queue::Instant last;
        bool passed = false;
    };
    struct Hash {
        std::size_t operator()(const Key& key) const noexcept { return key.low; }
    };

    void forget_old(queue::Instant now, const GreylistRules& rules);
    static bool is_old(const Seen& seen, queue::Instant now, const GreylistRules& rules);

    std::uint64_t seed_;
    std::unordered_map<Key, Seen, Hash> seen_;
    queue::Instant swept_{};
    bool full_ = false;
};

}  // namespace postern::screening
