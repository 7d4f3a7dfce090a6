// What the stores said of their mailboxes, in memory: asked at RCPT, or told by deliveries. Knows no store and no disk;
// time comes in.
//
// What always holds:
//  1. "Taken" is believed for `positive`, and asked about anew in the background once it is older than `refresh`;
//     "unknown" is believed for `negative`, "full" for some minutes, "this domain takes everything" for a day.
//  2. A mailbox that was taken before is not refused for good on the first "unknown": for `contradiction_time` it hears
//     450, and so does every unknown recipient of a backend of which at least `doubt_count` such mailboxes have turned
//     up within a day. A broken user table must not return a city's mail.
//  3. At most `entries` are kept, a quarter of them "unknown" ones, so that who tries out names does not push out the
//     names that exist. Who was heard of longest ago goes first.
//  4. In a domain that takes everything no mailbox that was merely taken is kept.
//
// Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "gateway/recipients/check.hpp"
#include "queue/known_recipients.hpp"
#include "queue/time.hpp"

namespace postern::recipients {

struct BookOptions {
    queue::Duration positive = std::chrono::hours(24 * 7);
    queue::Duration refresh = std::chrono::hours(1);
    queue::Duration negative = std::chrono::minutes(10);
    std::size_t entries = 100'000;
};

class Book {
public:
    static constexpr std::chrono::minutes full_time{5};
    static constexpr std::chrono::hours domain_time{24};
    static constexpr std::chrono::minutes contradiction_time{60};
    static constexpr std::chrono::hours doubt_time{24};
    static constexpr std::size_t doubt_count = 20;

    /// Told when a backend's "unknown" begins or ceases to be doubted; `mailboxes`: that were taken before. May be
    /// empty. Called with locks held: must neither block nor call back.
    using OnDoubt = std::function<void(const std::string& backend, bool doubted, std::size_t mailboxes)>;

    explicit Book(BookOptions options, OnDoubt on_doubt = {});

    void set_options(BookOptions options);
    /// From the file; what is too old is left out.
    void restore(const std::vector<queue::KnownRecipient>& known, queue::Instant now);

    struct Found {
        std::optional<Verdict> verdict;  ///< nullopt: ask
        bool refresh = false;            ///< ask in the background
    };
    [[nodiscard]] Found look(const std::string& backend, const mail::Mailbox& address, queue::Instant now);
    /// The same without a trace: for whoever only wants to know whether asking is worth while.
    [[nodiscard]] bool knows(const std::string& backend, const mail::Mailbox& address, queue::Instant now);
    /// What is said when the store gives no answer: of an "unknown" that is too old to be believed 450, else 250.
    [[nodiscard]] Verdict without_answer(const std::string& backend, const mail::Mailbox& address);

    enum class Source : std::uint8_t { asked, delivery };
    /// The store has answered about a recipient. nullopt: that is no answer about the mailbox, see without_answer().
    std::optional<Verdict> heard(const std::string& backend, const mail::Mailbox& address, const mail::Reply& reply,
                                 Source source, queue::Instant now);

    /// Whether a name that nobody can have should be asked for, to see whether the domain takes everything.
    [[nodiscard]] bool wants_sample(const std::string& backend, const std::string& domain, queue::Instant now);
    void heard_of_sample(const std::string& backend, const std::string& domain, const mail::Reply& reply,
                         queue::Instant now);

    /// Until it is taken back, every "unknown" of this backend is doubted.
    void distrust(const std::string& backend, bool on);

    /// What has changed since the last call and is to be kept.
    [[nodiscard]] std::vector<queue::KnownRecipient> take_changes();
    [[nodiscard]] std::size_t size() const;

    /// How a recipient is spelt in queue::KnownRecipient.
    [[nodiscard]] static std::string spelling(const mail::Mailbox& address);

private:
    struct Entry {
        queue::Knowledge knowledge = queue::Knowledge::taken;
        mail::Reply reply;
        queue::Instant at{};
        queue::Instant taken_at{};
        queue::Instant contradicted_at{};
        queue::Instant written_at{};    ///< to the changes
        queue::Instant refreshed_at{};  ///< when a refresh was last asked for
        std::list<std::string>::iterator place;
    };
    struct Shard {
        mutable std::mutex mutex;
        std::unordered_map<std::string, Entry> entries;
        std::list<std::string> good;  ///< keys, heard of last at the end
        std::list<std::string> bad;   ///< the unknown ones, and the domains that know whom they have
    };
    using Key = std::string;  ///< backend NUL spelling

    [[nodiscard]] static Key key_of(const std::string& backend, std::string_view spelling);
    [[nodiscard]] Shard& shard_of(const Key& key);
    [[nodiscard]] std::optional<queue::Knowledge> of_domain(const std::string& backend, const std::string& domain,
                                                            queue::Duration believed, queue::Instant now);
    [[nodiscard]] Verdict verdict_of(const std::string& backend, const mail::Mailbox& address, const Entry& entry,
                                     queue::Instant now);
    void put(Shard& shard, const Key& key, Entry entry, queue::Instant now);
    void drop(Shard& shard, const Key& key);
    void make_room(Shard& shard);
    void note_change(const Key& key, const Entry& entry, bool forgotten);

    void contradicted(const std::string& backend, const Key& key, queue::Instant now);
    void confirmed(const std::string& backend, const Key& key);
    [[nodiscard]] bool is_doubted(const std::string& backend, queue::Instant now);
    void look_at_doubt(const std::string& backend, std::optional<queue::Instant> now);

    struct Doubt {
        std::map<Key, queue::Instant> mailboxes;  ///< that are unknown and were taken before
        bool is_on = false;
    };

    std::atomic<queue::Duration::rep> positive_;
    std::atomic<queue::Duration::rep> refresh_;
    std::atomic<queue::Duration::rep> negative_;
    std::atomic<std::size_t> entries_;
    const OnDoubt on_doubt_;
    std::array<Shard, 16> shards_;

    std::mutex doubt_mutex_;  ///< taken inside a shard's
    std::map<std::string, Doubt> doubts_;
    std::set<std::string> distrusted_;    ///< backends
    std::atomic<bool> any_doubt_{false};  ///< some mailbox is in doubts_, or a backend in distrusted_

    std::mutex changes_mutex_;  ///< taken inside a shard's
    std::vector<queue::KnownRecipient> changes_;
};

}  // namespace postern::recipients
