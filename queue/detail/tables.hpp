// The writer's statements: what is done to the rows, one function a deed. Knows the schema; knows no thread, and of
// transactions only when one begins and is about to end: what its deeds changed in the numbers of recipients is kept in
// memory until then, and written in one go.
//
// All throw SqliteError.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "queue/detail/codec.hpp"
#include "queue/detail/sqlite.hpp"
#include "queue/store.hpp"

namespace postern::queue::detail {

/// How many states of a recipient there are (queue/message.hpp).
inline constexpr std::size_t recipient_states = static_cast<std::size_t>(RecipientState::removed) + 1;

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
    /// What an incoming message has left.
    void remove_chunks(MessageId message);

    /// Applies updates of one message (all in `updates`, consecutive). True: that was its end, and it is gone.
    bool apply(const RecipientUpdate* first, const RecipientUpdate* last);

    [[nodiscard]] DuePage load_due(const std::string& backend, Instant until, const std::optional<DueKey>& after,
                                   std::size_t limit);
    [[nodiscard]] DuePage load_old(const std::string& backend, MessageId before, std::size_t limit);
    [[nodiscard]] std::size_t call_waiting(const std::string& backend, const std::string& address, Instant now,
                                           std::size_t limit);
    [[nodiscard]] std::size_t reassign(const std::string& domain_key, const std::string& from, const std::string& to);

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
    Statement update_recipient_;
    Statement state_;
    Statement beside_;
    Statement count_states_;
    Statement add_count_;
    Statement load_due_;
    Statement earliest_;
    Statement call_waiting_;
    Statement set_meta_;
};

}  // namespace postern::queue::detail
