// The Reader over SQLite; see queue/reader.hpp. Answers in pages, each in a read transaction of its own.
#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "queue/detail/codec.hpp"
#include "queue/detail/database_file.hpp"
#include "queue/detail/filter_sql.hpp"
#include "queue/detail/schema.hpp"
#include "queue/detail/sqlite.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::queue {

using namespace detail;

namespace {

constexpr std::int64_t page_size = 256;

std::string_view text_of(sqlite3_value* value) {
    const auto* data = reinterpret_cast<const char*>(sqlite3_value_text(value));
    return data == nullptr ? std::string_view()
                           : std::string_view(data, static_cast<std::size_t>(sqlite3_value_bytes(value)));
}

/// holds(NUMBER, text): the test with this number, of the filter at work.
void sql_holds(sqlite3_context* context, int, sqlite3_value** arguments) {
    const auto* tests = *static_cast<const std::vector<TextTest>**>(sqlite3_user_data(context));
    const auto number = static_cast<std::size_t>(sqlite3_value_int64(arguments[0]));
    const bool result = tests != nullptr && number < tests->size() && holds((*tests)[number], text_of(arguments[1]));
    sqlite3_result_int(context, result ? 1 : 0);
}

/// domain_of(address): what stands behind the last '@', ASCII lower case.
void sql_domain_of(sqlite3_context* context, int, sqlite3_value** arguments) {
    const std::string_view address = text_of(arguments[0]);
    const auto at = address.rfind('@');
    const std::string domain = at == std::string_view::npos ? std::string() : fold_ascii(address.substr(at + 1));
    sqlite3_result_text(context, domain.data(), static_cast<int>(domain.size()), SQLITE_TRANSIENT);
}

/// A read-only connection with the functions that filters call.
class ReadConnection {
public:
    explicit ReadConnection(const std::filesystem::path& file) : connection_(file, OpenMode::read_only) {
        connection_.execute(
            "PRAGMA query_only=1; PRAGMA mmap_size=0; PRAGMA cache_size=-4096; PRAGMA trusted_schema=OFF");
        sqlite3_busy_timeout(connection_.handle(), 5000);
        sqlite3_create_function(connection_.handle(), "holds", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, &tests_,
                                sql_holds, nullptr, nullptr);
        sqlite3_create_function(connection_.handle(), "domain_of", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                                sql_domain_of, nullptr, nullptr);
    }
    ReadConnection(const ReadConnection&) = delete;
    ReadConnection& operator=(const ReadConnection&) = delete;
    [[nodiscard]] Connection& operator*() { return connection_; }
    /// `tests` outlives the statements that are run with it.
    void use(const std::vector<TextTest>& tests) { tests_ = &tests; }

private:
    const std::vector<TextTest>* tests_ = nullptr;
    Connection connection_;
};

/// One view of the file for several statements.
class ReadTransaction {
public:
    explicit ReadTransaction(Connection& connection) : connection_(connection) { connection_.execute("BEGIN"); }
    ~ReadTransaction() { sqlite3_exec(connection_.handle(), "COMMIT", nullptr, nullptr, nullptr); }
    ReadTransaction(const ReadTransaction&) = delete;
    ReadTransaction& operator=(const ReadTransaction&) = delete;

private:
    Connection& connection_;
};

class SqliteReader final : public Reader {
public:
    explicit SqliteReader(std::filesystem::path file)
        : file_(std::move(file)),
          queue_(file_),
          envelope_(*queue_, "SELECT " + std::string(envelope_columns) + " FROM message AS m WHERE m.id = ?1"),
          recipients_(*queue_, "SELECT " + std::string(recipient_columns) +
                                   " FROM recipient AS r WHERE r.message = ?1 ORDER BY r.ordinal"),
          chunk_(*queue_, "SELECT bytes FROM chunk WHERE message = ?1 AND number = ?2"),
          content_(*queue_, "SELECT parts, checksum, content FROM message WHERE id = ?1") {}

