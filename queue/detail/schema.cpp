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

// Clustered by message: the history of one message is one place, pruning by age cuts a range off the front (ids begin
// with the time), and no second index must be kept.
constexpr const char* history_version_1 = R"sql(
CREATE TABLE history (
    message   INTEGER NOT NULL,             -- 0: about the gateway, not about a message
    number    INTEGER NOT NULL,             -- counts the rows of the file, in the order in which things happened
    at        INTEGER NOT NULL,
    ordinal   INTEGER,                      -- NULL: about the message as a whole
    event     TEXT    NOT NULL,             -- accepted, delivered, deferred, failed, expired, unknown, held, released, removed, retried
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

constexpr Migration queue_migrations[] = {{1, queue_version_1}};
constexpr Migration history_migrations[] = {{1, history_version_1}};

}  // namespace

SchemaState queue_schema_state(Connection& connection) {
    return schema_state(connection, queue_application_id, queue_schema_version);
}

SchemaState history_schema_state(Connection& connection) {
    return schema_state(connection, history_application_id, history_schema_version);
}

void migrate_queue(Connection& connection) { migrate(connection, queue_application_id, queue_migrations); }
void migrate_history(Connection& connection) { migrate(connection, history_application_id, history_migrations); }

}  // namespace postern::queue::detail
