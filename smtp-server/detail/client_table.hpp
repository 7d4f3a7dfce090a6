// Who is connected, and how much each client has asked for lately: connections at once, and connections, messages,
// recipients and errors a minute. A client is an IPv4 address or an IPv6 /64.
//
// Invariants: 1. a client without connections is kept for a minute at most: by then its buckets are full again, and
// nothing is known of it that a stranger would not have. 2. At most `idle_max` such clients are kept; beyond, the ones
// that left first are forgotten.
//
// Threads: any. A Place belongs to one session.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

#include "smtp-server/limits.hpp"

namespace postern::smtp_server::detail {

/// What counts as one client: the address, of an IPv6 one the first 64 bits. "" (a Unix socket) counts only in all.
[[nodiscard]] std::string client_key(const std::string& ip);

/// 127.0.0.0/8 and ::1.
[[nodiscard]] bool is_loopback(const std::string& ip);

/// Tokens that come at a steady pace; as many as a minute's worth may gather. Not thread-safe.
class TokenBucket {
public:
    using Instant = std::chrono::steady_clock::time_point;
    /// Takes one if there is one. `per_minute` 0: there always is.
    [[nodiscard]] bool take(std::uint32_t per_minute, Instant now);
    [[nodiscard]] bool is_empty(std::uint32_t per_minute, Instant now) const;

private:
    [[nodiscard]] double tokens(std::uint32_t per_minute, Instant now) const;
    double missing_ = 0;  // to a full bucket, at `at_`
    Instant at_{};
};

class ClientTable {
    struct Client;

public:
    using Instant = std::chrono::steady_clock::time_point;
    enum class Verdict : std::uint8_t { admitted, too_many, too_many_from_client, too_fast, too_many_errors };
    enum class What : std::uint8_t { connection, message, recipient, error };
    static constexpr std::size_t idle_max = 65536;

    /// Which limits a client is spared.
    struct Standing {
        bool trusted = false;    ///< `connections_per_client`
        bool unmetered = false;  ///< what is counted by the minute
    };

    /// One connection's place; left when it goes. Outlived by the table.
    class Place {
    public:
        Place() = default;
        Place(Place&& other) noexcept;
        Place& operator=(Place&& other) noexcept;
        ~Place() { leave(); }
        void leave();
        /// False: this client has had enough of it for now.
        [[nodiscard]] bool take(What what, const Limits& limits, Instant now);

    private:
        friend class ClientTable;
        ClientTable* table_ = nullptr;
        Client* client_ = nullptr;  // nullptr: no limit is its own
        bool unmetered_ = true;
    };

    struct Entered {
        Verdict verdict = Verdict::admitted;
        Place place;  ///< taken when admitted
    };
    [[nodiscard]] Entered enter(const std::string& key, const Limits& limits, Standing standing, Instant now);

    /// The client at `place` turns out to be another. It is counted once all the same.
    [[nodiscard]] Entered rename(Place place, const std::string& key, const Limits& limits, Standing standing,
                                 Instant now);

    /// Four fifths of all connections are taken.
    [[nodiscard]] bool stressed() const;
    [[nodiscard]] std::size_t current() const { return current_; }
    [[nodiscard]] std::uint64_t total() const {
        return total_;
    }  ///< that came; of a balancer's, also those refused later
    [[nodiscard]] std::uint64_t refused() const { return refused_; }
    /// Clients without connections that are remembered.
    [[nodiscard]] std::size_t idle() const;

private:
    struct Idle {
        const std::string* key;  // in the table
        Instant since;
    };
    struct Client {
        std::uint32_t connections = 0;
        std::array<TokenBucket, 4> buckets;
        const std::string* key = nullptr;
        std::list<Idle>::iterator idle;  // while it has no connections
    };

    [[nodiscard]] Entered let_in(const std::string& key, const Limits& limits, Standing standing, Instant now);
    [[nodiscard]] Verdict judge(Client& client, const Limits& limits, Standing standing, Instant now);
    void rest(Client& client, Instant now);
    void forget_old(Instant now);
    void forget_first();
    void leave(Client* client);

    mutable std::mutex mutex_;
    std::unordered_map<std::string, Client> clients_;
    std::list<Idle> idle_;  // who left first, first
    std::atomic<std::size_t> current_{0};
    std::atomic<std::uint64_t> total_{0};
    std::atomic<std::uint64_t> refused_{0};
    std::atomic<std::uint32_t> room_{0};  // `connections` of who came last
};

}  // namespace postern::smtp_server::detail