    Result<QueuedMessage, ReadError> find(MessageId id) override;
    Result<std::vector<QueuedMessage>, ReadError> find(const std::vector<MessageId>& ids) override;
    Result<Envelope, ReadError> verify(MessageId id) override;
    Result<std::string, ReadError> content_part(MessageId id, std::uint32_t number) override;
    Result<void, ReadError> list(const Filter& filter, Instant now,
                                 const std::function<bool(const QueuedMessage&)>& each) override;
    Result<void, ReadError> match(const Filter& filter, Instant now,
                                  const std::function<bool(const QueuedMessage&, const Recipient&)>& each) override;
    Result<Totals, ReadError> totals() override;
    Result<std::vector<ShapeCell>, ReadError> shape(ShapeBy by, const std::vector<Duration>& bounds,
                                                    Instant now) override;
    Result<BacklogSurvey, ReadError> backlog() override;
    Result<std::vector<BackendMark>, ReadError> marks() override;
    Result<void, ReadError> history(const HistoryFilter& filter, Instant now,
                                    const std::function<bool(const HistoryEvent&)>& each) override;
    const std::string& last_error() const override { return last_error_; }

private:
    /// Runs `work`; what it throws becomes an error.
    template <class T, class Work>
    Result<T, ReadError> guarded(Work work) {
        try {
            return work();
        } catch (const SqliteError& error) {
            last_error_ = error.what();
            return error.is_corrupt() ? ReadError::damaged : ReadError::failed;
        }
    }

    [[nodiscard]] std::optional<QueuedMessage> read_message(MessageId id);
    /// Calls `each` with the ids that match, rising, a page at a time; ends when it returns false.
    void walk(const FilterSql& sql, const Filter& filter, const std::function<bool(MessageId)>& each);

