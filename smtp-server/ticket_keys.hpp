// The secrets that seal session tickets (RFC 5077, RFC 8446 section 4.6.1): one in use, and those before it for as long
// as their tickets may come back. They live in memory only, so no ticket outlives the process, and who steals the disk
// reads no session.
//
// Threads: any.
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>

namespace postern::smtp_server {

struct TicketKey {
    std::array<unsigned char, 16> name{};  ///< stands in the ticket, in clear
    std::array<unsigned char, 32> cipher{};
    std::array<unsigned char, 32> mac{};
    TicketKey() = default;
    TicketKey(const TicketKey&) = default;
    TicketKey& operator=(const TicketKey&) = default;
    ~TicketKey();  ///< leaves nothing in memory
};

class TicketKeys {
public:
    using Instant = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::hours rotation{4};        ///< how long a key seals new tickets
    static constexpr std::chrono::hours ticket_age_max{4};  ///< how long a ticket can be used

    /// `now`: a clock that never goes back.
    explicit TicketKeys(std::function<Instant()> now = [] { return std::chrono::steady_clock::now(); });

    /// The key for new tickets. Nothing: the system gives no random numbers; then no ticket is made.
    [[nodiscard]] std::optional<TicketKey> current();

    struct Found {
        TicketKey key;
        bool is_current = false;  ///< false: the client should get a new ticket
    };
    /// The key that sealed a ticket. Nothing: unknown or too old; the client makes a full handshake.
    [[nodiscard]] std::optional<Found> find(const std::array<unsigned char, 16>& name);

private:
    struct Aged {
        TicketKey key;
        Instant since;
    };
    void forget_old(Instant now);

    std::mutex mutex_;
    std::function<Instant()> now_;
    std::deque<Aged> keys_;  // the newest first
};

}  // namespace postern::smtp_server
