#include "queue/detail/tables.hpp"

namespace postern::queue::detail {

namespace {

/// One notice tells of so many: a larger one would be taken nowhere. The next one tells of the rest.
constexpr std::int64_t untold_max = 1000;
constexpr std::string_view due_condition =
    "FROM recipient AS r JOIN message AS m ON m.id = r.message WHERE r.backend = ?1 AND r.state <= 2 AND "
    "r.next_attempt_at <= ?2 "
    "AND (r.next_attempt_at, r.message, r.ordinal) > (?3, ?4, ?5) ORDER BY r.next_attempt_at, r.message, r.ordinal "
    "LIMIT ?6";

std::string load_due_sql() {
    return "SELECT m.id, m.received_at, m.size, " + std::string(recipient_columns) + ' ' + std::string(due_condition);
}

/// The rows of such a query.
DuePage read_due(Statement& select) {
    DuePage page;
    auto rows = select.rows();
    while (rows.step()) {
        page.recipients.push_back(DueRecipient{MessageId(select.integer(0)), read_recipient(select, 3),
                                               from_stored(select.integer(1)),
                                               static_cast<std::uint64_t>(select.integer(2))});
    }
    return page;
}

std::int64_t origin_kind(const Envelope& envelope) {
    return static_cast<std::int64_t>(envelope.origin) + (envelope.require_tls ? origin_require_tls : 0);
}

}  // namespace

Tables::Tables(Connection& connection, std::uint64_t generation)
    : connection_(connection),
      generation_(generation),
      insert_message_(
          connection,
          "INSERT INTO message (id, received_at, size, sender, body_type, has_8bit, smtputf8, dsn_ret, dsn_envid, "
          "client_address, client_helo, client_rdns, client_protocol, parts, checksum, content) "
          "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)"),
      insert_recipient_(connection,
                        "INSERT INTO recipient (message, ordinal, address, domain, backend, state, attempts, unknowns, "
                        "next_attempt_at, last_reply, dsn_notify, dsn_orcpt, failed, delay_told) VALUES "
                        "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)"),
      insert_chunk_(connection, "INSERT INTO chunk (message, number, bytes) VALUES (?1,?2,?3)"),
      insert_incoming_(connection, "INSERT OR IGNORE INTO incoming (message) VALUES (?1)"),
      delete_incoming_(connection, "DELETE FROM incoming WHERE message = ?1"),
      delete_message_(connection, "DELETE FROM message WHERE id = ?1"),
      delete_recipients_(connection, "DELETE FROM recipient WHERE message = ?1"),
      delete_chunks_(connection, "DELETE FROM chunk WHERE message = ?1"),
      delete_origin_(connection, "DELETE FROM origin WHERE message = ?1"),
      update_recipient_(
          connection,
          "UPDATE recipient SET state = ?3, attempts = ?4, unknowns = ?5, next_attempt_at = ?6, backend = ?7, "
          "last_reply = ?8, failed = ?9, delay_told = max(delay_told, ?10) WHERE message = ?1 AND ordinal = ?2"),
      // To name `state` is to write the index of what waits: of a backlog that is put off, half of the writing.
      put_off_recipient_(
          connection,
          "UPDATE recipient SET attempts = ?4, unknowns = ?5, next_attempt_at = ?6, backend = ?7, last_reply = ?8, "
          "failed = ?9, delay_told = max(delay_told, ?10) WHERE message = ?1 AND ordinal = ?2"),
      state_(connection, "SELECT state FROM recipient WHERE message = ?1 AND ordinal = ?2"),
      // From the end, for they are done from the front: the first row most often tells.
      beside_(connection, "SELECT state FROM recipient WHERE message = ?1 AND ordinal <> ?2 ORDER BY ordinal DESC"),
      count_states_(connection, "SELECT state, count(*) FROM recipient WHERE message = ?1 GROUP BY state"),
      add_count_(connection,
                 "INSERT INTO recipient_count (state, recipients) VALUES (?1, ?2) ON CONFLICT (state) DO UPDATE SET "
                 "recipients = recipients + excluded.recipients"),
      load_due_(connection, load_due_sql()),
      earliest_(connection,
                "SELECT next_attempt_at FROM recipient WHERE backend = ?1 AND state <= 2 AND next_attempt_at > ?2 "
                "ORDER BY next_attempt_at LIMIT 1"),
      call_waiting_(connection,
                    "UPDATE recipient SET next_attempt_at = ?3 WHERE (message, ordinal) IN (SELECT message, ordinal "
                    "FROM recipient INDEXED BY recipient_waiting WHERE address = ?1 AND state = 1 AND backend = ?2 AND "
                    "next_attempt_at > ?3 ORDER BY message, ordinal LIMIT ?4)"),
      walk_(connection,
            "SELECT next_attempt_at, message, ordinal, domain FROM recipient WHERE backend = ?1 AND state <= 2 AND "
            "(next_attempt_at, message, ordinal) > (?2, ?3, ?4) ORDER BY next_attempt_at, message, ordinal LIMIT ?5"),
      set_backend_(connection, "UPDATE recipient SET backend = ?3 WHERE message = ?1 AND ordinal = ?2"),
      set_meta_(connection, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)") {}

void Tables::insert_chunk(MessageId message, std::uint32_t number, std::string_view bytes) {
    if (number == 0) {
        insert_incoming_.bind(1, message.value()).run();
    }
    insert_chunk_.bind(1, message.value()).bind(2, std::int64_t{number}).bind_blob(3, bytes).run();
}

void Tables::insert_message(const CommittedMessage& message, std::uint32_t parts, const Checksum& checksum,
                            std::string_view content) {
    const Envelope& envelope = message.envelope;
    const std::string sender = envelope.sender.to_string();
    insert_message_.bind(1, envelope.id.value())
        .bind(2, to_stored(envelope.received_at))
        .bind(3, static_cast<std::int64_t>(envelope.size))
        .bind(4, sender)
        .bind(5, static_cast<std::int64_t>(envelope.body_type))
        .bind(6, std::int64_t{envelope.has_8bit})
        .bind(7, std::int64_t{envelope.smtputf8})
        .bind(8, static_cast<std::int64_t>(envelope.dsn.ret))
        .bind(9, envelope.dsn.envid)
        .bind(10, envelope.client.address)
        .bind(11, envelope.client.helo)
        .bind(12, envelope.client.rdns)
        .bind(13, envelope.client.protocol)
        .bind(14, std::int64_t{parts})
        .bind_blob(15, as_blob(checksum))
        .bind_blob(16, content)
        .run();
    for (const Recipient& recipient : message.recipients) {
        insert_recipient(envelope.id, recipient);
    }
    if (const std::int64_t kind = origin_kind(envelope); kind != 0) {
        Statement origin(connection_, "INSERT INTO origin (message, kind, about) VALUES (?1, ?2, ?3)");
        origin.bind(1, envelope.id.value()).bind(2, kind);
        if (envelope.about) {
            origin.bind(3, envelope.about->value());
        }
        origin.run();
    }
    if (parts > 0) {
        delete_incoming_.bind(1, envelope.id.value()).run();
    }
}

void Tables::insert_message(const CommittedMessage& message) {
    MessageChecksum checksum;
    checksum.add_content(*message.content);
    insert_message(message, 0, checksum.finish(message.envelope, message.recipients), *message.content);
}

std::optional<Envelope> Tables::envelope(MessageId message) {
    Statement select(connection_, "SELECT " + std::string(envelope_columns) + " FROM message AS m WHERE m.id = ?1");
    select.bind(1, message.value());
    auto rows = select.rows();
    return rows.step() ? std::optional(read_envelope(select)) : std::nullopt;
}

std::optional<Recipient> Tables::recipient(MessageId message, Ordinal ordinal) {
    Statement select(connection_, "SELECT " + std::string(recipient_columns) +
                                      " FROM recipient AS r WHERE r.message = ?1 AND r.ordinal = ?2");
    select.bind(1, message.value()).bind(2, std::int64_t{ordinal});
    auto rows = select.rows();
    return rows.step() ? std::optional(read_recipient(select)) : std::nullopt;
}

std::vector<Recipient> Tables::untold(MessageId message) {
    Statement select(connection_,
                     "SELECT " + std::string(recipient_columns) +
                         " FROM recipient AS r WHERE r.message = ?1 AND r.state = ?2 AND r.delay_told = 0 LIMIT ?3");
    select.bind(1, message.value()).bind(2, static_cast<std::int64_t>(RecipientState::waiting)).bind(3, untold_max);
    std::vector<Recipient> found;
    for (auto rows = select.rows(); rows.step();) {
        found.push_back(read_recipient(select));
    }
    return found;
}

std::string Tables::content_from_start(MessageId message, std::size_t octets) {
    std::string content;
    {
        Statement chunks(connection_, "SELECT bytes FROM chunk WHERE message = ?1 ORDER BY number");
        chunks.bind(1, message.value());
        auto rows = chunks.rows();
        while (content.size() < octets && rows.step()) {
            content += chunks.blob(0);
        }
    }
    if (content.size() < octets) {
        Statement rest(connection_, "SELECT content FROM message WHERE id = ?1");
        rest.bind(1, message.value());
        auto rows = rest.rows();
        if (rows.step()) {
            content += rest.blob(0);
        }
    }
    return content;
}

void Tables::insert_recipient(MessageId message, const Recipient& recipient) {
    const std::string address = recipient.address.to_string();
    const std::string domain = recipient.address.domain_key();
    insert_recipient_.bind(1, message.value())
        .bind(2, std::int64_t{recipient.ordinal})
        .bind(3, address)
        .bind(4, domain)
        .bind(5, recipient.backend)
        .bind(6, static_cast<std::int64_t>(recipient.state))
        .bind(7, std::int64_t{recipient.attempts})
        .bind(8, std::int64_t{recipient.unknowns})
        .bind(9, to_stored(recipient.next_attempt_at))
        .bind(10, recipient.last_reply)
        .bind(11, static_cast<std::int64_t>(recipient.dsn.notify))
        .bind(12, recipient.dsn.orcpt)
        .bind(13, std::int64_t{recipient.failed})
        .bind(14, std::int64_t{recipient.delay_told})
        .run();
    count(recipient.state, 1);
}

void Tables::remove_chunks(MessageId message) {
    delete_chunks_.bind(1, message.value()).run();
    delete_incoming_.bind(1, message.value()).run();
}

std::optional<RecipientState> Tables::state(MessageId message, Ordinal ordinal) {
    state_.bind(1, message.value()).bind(2, std::int64_t{ordinal});
    auto rows = state_.rows();
    return rows.step() ? std::optional(static_cast<RecipientState>(state_.integer(0))) : std::nullopt;
}

std::optional<Tables::StateCounts> Tables::done_beside(MessageId message, std::int64_t ordinal) {
    StateCounts done{};
    beside_.bind(1, message.value()).bind(2, ordinal);
    auto rows = beside_.rows();
    while (rows.step()) {
        const auto state = static_cast<RecipientState>(beside_.integer(0));
        if (!is_done(state)) {
            return std::nullopt;
        }
        ++done[static_cast<std::size_t>(state)];
    }
    return done;
}

void Tables::mark_delay_told(MessageId message, Ordinal ordinal) {
    Statement mark(connection_, "UPDATE recipient SET delay_told = 1 WHERE message = ?1 AND ordinal = ?2");
    mark.bind(1, message.value()).bind(2, std::int64_t{ordinal}).run();
}

bool Tables::update(const RecipientUpdate& update) {
    if (update.telling && !update.telling->changes_all) {
        mark_delay_told(update.message, update.ordinal);
        return false;
    }
    const auto before = state(update.message, update.ordinal);
    if (!before || is_done(*before)) {
        return false;
    }
    Statement& change = update.state == *before ? put_off_recipient_ : update_recipient_;
    change.bind(1, update.message.value())
        .bind(2, std::int64_t{update.ordinal})
        .bind(3, static_cast<std::int64_t>(update.state))
        .bind(4, std::int64_t{update.attempts})
        .bind(5, std::int64_t{update.unknowns})
        .bind(6, to_stored(update.next_attempt_at))
        .bind(7, update.backend)
        .bind(8, update.last_reply)
        .bind(9, std::int64_t{update.failed})
        .bind(10, std::int64_t{update.telling && update.telling->notice == Notice::delayed})
        .run();
    count(*before, -1);
    count(update.state, 1);
    return true;
}

bool Tables::apply(const RecipientUpdate* first, const RecipientUpdate* last) {
    const MessageId message = first->message;
    // The usual end: one update, done, of the only recipient that is left. Its row need not change before it goes.
    if (last - first == 1 && is_done(first->state) && (!first->telling || first->telling->changes_all)) {
        const auto before = state(message, first->ordinal);
        if (!before || is_done(*before)) {
            return false;
        }
        if (const auto others = done_beside(message, first->ordinal)) {
            count(*before, -1);
            count_off(*others);
            delete_rows(message);
            return true;
        }
    }
    bool any_done = false;
    for (const RecipientUpdate* one = first; one != last; ++one) {
        any_done = (update(*one) && is_done(one->state)) || any_done;
    }
    if (!any_done) {
        return false;
    }
    const auto all = done_beside(message, -1);
    if (!all) {
        return false;
    }
    count_off(*all);
    delete_rows(message);
    return true;
}

void Tables::count(RecipientState state, std::int64_t change) noexcept {
    const auto index = static_cast<std::size_t>(state);
    if (index < counts_.size()) {  // a damaged page could say anything
        counts_[index] += change;
    }
}

void Tables::count_off(const StateCounts& gone) noexcept {
    for (std::size_t state = 0; state < gone.size(); ++state) {
        counts_[state] -= gone[state];
    }
}

void Tables::delete_rows(MessageId message) {
    delete_recipients_.bind(1, message.value()).run();
    delete_chunks_.bind(1, message.value()).run();
    delete_origin_.bind(1, message.value()).run();
    delete_message_.bind(1, message.value()).run();
}

bool Tables::delete_message(MessageId message) {
    {
        count_states_.bind(1, message.value());
        auto rows = count_states_.rows();
        while (rows.step()) {
            count(static_cast<RecipientState>(count_states_.integer(0)), -count_states_.integer(1));
        }
    }
    delete_rows(message);
    return connection_.changes() > 0;
}

void Tables::write_counts() {
    for (std::size_t state = 0; state < counts_.size(); ++state) {
        if (counts_[state] != 0) {
            add_count_.bind(1, static_cast<std::int64_t>(state)).bind(2, counts_[state]).run();
        }
    }
}

DuePage Tables::load_due(const std::string& backend, Instant until, const std::optional<DueKey>& after,
                         std::size_t limit) {
    DuePage page;
    load_due_.bind(1, backend)
        .bind(2, to_stored(until))
        .bind(3, after ? to_stored(after->next_attempt_at) : INT64_MIN)
        .bind(4, after ? after->message.value() : 0)
        .bind(5, after ? std::int64_t{after->ordinal} : -1)
        .bind(6, static_cast<std::int64_t>(limit));
    page.recipients = read_due(load_due_).recipients;
    if (page.recipients.size() >= limit && limit > 0) {
        const DueRecipient& end = page.recipients.back();
        page.next = DueKey{end.recipient.next_attempt_at, end.message, end.recipient.ordinal};
        return page;
    }
    earliest_.bind(1, backend).bind(2, to_stored(until));
    auto rows = earliest_.rows();
    if (rows.step()) {
        page.earliest_later = from_stored(earliest_.integer(0));
    }
    return page;
}

DuePage Tables::load_old(const std::string& backend, MessageId before, std::size_t limit) {
    // CROSS: down the messages by id, of which few are old, and not down all that the backend has.
    Statement select(connection_, "SELECT m.id, m.received_at, m.size, " + std::string(recipient_columns) +
                                      " FROM message AS m CROSS JOIN recipient AS r ON r.message = m.id "
                                      "WHERE m.id < ?1 AND r.backend = ?2 AND r.state <= 2 ORDER BY m.id LIMIT ?3");
    select.bind(1, before.value()).bind(2, backend).bind(3, static_cast<std::int64_t>(limit));
    return read_due(select);
}

DuePage Tables::load_late(const std::string& backend, MessageId after, MessageId before, std::size_t limit) {
    Statement select(connection_, "SELECT m.id, m.received_at, m.size, " + std::string(recipient_columns) +
                                      " FROM message AS m CROSS JOIN recipient AS r ON r.message = m.id "
                                      "WHERE m.id > ?1 AND m.id < ?2 AND r.backend = ?3 AND r.state <= 2 AND "
                                      "r.delay_told = 0 ORDER BY m.id LIMIT ?4");
    select.bind(1, after.value()).bind(2, before.value()).bind(3, backend).bind(4, static_cast<std::int64_t>(limit));
    return read_due(select);
}

std::size_t Tables::call_waiting(const std::string& backend, const std::string& address, Instant now,
                                 std::size_t limit) {
    call_waiting_.bind(1, address)
        .bind(2, backend)
        .bind(3, to_stored(now))
        .bind(4, static_cast<std::int64_t>(limit))
        .run();
    return static_cast<std::size_t>(connection_.changes());
}

void Tables::reassign(Walk& walk, const std::string& from, const DomainMoves& moves, std::size_t limit) {
    struct Move {
        std::int64_t message;
        std::int64_t ordinal;
        const std::string& to;
    };
    std::vector<Move> found;
    std::size_t looked_at = 0;
    walk_.bind(1, from)
        .bind(2, walk.after ? to_stored(walk.after->next_attempt_at) : INT64_MIN)
        .bind(3, walk.after ? walk.after->message.value() : 0)
        .bind(4, walk.after ? std::int64_t{walk.after->ordinal} : -1)
        .bind(5, static_cast<std::int64_t>(limit));
    {
        auto rows = walk_.rows();
        for (; rows.step(); ++looked_at) {
            walk.after = DueKey{from_stored(walk_.integer(0)), MessageId(walk_.integer(1)),
                                static_cast<Ordinal>(walk_.integer(2))};
            if (const auto move = moves.find(walk_.text(3)); move != moves.end()) {
                found.push_back({walk_.integer(1), walk_.integer(2), move->second});
            }
        }
    }
    for (const auto& [message, ordinal, to] : found) {
        set_backend_.bind(1, message).bind(2, ordinal).bind(3, to).run();
    }
    walk.looked_at += looked_at;
    walk.changed += found.size();
    walk.ended = looked_at < limit;
}

void Tables::mend_counts(const std::map<RecipientState, std::int64_t>& changes) noexcept {
    for (const auto& [state, change] : changes) {
        count(state, change);
    }
}

void Tables::mark_backend(const BackendMark& mark, bool set) {
    Statement change(connection_, set ? "INSERT OR REPLACE INTO backend_mark (backend, kind, at, actor, reason) "
                                        "VALUES (?1, ?2, ?3, ?4, ?5)"
                                      : "DELETE FROM backend_mark WHERE backend = ?1 AND kind = ?2");
    change.bind(1, mark.backend).bind(2, static_cast<std::int64_t>(mark.kind));
    if (set) {
        change.bind(3, to_stored(mark.at)).bind(4, mark.actor).bind(5, mark.reason);
    }
    change.run();
}

std::vector<BackendMark> Tables::load_marks() {
    Statement select(connection_, backend_marks_query);
    std::vector<BackendMark> marks;
    auto rows = select.rows();
    while (rows.step()) {
        marks.push_back(read_backend_mark(select));
    }
    return marks;
}

std::int64_t Tables::meta(const char* key) {
    Statement select(connection_, "SELECT value FROM meta WHERE key = ?1");
    select.bind(1, std::string_view(key));
    auto rows = select.rows();
    return rows.step() ? select.integer(0) : 0;
}

void Tables::set_meta(const char* key, std::int64_t value) {
    set_meta_.bind(1, std::string_view(key)).bind(2, value).run();
}

}  // namespace postern::queue::detail