    const std::filesystem::path file_;
    std::string last_error_;
    ReadConnection queue_;
    Statement envelope_;
    Statement recipients_;
    Statement chunk_;
    Statement content_;
};

std::optional<QueuedMessage> SqliteReader::read_message(MessageId id) {
    QueuedMessage message;
    {
        envelope_.bind(1, id.value());
        auto rows = envelope_.rows();
        if (!rows.step()) {
            return std::nullopt;
        }
        message.envelope = read_envelope(envelope_);
    }
    recipients_.bind(1, id.value());
    auto rows = recipients_.rows();
    while (rows.step()) {
        message.recipients.push_back(read_recipient(recipients_));
    }
    return message;
}

Result<QueuedMessage, ReadError> SqliteReader::find(MessageId id) {
    return guarded<QueuedMessage>([&]() -> Result<QueuedMessage, ReadError> {
        const ReadTransaction transaction(*queue_);
        auto message = read_message(id);
        if (!message) {
            return ReadError::not_found;
        }
        return std::move(*message);
    });
}

Result<std::vector<QueuedMessage>, ReadError> SqliteReader::find(const std::vector<MessageId>& ids) {
    using Messages = std::vector<QueuedMessage>;
    return guarded<Messages>([&]() -> Result<Messages, ReadError> {
        const ReadTransaction transaction(*queue_);
        Messages messages;
        for (const MessageId id : ids) {
            if (auto message = read_message(id)) {
                messages.push_back(std::move(*message));
            }
        }
        return messages;
    });
}

Result<Envelope, ReadError> SqliteReader::verify(MessageId id) {
    return guarded<Envelope>([&]() -> Result<Envelope, ReadError> {
        const ReadTransaction transaction(*queue_);
        auto message = read_message(id);
        if (!message) {
            return ReadError::not_found;
        }
        content_.bind(1, id.value());
        auto rows = content_.rows();
        if (!rows.step()) {
            return ReadError::not_found;
        }
        MessageChecksum checksum;
        std::uint64_t size = 0;
        const std::int64_t parts = content_.integer(0);
        for (std::int64_t number = 0; number < parts; ++number) {
            chunk_.bind(1, id.value()).bind(2, number);
            auto chunks = chunk_.rows();
            if (!chunks.step()) {
                last_error_ = "a part of the content is missing";
                return ReadError::damaged;
            }
            checksum.add_content(chunk_.blob(0));
            size += chunk_.blob(0).size();
        }
        checksum.add_content(content_.blob(2));
        size += content_.blob(2).size();
        const Checksum found = checksum.finish(message->envelope, message->recipients);
        if (size != message->envelope.size || as_blob(found) != content_.blob(1)) {
            last_error_ = "the checksum over envelope and content does not fit";
            return ReadError::damaged;
        }
        return std::move(message->envelope);
    });
}

Result<std::string, ReadError> SqliteReader::content_part(MessageId id, std::uint32_t number) {
    return guarded<std::string>([&]() -> Result<std::string, ReadError> {
        {
            chunk_.bind(1, id.value()).bind(2, std::int64_t{number});
            auto rows = chunk_.rows();
            if (rows.step()) {
                return std::string(chunk_.blob(0));
            }
        }
        content_.bind(1, id.value());
        auto rows = content_.rows();
        if (!rows.step()) {
            return ReadError::not_found;
        }
        const std::int64_t parts = content_.integer(0);
        if (std::int64_t{number} < parts) {
            last_error_ = "a part of the content is missing";
            return ReadError::damaged;  // not its end: half a message must not look like one
        }
        return parts == std::int64_t{number} ? std::string(content_.blob(2)) : std::string();
    });
}

void SqliteReader::walk(const FilterSql& sql, const Filter& filter, const std::function<bool(MessageId)>& each) {
    if (sql.nothing) {
        return;
    }
    queue_.use(sql.tests);
    Statement select(*queue_, select_messages(sql));
    const auto page = [&](std::int64_t after, std::int64_t until, std::int64_t limit) {
        std::vector<MessageId> ids;
        select.bind(1, after).bind(2, until).bind(3, limit);
        auto rows = select.rows();
        while (rows.step()) {
            ids.emplace_back(select.integer(0));
        }
        return ids;
    };
    auto left = static_cast<std::int64_t>(std::min<std::uint64_t>(filter.limit.value_or(INT64_MAX), INT64_MAX));
    if (!filter.ids.empty()) {
        std::vector<MessageId> wanted = filter.ids;
        std::sort(wanted.begin(), wanted.end());
        wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
        for (const MessageId id : wanted) {
            if (left > 0 && !page(id.value() - 1, id.value(), 1).empty()) {
                --left;
                if (!each(id)) {
                    return;
                }
            }
        }
        return;
    }
    std::int64_t after = 0;
    while (left > 0) {
        const std::int64_t wanted = std::min(left, page_size);
        const std::vector<MessageId> ids = page(after, INT64_MAX, wanted);
        for (const MessageId id : ids) {
            after = id.value();
            --left;
            if (!each(id)) {
                return;
            }
        }
        if (static_cast<std::int64_t>(ids.size()) < wanted) {
            return;
        }
    }
}

Result<void, ReadError> SqliteReader::list(const Filter& filter, Instant now,
                                           const std::function<bool(const QueuedMessage&)>& each) {
    return guarded<void>([&]() -> Result<void, ReadError> {
        const FilterSql sql = filter_sql(filter, now);
        walk(sql, filter, [&](MessageId id) {
            const auto message = read_message(id);
            return !message || each(*message);  // it may have gone since
        });
        return {};
    });
}

Result<void, ReadError> SqliteReader::match(const Filter& filter, Instant now,
                                            const std::function<bool(const QueuedMessage&, const Recipient&)>& each) {
    return guarded<void>([&]() -> Result<void, ReadError> {
        const FilterSql sql = filter_sql(filter, now);
        if (sql.nothing) {
            return {};
        }
        Statement ordinals(*queue_, select_ordinals(sql));
        // One for many statements: each would begin and end its own, and take and drop the locks for it.
        std::optional<ReadTransaction> transaction;
        std::size_t looked_at = 0;
        walk(sql, filter, [&](MessageId id) {
            if (looked_at++ % static_cast<std::size_t>(page_size) == 0) {
                transaction.reset();
                transaction.emplace(*queue_);
            }
            const auto message = read_message(id);
            if (!message) {
                return true;
            }
            std::vector<Ordinal> matching;
            {
                ordinals.bind(1, id.value());
                auto rows = ordinals.rows();
                while (rows.step()) {
                    matching.push_back(static_cast<Ordinal>(ordinals.integer(0)));
                }
            }
            for (const Recipient& recipient : message->recipients) {
                if (std::binary_search(matching.begin(), matching.end(), recipient.ordinal) &&
                    !each(*message, recipient)) {
                    return false;
                }
            }
            return true;
        });
        return {};
    });
}

Result<Totals, ReadError> SqliteReader::totals() {
    return guarded<Totals>([&]() -> Result<Totals, ReadError> {
        Totals totals;
        const ReadTransaction transaction(*queue_);
        totals.messages = static_cast<std::uint64_t>(
            std::max<std::int64_t>(0, (*queue_).query_integer("SELECT value FROM meta WHERE key = 'messages'")));
        Statement states(*queue_, "SELECT state, recipients FROM recipient_count WHERE recipients > 0");
        {
            auto rows = states.rows();
            while (rows.step()) {
                const std::int64_t state = states.integer(0);
                if (state >= 0 && state <= static_cast<std::int64_t>(last_recipient_state)) {
                    totals.recipients[static_cast<RecipientState>(state)] =
                        static_cast<std::uint64_t>(states.integer(1));
                }
            }
        }
        Statement oldest(*queue_, "SELECT received_at FROM message ORDER BY id LIMIT 1");
        auto rows = oldest.rows();
        if (rows.step()) {
            totals.oldest = from_stored(oldest.integer(0));
        }
        return totals;
    });
}

Result<std::vector<ShapeCell>, ReadError> SqliteReader::shape(ShapeBy by, const std::vector<Duration>& bounds,
                                                              Instant now) {
    return guarded<std::vector<ShapeCell>>([&]() -> Result<std::vector<ShapeCell>, ReadError> {
        const std::string column = by == ShapeBy::backend ? "r.backend" : "r.domain";
        // A message's id begins with the time of its acceptance, so that no message need be looked up.
        Statement select(*queue_, "SELECT " + column + ", r.message FROM recipient AS r WHERE r.state < 5");
        std::map<std::string, std::vector<std::uint64_t>, std::less<>> cells;
        auto cell = cells.end();
        auto rows = select.rows();
        while (rows.step()) {
            const std::string_view key = select.text(0);
            if (cell == cells.end() || cell->first != key) {  // the next one often has the same
                cell = cells.find(key);
            }
            if (cell == cells.end()) {
                cell = cells.emplace(std::string(key), std::vector<std::uint64_t>(bounds.size() + 1)).first;
            }
            const Duration age = now - MessageId(select.integer(1)).time();
            const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), age) - bounds.begin();
            ++cell->second[static_cast<std::size_t>(bucket)];
        }
        std::vector<ShapeCell> result;
        for (auto& [key, counts] : cells) {
            result.push_back({key, std::move(counts)});
        }
        return result;
    });
}

