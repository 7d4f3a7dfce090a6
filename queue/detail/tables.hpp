// The writer's statements: what is done to the rows, one function a deed. Knows the schema; knows no thread and no
// transaction.
//
// All throw SqliteError.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "queue/detail/codec.hpp"
#include "queue/detail/sqlite.hpp"
#include "queue/store.hpp"

namespace postern::queue::detail {

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

    /// False: there was no such message.
    bool delete_message(MessageId message);

    [[nodiscard]] std::int64_t meta(const char* key);
    void set_meta(const char* key, std::int64_t value);

private:
    void insert_recipient(MessageId message, const Recipient& recipient);
    [[nodiscard]] std::int64_t undone(MessageId message);
    [[nodiscard]] bool is_undone(MessageId message, Ordinal ordinal);

    Connection& connection_;
    const std::uint64_t generation_;
    Statement insert_message_;
    Statement insert_recipient_;
    Statement insert_chunk_;
    Statement insert_incoming_;
    Statement delete_incoming_;
    Statement delete_message_;
    Statement delete_recipients_;
    Statement delete_chunks_;
    Statement update_recipient_;
    Statement count_undone_;
    Statement is_undone_;
    Statement load_due_;
    Statement earliest_;
    Statement call_waiting_;
    Statement set_meta_;
};

}  // namespace postern::queue::detail
