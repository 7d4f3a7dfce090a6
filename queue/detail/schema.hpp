// The queue file, the history file and the file of known recipients: tables, views, versions. The DDL itself, column by
// column, is in schema.cpp.
//
// Invariants, which the store keeps and its tests check (I1 to I8):
// - I1. A row of `message` is a committed message: it was, or is about to be, answered 250. Nothing else is in that
//   table.
// - I2. Its content is the rows of `chunk` with its id, number 0 to parts-1, and behind them message.content. A message
//   that came in one piece, nearly every one, has parts = 0 and no chunk row. `size` is the sum.
// - I3. A row of `chunk` without its message belongs to a message still coming in; its id is in `incoming`. Opening for
//   writing removes what `incoming` names; a commit removes the marker and keeps the chunks.
// - I4. A message has at least one recipient, with ordinals 0 to n-1, and at least one of them is not done
//   (delivered, removed or returned). What is done whole is deleted in the transaction that made it so.
// - I5. message.checksum is the checksum of queue/detail/codec.hpp over content, envelope, and what never changes of
//   the recipients.
// - I6. A done recipient is never changed again.
// - I7. meta.last_id is not less than any id that was given out, or was on its way to a committed message.
// - I8. meta.messages is the number of rows of `message`, and recipient_count that of `recipient` by state (0 where it
//   has no row).
//
// Foreign keys are declared for those who read the schema, and checked by the tests (PRAGMA foreign_key_check). The
// writer does not enforce them: 3.6 of 12 microseconds a message would be spent on what I1 to I4 already say.
//
// Page size, measured (one core; insert, flush, delete again; microseconds of CPU a message, content in the message row
// or in a chunk row of its own; 32 messages of 4 KiB a flush, one of 4 KiB, 8 of 100 KiB):
//
//     page    32 x 4 KiB: row, chunk    1 x 4 KiB: row, chunk    8 x 100 KiB: row, chunk
//     4 KiB           8.0   11.1               96    105                 91    124
//     8 KiB          10.2   13.6              111    120                 81    116
//     16 KiB          9.5   19.8              106    290                 75    108
//     32 KiB         10.1   12.9              200    302                 72    103
//
// So: pages of 4 KiB and the content in the message row, as its last column. A content over some 3.5 KiB then lies on
// overflow pages, of which a scan over the envelopes reads none.
#pragma once

#include <cstdint>

namespace postern::queue::detail {

class Connection;

/// PRAGMA application_id of the queue file ("PstQ") and of the history file ("PstH").
inline constexpr std::int64_t queue_application_id = 0x50737451;
inline constexpr std::int64_t history_application_id = 0x50737448;
/// ... and of the file of known recipients ("PstR").
inline constexpr std::int64_t recipients_application_id = 0x50737452;

/// PRAGMA user_version that this program writes. A lower one is migrated forward, a higher one refused.
inline constexpr std::int64_t queue_schema_version = 3;
inline constexpr std::int64_t history_schema_version = 2;
inline constexpr std::int64_t recipients_schema_version = 1;

enum class SchemaState : std::uint8_t {
    empty,  ///< a new file, nothing in it
    current,
    older,    ///< to be migrated
    newer,    ///< not ours to guess at
    foreign,  ///< a database, but not this one
};

/// Reads ids and versions only. Throws SqliteError, also when the file is no database.
[[nodiscard]] SchemaState queue_schema_state(Connection& connection);
[[nodiscard]] SchemaState history_schema_state(Connection& connection);
[[nodiscard]] SchemaState recipients_schema_state(Connection& connection);

/// Brings an empty or older file to the current version, in one transaction. Throws SqliteError.
void migrate_queue(Connection& connection);
void migrate_history(Connection& connection);
void migrate_recipients(Connection& connection);

}  // namespace postern::queue::detail