namespace {

/// How many there are; `counted` is what the file says.
class Recount {
public:
    void add(std::int64_t message, std::int64_t state) {
        counts_.messages += message != message_ ? 1 : 0;
        message_ = message;
        add_recipients(state, 1);
    }
    [[nodiscard]] Miscount against_file(Connection& queue) {
        counts_.messages -= queue.query_integer("SELECT value FROM meta WHERE key = 'messages'");
        Statement counted(queue, "SELECT state, recipients FROM recipient_count");
        auto rows = counted.rows();
        while (rows.step()) {
            add_recipients(counted.integer(0), -counted.integer(1));
        }
        std::erase_if(counts_.recipients, [](const auto& each) { return each.second == 0; });
        return std::move(counts_);
    }

private:
    void add_recipients(std::int64_t state, std::int64_t count) {
        if (state >= 0 && state <= static_cast<std::int64_t>(last_recipient_state)) {
            counts_.recipients[static_cast<RecipientState>(state)] += count;
        }
    }
    Miscount counts_;
    std::int64_t message_ = 0;  ///< of the row before
};

}  // namespace

Result<BacklogSurvey, ReadError> SqliteReader::backlog() {
    return guarded<BacklogSurvey>([&]() -> Result<BacklogSurvey, ReadError> {
        const ReadTransaction transaction(*queue_);
        // One walk along the table, counted here: SQLite would sort a million rows to group them.
        Statement select(*queue_, "SELECT message, state, backend, domain FROM recipient NOT INDEXED ORDER BY message");
        std::map<std::string, std::map<std::string, std::uint64_t, std::less<>>, std::less<>> counts;
        Recount recount;
        auto rows = select.rows();
        while (rows.step()) {
            recount.add(select.integer(0), select.integer(1));
            if (!is_schedulable(static_cast<RecipientState>(select.integer(1)))) {
                continue;
            }
            const std::string_view backend = select.text(2);
            auto domains = counts.find(backend);
            if (domains == counts.end()) {
                domains = counts.emplace(backend, std::map<std::string, std::uint64_t, std::less<>>()).first;
            }
            const std::string_view domain = select.text(3);
            const auto count = domains->second.find(domain);
            if (count == domains->second.end()) {
                domains->second.emplace(domain, 1);
            } else {
                ++count->second;
            }
        }
        BacklogSurvey survey;
        for (const auto& [backend, domains] : counts) {
            for (const auto& [domain, count] : domains) {
                survey.cells.push_back({backend, domain, count});
            }
        }
        survey.miscount = recount.against_file(*queue_);
        return survey;
    });
}

