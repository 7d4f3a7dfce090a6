#include "queue/known_recipients.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <utility>

#include "queue/detail/database_file.hpp"
#include "queue/detail/sqlite.hpp"

namespace postern::queue {

using detail::Connection;
using detail::OpenMode;
using detail::SqliteError;
using detail::Statement;

namespace {

constexpr int wait_for_reader_milliseconds = 1000;

constexpr const char* columns = "backend, address, knowledge, code, status, text, at, taken_at, contradicted_at";

/// From the columns above. nullopt: not a row of ours.
std::optional<KnownRecipient> recipient_of(const Statement& row) {
    const std::int64_t knowledge = row.integer(2);
    const std::int64_t code = row.integer(3);
    if (knowledge < 1 || knowledge > static_cast<std::int64_t>(Knowledge::selective) || code < 200 || code > 599) {
        return std::nullopt;
    }
    KnownRecipient recipient;
    recipient.backend = row.text(0);
    recipient.address = row.text(1);
    recipient.knowledge = static_cast<Knowledge>(knowledge);
    const auto short_code = static_cast<std::uint16_t>(code);
    const auto status = mail::EnhancedStatus::parse(row.text(4));
    recipient.reply = status ? mail::Reply(short_code, *status, std::string(row.text(5)))
                             : mail::Reply(short_code, std::string(row.text(5)));
    recipient.at = Instant(Duration(row.integer(6)));
    recipient.taken_at = Instant(Duration(row.integer(7)));
    recipient.contradicted_at = Instant(Duration(row.integer(8)));
    return recipient;
}

std::int64_t milliseconds_of(Instant instant) { return instant.time_since_epoch().count(); }

}  // namespace

std::string_view to_string(Knowledge knowledge) {
    switch (knowledge) {
        case Knowledge::taken:
            return "taken";
        case Knowledge::unknown:
            return "unknown";
        case Knowledge::full:
            return "full";
        case Knowledge::catch_all:
            return "catch_all";
        case Knowledge::selective:
            break;
    }
    return "selective";
}

std::filesystem::path known_recipients_path(const std::filesystem::path& queue) {
    return queue.string() + "-recipients";
}

class KnownRecipientsFile::Impl {
public:
    Impl(std::filesystem::path queue, std::function<void(const std::string&)> warn)
        : path(known_recipients_path(queue)), warn_(std::move(warn)) {}

    std::filesystem::path path;
    std::unique_ptr<Connection> connection;

    /// Runs `work`; what goes wrong is told once, until something has gone well again.
    template <class Work>
    void attempt(Work work) {
        try {
            work();
            told_ = false;
        } catch (const SqliteError& error) {
            if (!connection->in_autocommit()) {
                sqlite3_exec(connection->handle(), "ROLLBACK", nullptr, nullptr, nullptr);
            }
            if (!std::exchange(told_, true)) {
                warn_(path.string() + ": " + error.what() + "; what the stores said of recipients is not kept");
            }
        }
    }

private:
    std::function<void(const std::string&)> warn_;
    bool told_ = false;
};

KnownRecipientsFile::KnownRecipientsFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KnownRecipientsFile::~KnownRecipientsFile() = default;

std::unique_ptr<KnownRecipientsFile> KnownRecipientsFile::open(const std::filesystem::path& queue,
                                                               std::function<void(const std::string&)> warn) {
    auto impl = std::make_unique<Impl>(queue, warn);
    for (int tries = 0; tries < 2; ++tries) {
        auto opened = detail::open_recipients_file(impl->path);
        if (opened.has_value()) {
            impl->connection = std::move(*opened);
            return std::unique_ptr<KnownRecipientsFile>(new KnownRecipientsFile(std::move(impl)));
        }
        const std::filesystem::path aside = impl->path.string() + "-unusable";
        std::error_code error;
        if (opened.error().kind == OpenError::Kind::damaged || opened.error().kind == OpenError::Kind::newer_schema) {
            std::filesystem::rename(impl->path, aside, error);
            for (const char* part : {"-wal", "-shm"}) {
                std::error_code ignored;
                std::filesystem::remove(impl->path.string() + part, ignored);
            }
            if (!error) {
                warn(opened.error().text + ". It is now " + aside.string() +
                     ", and what the stores say is learned anew");
                continue;
            }
        }
        warn(opened.error().text + "; what the stores said of recipients is not kept");
        break;
    }
    return nullptr;
}

std::vector<KnownRecipient> KnownRecipientsFile::load(std::size_t limit) {
    std::vector<KnownRecipient> all;
    impl_->attempt([&] {
        Statement select(*impl_->connection, std::string("SELECT ") + columns +
                                                 " FROM (SELECT * FROM known ORDER BY at DESC LIMIT ?1) ORDER BY at");
        select.bind(1, static_cast<std::int64_t>(limit));
        auto rows = select.rows();
        while (rows.step()) {
            if (auto recipient = recipient_of(select)) {
                all.push_back(std::move(*recipient));
            }
        }
    });
    return all;
}

void KnownRecipientsFile::write(const std::vector<KnownRecipient>& changes) {
    if (changes.empty()) {
        return;
    }
    impl_->attempt([&] {
        Connection& connection = *impl_->connection;
        Statement put(connection, std::string("INSERT OR REPLACE INTO known (") + columns +
                                      ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)");
        Statement forget(connection, "DELETE FROM known WHERE backend = ?1 AND address = ?2");
        connection.execute("BEGIN IMMEDIATE");
        for (const KnownRecipient& change : changes) {
            if (change.forgotten) {
                forget.bind(1, change.backend).bind(2, change.address).run();
                continue;
            }
            const std::string status = change.reply.status() ? change.reply.status()->to_string() : std::string();
            put.bind(1, change.backend)
                .bind(2, change.address)
                .bind(3, static_cast<std::int64_t>(change.knowledge))
                .bind(4, std::int64_t{change.reply.code()})
                .bind(5, status)
                .bind(6, change.reply.text())
                .bind(7, milliseconds_of(change.at))
                .bind(8, milliseconds_of(change.taken_at))
                .bind(9, milliseconds_of(change.contradicted_at))
                .run();
        }
        connection.execute("COMMIT");
    });
}

void KnownRecipientsFile::remove_older(Instant before) {
    impl_->attempt([&] {
        Statement remove(*impl_->connection, "DELETE FROM known WHERE at < ?1");
        remove.bind(1, milliseconds_of(before)).run();
    });
}

Result<std::optional<KnownRecipient>, std::string> read_known_recipient(const std::filesystem::path& queue,
                                                                        const std::string& backend,
                                                                        const std::string& address) {
    using Read = Result<std::optional<KnownRecipient>, std::string>;
    const std::filesystem::path path = known_recipients_path(queue);
    struct stat entry {};
    if (::stat(path.c_str(), &entry) != 0 && errno == ENOENT) {
        return Read(boost::system::in_place_value, std::nullopt);
    }
    try {
        Connection connection(path, OpenMode::read_only);
        sqlite3_busy_timeout(connection.handle(), wait_for_reader_milliseconds);
        Statement select(connection,
                         std::string("SELECT ") + columns + " FROM known WHERE backend = ?1 AND address = ?2");
        select.bind(1, backend).bind(2, address);
        auto rows = select.rows();
        return Read(boost::system::in_place_value, rows.step() ? recipient_of(select) : std::nullopt);
    } catch (const SqliteError& error) {
        return Read(boost::system::in_place_error, path.string() + ": " + error.what());
    }
}

}  // namespace postern::queue
