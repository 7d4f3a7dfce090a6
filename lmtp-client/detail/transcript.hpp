// What was said with a store in one transaction: commands, replies and times, never the content. Kept while it is said,
// as raw octets in memory that is used again, and made into text only when the transaction failed; so a transaction
// that goes well pays for a few copies of some hundred octets.
//
// Bounded: the beginning and the end are kept, what does not fit between them is counted and dropped. Sans-I/O: time is
// an argument. Threads: that of its connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::lmtp_client::detail {

class Transcript {
public:
    using Instant = std::chrono::steady_clock::time_point;

    static constexpr std::size_t begin_octets_max = 6144;
    static constexpr std::size_t end_octets_max = 4096;
    static constexpr std::size_t text_octets_max = 24 * 1024;

    /// Forgets what was; times are told from `now` on.
    void begin(Instant now);

    void sent(std::string_view bytes, Instant now) { add(Kind::sent, bytes, now); }
    void received(std::string_view bytes, Instant now) { add(Kind::received, bytes, now); }
    /// All of the content went out: its size is told, nothing else.
    void content(std::uint64_t octets, Instant now);
    /// Something that was not said: "connected", "timed out".
    void note(std::string_view text, Instant now) { add(Kind::note, text, now); }

    /// One line for each line that was said, each ended by a line feed:
    ///
    ///        0.000 -- connected to 127.0.0.1:24
    ///        0.001 S: 220 store.example LMTP
    ///        0.001 C: LHLO mx.example.com
    ///
    /// S is the store, C this client. Strangers' text, made printable (queue/mail/printable.hpp): no other octet below
    /// 0x20 is in it. At most `text_octets_max` and one line.
    /// `before`, when it is not empty, is a line before the first.
    [[nodiscard]] std::string text(std::string_view before = {}) const;

private:
    enum class Kind : std::uint8_t { sent, received, note, content };
    struct Head;
    class Lines;

    void add(Kind kind, std::string_view bytes, Instant now);
    void drop_from_end();

    Instant began_{};
    std::string beginning_;      ///< entries, each behind its Head
    std::string end_;            ///< the same, once the beginning is full
    std::uint64_t dropped_ = 0;  ///< octets between the two
    bool full_ = false;          ///< the beginning is
};

}  // namespace postern::lmtp_client::detail