Result<std::vector<BackendMark>, ReadError> SqliteReader::marks() {
    using Marks = std::vector<BackendMark>;
    return guarded<Marks>([&]() -> Result<Marks, ReadError> {
        Statement select(*queue_, backend_marks_query);
        Marks marks;
        auto rows = select.rows();
        while (rows.step()) {
            marks.push_back(read_backend_mark(select));
        }
        return marks;
    });
}

/// Whether a message was accepted as a filter asks, for the rows of one message after another.
class Acceptances {
public:
    /// SQL calls it as accepted_as_asked(MESSAGE).
    Acceptances(ReadConnection& file, const std::string& conditions)
        : select_(*file, "SELECT 1 FROM history AS a WHERE a.message = ?1 AND a.event = 'accepted'" + conditions) {
        sqlite3_create_function((*file).handle(), "accepted_as_asked", 1, SQLITE_UTF8, this, sql_asked, nullptr,
                                nullptr);
    }
    Acceptances(const Acceptances&) = delete;
    Acceptances& operator=(const Acceptances&) = delete;

private:
    static void sql_asked(sqlite3_context* context, int, sqlite3_value** arguments) {
        auto& self = *static_cast<Acceptances*>(sqlite3_user_data(context));
        try {
            sqlite3_result_int(context, self.holds_for(sqlite3_value_int64(arguments[0])) ? 1 : 0);
        } catch (const SqliteError& error) {
            sqlite3_result_error(context, error.what(), -1);
            sqlite3_result_error_code(context, error.extended_code());
        }
    }
    bool holds_for(std::int64_t message) {
        if (message_ != message) {
            select_.bind(1, message);
            auto rows = select_.rows();
            answer_ = rows.step();
            message_ = message;
        }
        return answer_;
    }

    Statement select_;
    std::optional<std::int64_t> message_;
    bool answer_ = false;
};

/// One walk over the history, in pages: a slow reader of the answer must not keep a read transaction open.
class HistoryWalk {
public:
    HistoryWalk(const std::filesystem::path& file, const HistoryFilter& filter, Instant now)
        : file_(file),
          sql_(history_sql(filter.filter, now)),
          acceptances_(file_, sql_.on_acceptance),
          ids_(filter.filter.ids),
          left_(filter.filter.limit.value_or(UINT64_MAX)),
          page_(*file_, "SELECT " + std::string(history_columns) +
                            ", h.number FROM history AS h WHERE (h.message, h.number) > (?1, ?2) AND h.message <= ?3" +
                            sql_.conditions + " ORDER BY h.message, h.number LIMIT ?4"),
          transcript_(
              *file_,
              "SELECT at, backend, endpoint, duration, text FROM transcript WHERE message = ?1 AND session = ?2 "
              "ORDER BY number"),
          with_transcripts_(filter.transcripts) {
        file_.use(sql_.tests);
        std::sort(ids_.begin(), ids_.end());
        ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
    }

    void run(const std::function<bool(const HistoryEvent&)>& each) {
        if (ids_.empty()) {
            (void)walk(INT64_MIN, INT64_MAX, each);
        }
        for (const MessageId id : ids_) {
            if (!walk(id.value() - 1, id.value(), each)) {
                return;
            }
        }
    }

private:
    struct Page {
        std::vector<HistoryEvent> events;
        bool last = false;
    };

    /// The messages in (after, until]. False: it is enough.
    bool walk(std::int64_t after, std::int64_t until, const std::function<bool(const HistoryEvent&)>& each) {
        after_ = {after, INT64_MAX};
        while (true) {
            const Page page = next_page(until);
            for (const HistoryEvent& event : page.events) {
                if (event.message != message_) {
                    if (event.message != MessageId() && left_-- == 0) {
                        (void)tell_transcripts(each);
                        return false;
                    }
                    message_ = event.message;
                }
                if (!tell(event, each)) {
                    return false;
                }
            }
            if (page.last) {
                return tell_transcripts(each);
            }
        }
    }

