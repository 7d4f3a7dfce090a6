#include "queue/detail/database_file.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "queue/detail/schema.hpp"

namespace postern::queue::detail {

namespace {

constexpr long cifs_magic = 0xFF534D42;  // not in linux/magic.h

OpenError refusal(OpenError::Kind kind, std::string text) {
    OpenError error;
    error.kind = kind;
    error.text = std::move(text);
    return error;
}

bool is_network_file_system(long type) {
    return type == NFS_SUPER_MAGIC || type == SMB_SUPER_MAGIC || type == SMB2_SUPER_MAGIC || type == cifs_magic ||
           type == V9FS_MAGIC || type == AFS_FS_MAGIC || type == CEPH_SUPER_MAGIC;
}

std::optional<OpenError> wrong_schema(SchemaState state, const std::filesystem::path& file) {
    if (state == SchemaState::newer) {
        return refusal(
            OpenError::Kind::newer_schema,
            file.string() + " was written by a newer version of postern; run that version, or restore an older file");
    }
    if (state == SchemaState::foreign) {
        return refusal(OpenError::Kind::damaged,
                       file.string() + " is a database, but not a queue of postern; is `queue.path` right?");
    }
    return std::nullopt;
}

/// Made before SQLite makes it, so that no moment has wider permissions; -wal and -shm take the file's over.
void create_private(const std::filesystem::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor >= 0) {
        ::close(descriptor);
    }
}

}  // namespace

std::filesystem::path history_path(const std::filesystem::path& queue) { return queue.string() + "-history"; }

std::optional<OpenError> check_place(const std::filesystem::path& file) {
    struct stat entry {};
    if (::lstat(file.c_str(), &entry) == 0 && !S_ISREG(entry.st_mode)) {
        return refusal(OpenError::Kind::refused, file.string() + " is not a plain file; the queue follows no links");
    }
    struct statfs system {};
    const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
    if (::statfs(folder.c_str(), &system) != 0) {
        return refusal(OpenError::Kind::io,
                       "cannot use the folder " + folder.string() + ": " + std::generic_category().message(errno));
    }
    if (is_network_file_system(static_cast<long>(system.f_type))) {
        return refusal(
            OpenError::Kind::refused,
            folder.string() + " is on a network file system, where a queue cannot be kept safe; use a local disk");
    }
    return std::nullopt;
}

Result<std::unique_ptr<Connection>, OpenError> open_queue_file(const std::filesystem::path& file, const char* vfs) {
    create_private(file);
    auto connection = std::make_unique<Connection>(file, OpenMode::create, vfs);
    connection->execute("PRAGMA locking_mode=NORMAL");
    connection->execute("PRAGMA page_size=4096");
    if (auto wrong = wrong_schema(queue_schema_state(*connection), file)) {
        return *wrong;
    }
    if (connection->query_text("PRAGMA journal_mode=WAL") != "wal") {
        return refusal(OpenError::Kind::refused, file.string() + ": the file system cannot keep a write-ahead log");
    }
    // secure_delete is on in Debian's build: it would write every page of a message that is gone once more.
    connection->execute(
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA mmap_size=0; PRAGMA secure_delete=OFF; "
        "PRAGMA cache_size=-16384; PRAGMA foreign_keys=OFF; PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=-1; "
        "PRAGMA trusted_schema=OFF");
    migrate_queue(*connection);
    connection->execute(
        "BEGIN IMMEDIATE; DELETE FROM chunk WHERE message IN (SELECT message FROM incoming); DELETE FROM incoming; "
        "COMMIT");
    return connection;
}

Result<std::unique_ptr<Connection>, OpenError> open_history_file(const std::filesystem::path& file) {
    create_private(file);
    auto connection = std::make_unique<Connection>(file, OpenMode::create);
    if (auto wrong = wrong_schema(history_schema_state(*connection), file)) {
        return *wrong;
    }
    (void)connection->query_text("PRAGMA journal_mode=WAL");
    connection->execute(
        "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=4096; PRAGMA mmap_size=0; PRAGMA secure_delete=OFF; "
        "PRAGMA cache_size=-4096; PRAGMA trusted_schema=OFF");
    migrate_history(*connection);
    return connection;
}

OpenError open_error(const SqliteError& error, const std::filesystem::path& file) {
    const auto kind = error.is_corrupt() ? OpenError::Kind::damaged : OpenError::Kind::io;
    std::string text = file.string() + ": " + error.what();
    if (kind == OpenError::Kind::damaged) {
        text += "; move the file away for repair (its messages are in it), or restore a backup";
    }
    return refusal(kind, std::move(text));
}

}  // namespace postern::queue::detail
