// The tables of the queue and of its history. Invariants and measurements: schema.hpp.
//
// Times are milliseconds since 1970-01-01 UTC. A message id is the rowid of `message`; the views also show it as people
// write it. Enumerations are stored as the numbers of queue/message.hpp and queue/mail/dsn.hpp, which never change.
#include "queue/detail/schema.hpp"

#include <string>

#include "queue/detail/sqlite.hpp"

namespace postern::queue::detail {

namespace {

constexpr const char* queue_version_1 = R"sql(
CREATE TABLE message (
    id              INTEGER PRIMARY KEY CHECK (id > 0),
    received_at     INTEGER NOT NULL,
    size            INTEGER NOT NULL CHECK (size >= 0),         -- octets of the whole content
    sender          TEXT    NOT NULL,                           -- '' is the null sender, <>
    body_type       INTEGER NOT NULL CHECK (body_type IN (0, 1)),  -- 0 7BIT, 1 8BITMIME, as declared
    has_8bit        INTEGER NOT NULL CHECK (has_8bit IN (0, 1)),
    smtputf8        INTEGER NOT NULL CHECK (smtputf8 IN (0, 1)),
    dsn_ret         INTEGER NOT NULL CHECK (dsn_ret BETWEEN 0 AND 2),  -- RET: 0 absent, 1 FULL, 2 HDRS
    dsn_envid       TEXT    NOT NULL,                           -- ENVID as received (xtext); '' absent
    client_address  TEXT    NOT NULL,
    client_helo     TEXT    NOT NULL,
    client_rdns     TEXT    NOT NULL,
    client_protocol TEXT    NOT NULL,
    parts           INTEGER NOT NULL CHECK (parts >= 0),        -- rows of chunk that come before `content`
    checksum        BLOB    NOT NULL CHECK (length(checksum) = 16),
    content         BLOB    NOT NULL                            -- the content behind the chunks; last, so that scans need not read it
) STRICT;

CREATE TABLE chunk (
    message INTEGER NOT NULL,
    number  INTEGER NOT NULL CHECK (number >= 0),
    bytes   BLOB    NOT NULL,
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

-- Messages of which chunks lie here but which are not committed.
CREATE TABLE incoming (
    message INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE recipient (
    message         INTEGER NOT NULL REFERENCES message (id),
    ordinal         INTEGER NOT NULL CHECK (ordinal >= 0),      -- RCPT order
    address         TEXT    NOT NULL CHECK (address <> ''),
    domain          TEXT    NOT NULL,                           -- of the address, ASCII lower case
    backend         TEXT    NOT NULL,
    state           INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    attempts        INTEGER NOT NULL CHECK (attempts >= 0),
    unknowns        INTEGER NOT NULL CHECK (unknowns >= 0),
    next_attempt_at INTEGER NOT NULL,
    last_reply      TEXT    NOT NULL,                           -- a stranger's text: escape it before showing it
    dsn_notify      INTEGER NOT NULL CHECK (dsn_notify BETWEEN 0 AND 15),  -- bits: 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY
    dsn_orcpt       TEXT    NOT NULL,
    failed          INTEGER NOT NULL CHECK (failed IN (0, 1)),
    PRIMARY KEY (message, ordinal)
) STRICT, WITHOUT ROWID;

-- What may be tried, by backend and time. A query uses it only when it says `state <= 2` in these words.
CREATE INDEX recipient_due ON recipient (backend, next_attempt_at, message, ordinal) WHERE state <= 2;

-- What waits for one mailbox: a success there calls it early. Mail that is delivered at the first attempt never enters it.
CREATE INDEX recipient_waiting ON recipient (address) WHERE state = 1;

-- How many rows of `recipient` are in each state: counted along, so that `status` need not look at all of them.
CREATE TABLE recipient_count (
    state      INTEGER PRIMARY KEY CHECK (state BETWEEN 0 AND 6),
    recipients INTEGER NOT NULL
) STRICT;

-- What was decided about a backend and holds until it is taken back.
CREATE TABLE backend_mark (
    backend TEXT    NOT NULL,
    kind    INTEGER NOT NULL CHECK (kind IN (0, 1)),            -- 0 paused, 1 brake
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    reason  TEXT    NOT NULL,                                   -- a stranger's text, perhaps
    PRIMARY KEY (backend, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('last_id', 0);

-- For reports. These views keep their columns from version to version; the tables need not.
CREATE VIEW report_state (state, name) AS
    VALUES (0, 'ready'), (1, 'waiting'), (2, 'unknown'), (3, 'held'), (4, 'parked'), (5, 'delivered'), (6, 'removed');

CREATE VIEW report_message (id, name, received_at, received, sender, size, client_address, client_helo, client_rdns, client_protocol) AS
    SELECT id,
           substr(d, ((id >> 60) & 31) + 1, 1) || substr(d, ((id >> 55) & 31) + 1, 1) || substr(d, ((id >> 50) & 31) + 1, 1) ||
           substr(d, ((id >> 45) & 31) + 1, 1) || substr(d, ((id >> 40) & 31) + 1, 1) || substr(d, ((id >> 35) & 31) + 1, 1) ||
           substr(d, ((id >> 30) & 31) + 1, 1) || substr(d, ((id >> 25) & 31) + 1, 1) || substr(d, ((id >> 20) & 31) + 1, 1) ||
           substr(d, ((id >> 15) & 31) + 1, 1) || substr(d, ((id >> 10) & 31) + 1, 1) || substr(d, ((id >> 5) & 31) + 1, 1) ||
           substr(d, (id & 31) + 1, 1),
           received_at, strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch'),
           sender, size, client_address, client_helo, client_rdns, client_protocol
    FROM message CROSS JOIN (SELECT '0123456789abcdefghjkmnpqrstvwxyz' AS d);

CREATE VIEW report_recipient (id, ordinal, address, domain, backend, state, attempts, unknowns, next_attempt_at, next_attempt,
                              last_reply, failed) AS
    SELECT r.message, r.ordinal, r.address, r.domain, r.backend, s.name, r.attempts, r.unknowns, r.next_attempt_at,
           CASE WHEN r.state <= 2 THEN strftime('%Y-%m-%dT%H:%M:%fZ', r.next_attempt_at / 1000.0, 'unixepoch') END,
           r.last_reply, r.failed
    FROM recipient AS r JOIN report_state AS s ON s.state = r.state;
)sql";

// Version 2: reports. A state more, and whether a delay was told; SQLite cannot change a CHECK, so the rows are copied.
// Where a message comes from has a table of its own: a column of `message` would come behind its content, and nearly
// every message comes from anybody.
constexpr const char* queue_version_2 = R"sql(
DROP VIEW report_recipient;
DROP VIEW report_state;
DROP INDEX recipient_due;
DROP INDEX recipient_waiting;
CREATE TABLE recipient_2 (
    message         INTEGER NOT NULL REFERENCES message (id),
    ordinal         INTEGER NOT NULL CHECK (ordinal >= 0),      -- RCPT order
    address         TEXT    NOT NULL CHECK (address <> ''),
    domain          TEXT    NOT NULL,                           -- of the address, ASCII lower case
    backend         TEXT    NOT NULL,
    state           INTEGER NOT NULL CHECK (state BETWEEN 0 AND 7),
    attempts        INTEGER NOT NULL CHECK (attempts >= 0),
    unknowns        INTEGER NOT NULL CHECK (unknowns >= 0),
    next_attempt_at INTEGER NOT NULL,
    last_reply      TEXT    NOT NULL,                           -- a stranger's text: escape it before showing it
    dsn_notify      INTEGER NOT NULL CHECK (dsn_notify BETWEEN 0 AND 15),  -- bits: 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY
    dsn_orcpt       TEXT    NOT NULL,
    failed          INTEGER NOT NULL CHECK (failed IN (0, 1)),
    delay_told      INTEGER NOT NULL CHECK (delay_told IN (0, 1)),
    PRIMARY KEY (message, ordinal)
) STRICT, WITHOUT ROWID;
INSERT INTO recipient_2 SELECT message, ordinal, address, domain, backend, state, attempts, unknowns, next_attempt_at, last_reply,
    dsn_notify, dsn_orcpt, failed, 0 FROM recipient ORDER BY message, ordinal;
DROP TABLE recipient;
ALTER TABLE recipient_2 RENAME TO recipient;
-- What may be tried, by backend and time. A query uses it only when it says `state <= 2` in these words.
CREATE INDEX recipient_due ON recipient (backend, next_attempt_at, message, ordinal) WHERE state <= 2;
-- What waits for one mailbox: a success there calls it early. Mail that is delivered at the first attempt never enters it.
CREATE INDEX recipient_waiting ON recipient (address) WHERE state = 1;

CREATE TABLE recipient_count_2 (
    state      INTEGER PRIMARY KEY CHECK (state BETWEEN 0 AND 7),
    recipients INTEGER NOT NULL
) STRICT;
INSERT INTO recipient_count_2 SELECT state, recipients FROM recipient_count;
DROP TABLE recipient_count;
ALTER TABLE recipient_count_2 RENAME TO recipient_count;

-- Where a message comes from, when it is not just anybody's; beside the checksum, for nothing of it is delivered.
CREATE TABLE origin (
    message INTEGER PRIMARY KEY REFERENCES message (id),
    kind    INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 15),     -- 1 a trusted client, 2 the gateway itself: a report
    about   INTEGER                                             -- of a report: the message that it is about, gone perhaps
) STRICT;

CREATE VIEW report_state (state, name) AS
    VALUES (0, 'ready'), (1, 'waiting'), (2, 'unknown'), (3, 'held'), (4, 'parked'), (5, 'delivered'), (6, 'removed'),
           (7, 'returned');
CREATE VIEW report_recipient (id, ordinal, address, domain, backend, state, attempts, unknowns, next_attempt_at, next_attempt,
                              last_reply, failed) AS
    SELECT r.message, r.ordinal, r.address, r.domain, r.backend, s.name, r.attempts, r.unknowns, r.next_attempt_at,
           CASE WHEN r.state <= 2 THEN strftime('%Y-%m-%dT%H:%M:%fZ', r.next_attempt_at / 1000.0, 'unixepoch') END,
           r.last_reply, r.failed
    FROM recipient AS r JOIN report_state AS s ON s.state = r.state;
)sql";

// Version 3: a kind of `origin` may have 4 added to it: REQUIRETLS (RFC 8689). 4 alone: given by anybody's client. No
// table changes; but a program that does not know of it must not open the file, and send such a message on in clear.
constexpr const char* queue_version_3 = "-- nothing\n";

// Clustered by message: the history of one message is one place, pruning by age cuts a range off the front (ids begin
// with the time), and no second index must be kept.
constexpr const char* history_version_1 = R"sql(
CREATE TABLE history (
    message   INTEGER NOT NULL,             -- 0: about the gateway, not about a message
    number    INTEGER NOT NULL,             -- counts the rows of the file, in the order in which things happened
    at        INTEGER NOT NULL,
    ordinal   INTEGER,                      -- NULL: about the message as a whole
    event     TEXT    NOT NULL,             -- as HistoryEvent::event (queue/store.hpp) has it
    sender    TEXT    NOT NULL,
    recipient TEXT    NOT NULL,
    backend   TEXT    NOT NULL,
    endpoint  TEXT    NOT NULL,
    attempt   INTEGER NOT NULL,
    duration  INTEGER NOT NULL,             -- milliseconds
    reply     TEXT    NOT NULL,             -- a stranger's text: escape it before showing it
    actor     TEXT    NOT NULL,
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

CREATE VIEW report_history (id, at, time, ordinal, event, sender, recipient, backend, endpoint, attempt, duration, reply, actor) AS
    SELECT message, at, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'), ordinal, event, sender, recipient, backend,
           endpoint, attempt, duration, reply, actor
    FROM history;
)sql";

// Transcripts have a table of their own, so that a walk over the history need not step over them. `number` comes from
// the same count as history.number; the oldest go first when there are too many.
constexpr const char* history_version_2 = R"sql(
ALTER TABLE history ADD COLUMN client TEXT NOT NULL DEFAULT '';   -- with accepted: IP address
ALTER TABLE history ADD COLUMN session TEXT NOT NULL DEFAULT '';  -- the client's; or the transaction with a store
ALTER TABLE history ADD COLUMN tls TEXT NOT NULL DEFAULT '';

CREATE TABLE transcript (
    number   INTEGER PRIMARY KEY,
    message  INTEGER NOT NULL,
    session  TEXT    NOT NULL,              -- as in the rows of history that came of the same transaction
    at       INTEGER NOT NULL,
    backend  TEXT    NOT NULL,
    endpoint TEXT    NOT NULL,
    duration INTEGER NOT NULL,              -- milliseconds
    octets   INTEGER NOT NULL,              -- of text
    text     TEXT    NOT NULL
) STRICT;
CREATE INDEX transcript_message ON transcript (message, session);

DROP VIEW report_history;
CREATE VIEW report_history (id, at, time, ordinal, event, sender, recipient, backend, endpoint, attempt, duration, reply, actor,
                            client, session, tls) AS
    SELECT message, at, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'), ordinal, event, sender, recipient, backend,
           endpoint, attempt, duration, reply, actor, client, session, tls
    FROM history;
CREATE VIEW report_transcript (id, session, at, time, backend, endpoint, duration, text) AS
    SELECT message, session, at, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch'), backend, endpoint, duration, text
    FROM transcript;
)sql";

constexpr const char* recipients_version_1 = R"sql(
CREATE TABLE known (
    backend   TEXT    NOT NULL,
    address   TEXT    NOT NULL,             -- '@example.com': the domain as a whole
    knowledge INTEGER NOT NULL,             -- queue::Knowledge: 1 taken, 2 unknown, 3 full, 4 catch-all, 5 selective
    code      INTEGER NOT NULL,             -- of the store's reply
    status    TEXT    NOT NULL,             -- '5.1.1', or ''
    text      TEXT    NOT NULL,             -- a stranger's text: escape it before showing it
    at        INTEGER NOT NULL,             -- milliseconds since 1970, as the next two; when the store said so
    taken_at  INTEGER NOT NULL,             -- when it was last taken; 0: never
    contradicted_at INTEGER NOT NULL,       -- since when it is unknown although it was taken before; 0: it is not
    PRIMARY KEY (backend, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_at ON known (at);
)sql";

SchemaState schema_state(Connection& connection, std::int64_t application_id, std::int64_t version_current) {
    const std::int64_t id = connection.query_integer("PRAGMA application_id");
    const std::int64_t version = connection.query_integer("PRAGMA user_version");
    if (id == 0 && version == 0) {
        return connection.query_integer("SELECT count(*) FROM sqlite_schema") == 0 ? SchemaState::empty
                                                                                   : SchemaState::foreign;
    }
    if (id != application_id || version < 1) {
        return SchemaState::foreign;
    }
    if (version == version_current) {
        return SchemaState::current;
    }
    return version > version_current ? SchemaState::newer : SchemaState::older;
}

struct Migration {
    std::int64_t to_version;
    const char* sql;
};

/// Every step that is still to be taken, in one transaction, so that a crash leaves the old version or the new one.
void migrate(Connection& connection, std::int64_t application_id, std::span<const Migration> migrations) {
    connection.execute("BEGIN IMMEDIATE");
    try {
        const std::int64_t version = connection.query_integer("PRAGMA user_version");
        for (const auto& migration : migrations) {
            if (migration.to_version > version) {
                connection.execute(migration.sql);
                connection.execute(("PRAGMA user_version=" + std::to_string(migration.to_version)).c_str());
            }
        }
        connection.execute(("PRAGMA application_id=" + std::to_string(application_id)).c_str());
        connection.execute("COMMIT");
    } catch (const SqliteError&) {
        if (!connection.in_autocommit()) {
            connection.execute("ROLLBACK");
        }
        throw;
    }
}

constexpr Migration queue_migrations[] = {{1, queue_version_1}, {2, queue_version_2}, {3, queue_version_3}};
constexpr Migration history_migrations[] = {{1, history_version_1}, {2, history_version_2}};
constexpr Migration recipients_migrations[] = {{1, recipients_version_1}};

}  // namespace

SchemaState queue_schema_state(Connection& connection) {
    return schema_state(connection, queue_application_id, queue_schema_version);
}

SchemaState history_schema_state(Connection& connection) {
    return schema_state(connection, history_application_id, history_schema_version);
}

SchemaState recipients_schema_state(Connection& connection) {
    return schema_state(connection, recipients_application_id, recipients_schema_version);
}

void migrate_queue(Connection& connection) { migrate(connection, queue_application_id, queue_migrations); }
void migrate_history(Connection& connection) { migrate(connection, history_application_id, history_migrations); }
void migrate_recipients(Connection& connection) {
    migrate(connection, recipients_application_id, recipients_migrations);
}

}  // namespace postern::queue::detail