    Page next_page(std::int64_t until) {
        Page page;
        page_.bind(1, after_.first).bind(2, after_.second).bind(3, until).bind(4, page_size);
        auto rows = page_.rows();
        while (rows.step()) {
            page.events.push_back(read_history_event(page_));
            after_ = {page.events.back().message.value(), page_.integer(history_column_count)};
        }
        page.last = static_cast<std::int64_t>(page.events.size()) < page_size;
        return page;
    }

    /// The rows of a transaction stand together but for what happened beside it; its transcript comes behind the first
    /// of them that stand together.
    bool tell(const HistoryEvent& event, const std::function<bool(const HistoryEvent&)>& each) {
        if (with_transcripts_ && (event.message != said_in_ || event.session != session_)) {
            if (!tell_transcripts(each)) {
                return false;
            }
            if (said_in_ != event.message) {
                told_.clear();
            }
            said_in_ = event.message;
            session_ = event.session;
        }
        return each(event);
    }

    bool tell_transcripts(const std::function<bool(const HistoryEvent&)>& each) {
        std::vector<HistoryEvent> transcripts;
        if (with_transcripts_ && !session_.empty() && told_.insert(session_).second) {
            transcript_.bind(1, said_in_.value()).bind(2, session_);
            auto rows = transcript_.rows();
            while (rows.step()) {
                HistoryEvent event;
                event.message = said_in_;
                event.event = "transcript";
                event.at = from_stored(transcript_.integer(0));
                event.backend = transcript_.text(1);
                event.endpoint = transcript_.text(2);
                event.duration = Duration(transcript_.integer(3));
                event.transcript = transcript_.text(4);
                event.session = session_;
                transcripts.push_back(std::move(event));
            }
        }
        session_.clear();
        return std::all_of(transcripts.begin(), transcripts.end(), each);
    }

    ReadConnection file_;
    HistorySql sql_;
    Acceptances acceptances_;
    std::vector<MessageId> ids_;
    std::uint64_t left_;  ///< messages; what is about the gateway does not count
    Statement page_;
    Statement transcript_;
    bool with_transcripts_;
    std::pair<std::int64_t, std::int64_t> after_;  ///< message and number
    std::optional<MessageId> message_;             ///< of the row before
    MessageId said_in_;                            ///< with session_: the transcripts that are still to be told
    std::string session_;
    std::set<std::string> told_;  ///< sessions of said_in_ whose transcripts were
};

Result<void, ReadError> SqliteReader::history(const HistoryFilter& filter, Instant now,
                                              const std::function<bool(const HistoryEvent&)>& each) {
    const std::filesystem::path path = history_path(file_);
    struct stat entry {};
    if (::stat(path.c_str(), &entry) != 0) {
        return {};
    }
    return guarded<void>([&]() -> Result<void, ReadError> {
        {
            Connection probe(path, OpenMode::read_only);
            const SchemaState state = history_schema_state(probe);
            if (state == SchemaState::empty) {
                return {};  // a gateway has just begun to make it
            }
            if (state != SchemaState::current) {
                last_error_ =
                    path.string() + (state == SchemaState::newer ? " was written by a newer version of postern"
                                     : state == SchemaState::older
                                         ? " is of an older version of postern: start the gateway once, which "
                                           "brings it up to date"
                                         : " is not a history that this version can read");
                return ReadError::failed;
            }
        }
        HistoryWalk(path, filter, now).run(each);
        return {};
    });
}

}  // namespace

Result<std::unique_ptr<Reader>, OpenError> open_reader(const std::filesystem::path& path) {
    struct stat entry {};
    if (::stat(path.c_str(), &entry) != 0) {
        OpenError error;
        error.kind = OpenError::Kind::not_found;
        error.text = "there is no queue at " + path.string() + " (a gateway makes it when it first starts)";
        return error;
    }
    try {
        Connection probe(path, OpenMode::read_only);
        const SchemaState state = queue_schema_state(probe);
        if (state != SchemaState::current) {
            OpenError error;
            error.kind = state == SchemaState::newer ? OpenError::Kind::newer_schema : OpenError::Kind::damaged;
            error.text = path.string() + (state == SchemaState::newer ? " was written by a newer version of postern"
                                          : state == SchemaState::older
                                              ? " was written by an older version of postern; the next start "
                                                "of the gateway brings it up to date"
                                              : " is not a queue that this version can read");
            return error;
        }
        std::unique_ptr<Reader> reader = std::make_unique<SqliteReader>(path);
        return reader;
    } catch (const SqliteError& error) {
        return open_error(error, path);
    }
}

}  // namespace postern::queue
