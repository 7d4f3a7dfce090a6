// What the stores said of their mailboxes, kept across restarts: a small database of its own beside the queue
// ("queue.db-recipients"). It is a memory and no promise: it may lose its last seconds, it can be deleted at any time,
// and one that cannot be used is set aside and begun anew. So it is no table of the queue, whose every write is flushed
// and which nothing but mail may delay.
//
// Threads: one at a time for a KnownRecipientsFile; read_known_recipient() any, also in another process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "queue/mail/reply.hpp"
#include "queue/mail/result.hpp"
#include "queue/time.hpp"

namespace postern::queue {

/// The numbers are stored: they never change their meaning.
enum class Knowledge : std::uint8_t {
    taken = 1,      ///< there is such a mailbox
    unknown = 2,    ///< there is none
    full = 3,       ///< there is, and it takes nothing now
    catch_all = 4,  ///< of a domain ("@example.com"): whatever is asked for is taken
    selective = 5,  ///< of a domain: not that
};
/// "taken", "unknown", "full", "catch_all", "selective".
[[nodiscard]] std::string_view to_string(Knowledge knowledge);

struct KnownRecipient {
    std::string backend;
    std::string address;  ///< as recipients::Book spells it, the domain in lower case; "@example.com": a domain
    Knowledge knowledge = Knowledge::taken;
    mail::Reply reply;          ///< what the store said. A stranger's text.
    Instant at{};               ///< when
    Instant taken_at{};         ///< when it was last taken; the epoch: never, or not to be relied on any more
    Instant contradicted_at{};  ///< since when it is unknown though it was taken before; the epoch: it is not
    bool forgotten = false;     ///< to be removed from the file
};

/// "queue.db-recipients", beside "queue.db".
[[nodiscard]] std::filesystem::path known_recipients_path(const std::filesystem::path& queue);

class KnownRecipientsFile {
public:
    /// Opens the file for writing, or makes it. One that cannot be used gets another name and is begun anew; `warn` is
    /// told, as of everything that goes wrong later. nullptr, and `warn` told: there can be none now.
    [[nodiscard]] static std::unique_ptr<KnownRecipientsFile> open(const std::filesystem::path& queue,
                                                                   std::function<void(const std::string&)> warn);
    ~KnownRecipientsFile();
    KnownRecipientsFile(const KnownRecipientsFile&) = delete;
    KnownRecipientsFile& operator=(const KnownRecipientsFile&) = delete;

    /// The youngest rows, at most `limit`, the oldest of them first. Rows that make no sense are left out.
    [[nodiscard]] std::vector<KnownRecipient> load(std::size_t limit);
    /// Puts these in place of what was known of the same recipients. What cannot be written is lost.
    void write(const std::vector<KnownRecipient>& changes);
    /// Removes what is older than `before`.
    void remove_older(Instant before);

private:
    class Impl;
    explicit KnownRecipientsFile(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// One row, read beside a running gateway or without one. nullopt: there is none. The error: why it cannot be read.
[[nodiscard]] Result<std::optional<KnownRecipient>, std::string> read_known_recipient(
    const std::filesystem::path& queue, const std::string& backend, const std::string& address);

}  // namespace postern::queue
