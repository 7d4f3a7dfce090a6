// The writer's statements: what is done to the rows, one function a deed. Knows the schema; knows no thread, and of
// transactions only when one begins and is about to end: what its deeds changed in the numbers of recipients is kept in
// memory until then, and written in one go.
//
// All throw SqliteError.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "queue/detail/codec.hpp"
#include "queue/detail/sqlite.hpp"
#include "queue/store.hpp"

namespace postern::queue::detail {

/// How many states of a recipient there are (queue/message.hpp).
inline constexpr std::size_t recipient_states = static_cast<std::size_t>(last_recipient_state) + 1;

class Tables {
public:
    /// `generation`: how often the file was opened before, by this writer.
    explicit Tables(Connection& connection, std::uint64_t generation = 0);

    /// Chunks written under another generation are gone: opening sweeps what was still coming in.
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

    void insert_chunk(MessageId message, std::uint32_t number, std::string_view bytes);
    /// The envelope, all recipients, and the content behind the chunks. `parts`: the number of chunks.
    void insert_message(const CommittedMessage& message, std::uint32_t parts, const Checksum& checksum,
                        std::string_view content);
    /// One that comes in one piece: `content` of the message.
    void insert_message(const CommittedMessage& message);
    /// What an incoming message has left.
    void remove_chunks(MessageId message);

    /// nullopt: there is no such message, or recipient.
    [[nodiscard]] std::optional<Envelope> envelope(MessageId message);
    [[nodiscard]] std::optional<Recipient> recipient(MessageId message, Ordinal ordinal);
    /// Recipients of a message that wait for another attempt, and of whose delay its sender has not heard.
    /// The first thousand.
    [[nodiscard]] std::vector<Recipient> untold(MessageId message);
    void mark_delay_told(MessageId message, Ordinal ordinal);
    /// At least the first `octets` of the content, or all of it.
    [[nodiscard]] std::string content_from_start(MessageId message, std::size_t octets);

    /// Applies updates of one message (all in `updates`, consecutive). True: that was its end, and it is gone.
    bool apply(const RecipientUpdate* first, const RecipientUpdate* last);

    [[nodiscard]] DuePage load_due(const std::string& backend, Instant until, const std::optional<DueKey>& after,
                                   std::size_t limit);
    [[nodiscard]] DuePage load_old(const std::string& backend, MessageId before, std::size_t limit);
    [[nodiscard]] DuePage load_late(const std::string& backend, MessageId after, MessageId before, std::size_t limit);
    [[nodiscard]] std::size_t call_waiting(const std::string& backend, const std::string& address, Instant now,
                                           std::size_t limit);
    /// Where a walk over the schedulable recipients of a backend stands.
    struct Walk {
        std::optional<DueKey> after;  ///< nullopt: at the beginning
        std::size_t looked_at = 0;
        std::size_t changed = 0;
        bool ended = false;
    };
    /// Goes on with `walk` over at most `limit` recipients of `from`, and gives each to where its domain moves.
    void reassign(Walk& walk, const std::string& from, const DomainMoves& moves, std::size_t limit);

    /// Adds to the numbers of recipients by state.
    void mend_counts(const std::map<RecipientState, std::int64_t>& changes) noexcept;

    void mark_backend(const BackendMark& mark, bool set);
    [[nodiscard]] std::vector<BackendMark> load_marks();

    /// Whatever states its recipients are in. False: there was no such message.
    bool delete_message(MessageId message);

    /// A transaction begins: nothing has changed in it yet.
    void begin_counting() noexcept { counts_ = {}; }
    /// It is about to be committed: the numbers of recipients by state go to the table that `status` reads.
    void write_counts();

    [[nodiscard]] std::int64_t meta(const char* key);
    void set_meta(const char* key, std::int64_t value);

private:
    void insert_recipient(MessageId message, const Recipient& recipient);
    using StateCounts = std::array<std::int64_t, recipient_states>;
    [[nodiscard]] std::optional<RecipientState> state(MessageId message, Ordinal ordinal);
    /// How many recipients there are beside this one, by state, if all of them are done; nullopt: one is not.
    [[nodiscard]] std::optional<StateCounts> done_beside(MessageId message, std::int64_t ordinal);
    /// False: there is no such recipient, or it is done.
    bool update(const RecipientUpdate& update);
    /// The rows of a message, whose recipients were counted off.
    void delete_rows(MessageId message);
    void count(RecipientState state, std::int64_t change) noexcept;
    void count_off(const StateCounts& gone) noexcept;

    Connection& connection_;
    const std::uint64_t generation_;
    StateCounts counts_{};  // what the open transaction added, less what it took away
    Statement insert_message_;
    Statement insert_recipient_;
    Statement insert_chunk_;
    Statement insert_incoming_;
    Statement delete_incoming_;
    Statement delete_message_;
    Statement delete_recipients_;
    Statement delete_chunks_;
    Statement delete_origin_;
    Statement update_recipient_;
    Statement put_off_recipient_;  ///< the same, the state as it is
    Statement state_;
    Statement beside_;
    Statement count_states_;
    Statement add_count_;
    Statement load_due_;
    Statement earliest_;
    Statement call_waiting_;
    Statement walk_;
    Statement set_backend_;
    Statement set_meta_;
};

}  // namespace postern::queue::detail
