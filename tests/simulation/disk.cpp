#include "disk.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace postern::simulation {

namespace {

constexpr std::size_t sector_size = 512;
constexpr const char* layer_name = "postern-simulation";

Disk* the_disk = nullptr;  // SQLite's file layers are global, so this is

/// What SQLite allocates for us: plain, made by placement.
struct OpenFile {
    sqlite3_file base;
    std::shared_ptr<DiskFile> file;
    int lock = SQLITE_LOCK_NONE;
    bool has_shm = false;
    std::uint8_t shm_shared = 0;
    std::uint8_t shm_exclusive = 0;
};

OpenFile& self(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }

void remember(DiskFile& file, std::size_t from, std::size_t to) {
    for (std::size_t sector = from / sector_size; sector * sector_size < to; ++sector) {
        auto& versions = file.unsynced[sector];
        const std::size_t at = sector * sector_size;
        versions.push_back(at < file.cache.size() ? file.cache.substr(at, sector_size) : std::string());
        if (versions.size() > 4) {
            versions.erase(versions.begin());
        }
    }
}

int result_of(Disk::Verdict verdict, int error) {
    switch (verdict) {
        case Disk::Verdict::go_on:
            return SQLITE_OK;
        case Disk::Verdict::full:
            return SQLITE_FULL;
        case Disk::Verdict::down:
        case Disk::Verdict::error:
            return error;
    }
    return error;
}

// ---- One file ----

int x_unlock(sqlite3_file* base, int level);
int x_shm_unmap(sqlite3_file* base, int);

int x_close(sqlite3_file* base) {
    x_unlock(base, SQLITE_LOCK_NONE);
    x_shm_unmap(base, 0);
    self(base).~OpenFile();
    return SQLITE_OK;
}

int x_read(sqlite3_file* base, void* out, int amount, sqlite3_int64 offset) {
    if (the_disk->is_down()) {
        return SQLITE_IOERR_READ;
    }
    const std::string& bytes = self(base).file->cache;
    const auto at = static_cast<std::size_t>(offset);
    const auto wanted = static_cast<std::size_t>(amount);
    const std::size_t there = at < bytes.size() ? std::min(wanted, bytes.size() - at) : 0;
    if (there > 0) {
        std::memcpy(out, bytes.data() + at, there);
    }
    if (there < wanted) {
        std::memset(static_cast<char*>(out) + there, 0, wanted - there);
        return SQLITE_IOERR_SHORT_READ;
    }
    return SQLITE_OK;
}

int x_write(sqlite3_file* base, const void* data, int amount, sqlite3_int64 offset) {
    const auto verdict = the_disk->step(true);
    DiskFile& file = *self(base).file;
    const auto at = static_cast<std::size_t>(offset);
    auto size = static_cast<std::size_t>(amount);
    if (verdict == Disk::Verdict::down && !the_disk->random.chance(50)) {
        return SQLITE_IOERR_WRITE;
    }
    if (verdict == Disk::Verdict::full && at + size <= file.cache.size()) {
        // Overwriting needs no room.
    } else if (verdict == Disk::Verdict::full || verdict == Disk::Verdict::error) {
        return result_of(verdict, SQLITE_IOERR_WRITE);
    }
    if (file.cache.size() < at + size) {
        file.cache.resize(at + size);
    }
    std::memcpy(file.cache.data() + at, data, size);
    remember(file, at, at + size);
    return verdict == Disk::Verdict::down ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

int x_truncate(sqlite3_file* base, sqlite3_int64 size) {
    const auto verdict = the_disk->step(false);
    if (verdict != Disk::Verdict::go_on) {
        return SQLITE_IOERR_TRUNCATE;
    }
    DiskFile& file = *self(base).file;
    const std::size_t before = file.cache.size();
    file.cache.resize(static_cast<std::size_t>(size));
    remember(file, static_cast<std::size_t>(size), before);
    return SQLITE_OK;
}

int x_sync(sqlite3_file* base, int) {
    const auto verdict = the_disk->step(false);
    DiskFile& file = *self(base).file;
    if (verdict == Disk::Verdict::down) {
        return SQLITE_IOERR_FSYNC;
    }
    if (verdict == Disk::Verdict::error) {
        for (auto& [sector, versions] : file.unsynced) {
            file.lost_in_sync[sector] = std::move(versions);
        }
        file.unsynced.clear();
        return SQLITE_IOERR_FSYNC;
    }
    file.safe.resize(file.cache.size());
    for (const auto& [sector, versions] : file.unsynced) {
        const std::size_t at = sector * sector_size;
        if (at < file.cache.size()) {
            file.cache.copy(file.safe.data() + at, sector_size, at);
        }
        file.lost_in_sync.erase(sector);
    }
    file.unsynced.clear();
    if (file.is_journal && !file.entry_is_safe) {
        the_disk->sync_directory();
    }
    return SQLITE_OK;
}

int x_file_size(sqlite3_file* base, sqlite3_int64* size) {
    if (the_disk->is_down()) {
        return SQLITE_IOERR_FSTAT;
    }
    *size = static_cast<sqlite3_int64>(self(base).file->cache.size());
    return SQLITE_OK;
}

int x_lock(sqlite3_file* base, int level) {
    OpenFile& open = self(base);
    DiskFile& file = *open.file;
    if (open.lock >= level) {
        return SQLITE_OK;
    }
    if (level == SQLITE_LOCK_SHARED) {
        if (file.pending || file.exclusive) {
            return SQLITE_BUSY;
        }
        ++file.shared;
    } else if (level == SQLITE_LOCK_RESERVED) {
        if (file.reserved) {
            return SQLITE_BUSY;
        }
        file.reserved = true;
    } else {
        if (file.pending && open.lock < SQLITE_LOCK_PENDING) {
            return SQLITE_BUSY;
        }
        file.pending = true;
        file.reserved = true;
        if (file.shared > 1) {
            open.lock = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
        file.exclusive = true;
    }
    open.lock = level;
    return SQLITE_OK;
}

int x_unlock(sqlite3_file* base, int level) {
    OpenFile& open = self(base);
    DiskFile& file = *open.file;
    if (open.lock <= level) {
        return SQLITE_OK;
    }
    if (open.lock >= SQLITE_LOCK_RESERVED) {
        file.reserved = false;
        file.pending = false;
        file.exclusive = false;
    }
    if (level == SQLITE_LOCK_NONE) {
        --file.shared;
    }
    open.lock = level;
    return SQLITE_OK;
}

int x_check_reserved(sqlite3_file* base, int* out) {
    *out = self(base).file->reserved ? 1 : 0;
    return SQLITE_OK;
}

int x_control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int x_sector_size(sqlite3_file*) { return static_cast<int>(sector_size); }
int x_characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

// ---- Shared memory ----

constexpr std::size_t shm_room = 64U * 32768U;

int x_shm_map(sqlite3_file* base, int region, int size, int extend, void volatile** out) {
    OpenFile& open = self(base);
    DiskFile& file = *open.file;
    *out = nullptr;
    if (the_disk->is_down()) {
        return SQLITE_IOERR_SHMMAP;
    }
    if (!open.has_shm) {
        if (file.shm_users++ == 0) {
            file.shm.clear();
            std::fill(std::begin(file.shm_shared), std::end(file.shm_shared), 0);
            std::fill(std::begin(file.shm_exclusive), std::end(file.shm_exclusive), false);
        }
        open.has_shm = true;
    }
    const std::size_t at = static_cast<std::size_t>(region) * static_cast<std::size_t>(size);
    if (at + static_cast<std::size_t>(size) > shm_room) {
        return SQLITE_NOMEM;
    }
    if (file.shm.size() < at + static_cast<std::size_t>(size)) {
        if (extend == 0) {
            return SQLITE_OK;
        }
        file.shm.reserve(shm_room);  // pointers into it must stay
        file.shm.resize(at + static_cast<std::size_t>(size));
    }
    *out = file.shm.data() + at;
    return SQLITE_OK;
}

int x_shm_lock(sqlite3_file* base, int first, int count, int flags) {
    OpenFile& open = self(base);
    DiskFile& file = *open.file;
    const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
    for (int i = first; i < first + count; ++i) {
        const auto bit = static_cast<std::uint8_t>(1U << static_cast<unsigned>(i));
        const bool mine = (open.shm_shared & bit) != 0;
        if ((flags & SQLITE_SHM_LOCK) == 0) {
            continue;
        }
        if (exclusive ? (file.shm_exclusive[i] || file.shm_shared[i] > (mine ? 1 : 0)) : file.shm_exclusive[i]) {
            return SQLITE_BUSY;
        }
    }
    for (int i = first; i < first + count; ++i) {
        const auto bit = static_cast<std::uint8_t>(1U << static_cast<unsigned>(i));
        const auto rest = static_cast<std::uint8_t>(~bit);
        if ((flags & SQLITE_SHM_UNLOCK) != 0) {
            if ((open.shm_shared & bit) != 0) {
                --file.shm_shared[i];
                open.shm_shared &= rest;
            }
            if ((open.shm_exclusive & bit) != 0) {
                file.shm_exclusive[i] = false;
                open.shm_exclusive &= rest;
            }
        } else if (exclusive) {
            file.shm_exclusive[i] = true;
            open.shm_exclusive |= bit;
        } else if ((open.shm_shared & bit) == 0) {
            ++file.shm_shared[i];
            open.shm_shared |= bit;
        }
    }
    return SQLITE_OK;
}

void x_shm_barrier(sqlite3_file*) {}

int x_shm_unmap(sqlite3_file* base, int) {
    OpenFile& open = self(base);
    if (open.has_shm) {
        x_shm_lock(base, 0, 8, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
        open.has_shm = false;
        --open.file->shm_users;
    }
    return SQLITE_OK;
}

constexpr sqlite3_io_methods methods = {
    2,           x_close,          x_read,    x_write,       x_truncate,        x_sync,    x_file_size, x_lock,
    x_unlock,    x_check_reserved, x_control, x_sector_size, x_characteristics, x_shm_map, x_shm_lock,  x_shm_barrier,
    x_shm_unmap, nullptr,          nullptr};

// ---- The layer ----

int x_open(sqlite3_vfs*, const char* name, sqlite3_file* base, int flags, int* out_flags) {
    base->pMethods = nullptr;
    if (the_disk->is_down()) {
        return SQLITE_CANTOPEN;
    }
    auto file = name != nullptr ? the_disk->find(name) : std::make_shared<DiskFile>();
    if (!file) {
        if ((flags & SQLITE_OPEN_CREATE) == 0) {
            return SQLITE_CANTOPEN;
        }
        file = the_disk->create(name);
        file->is_journal = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    }
    auto* const open = new (base) OpenFile();
    open->base.pMethods = &methods;
    open->file = std::move(file);
    if (out_flags != nullptr) {
        *out_flags = flags;
    }
    return SQLITE_OK;
}

int x_delete(sqlite3_vfs*, const char* name, int sync_directory) {
    if (the_disk->step(false) != Disk::Verdict::go_on) {
        return SQLITE_IOERR_DELETE;
    }
    if (!the_disk->find(name)) {
        return SQLITE_IOERR_DELETE_NOENT;
    }
    the_disk->remove(name);
    if (sync_directory != 0) {
        the_disk->sync_directory();
    }
    return SQLITE_OK;
}

int x_access(sqlite3_vfs*, const char* name, int, int* out) {
    const auto file = the_disk->find(name);
    *out = file && !file->cache.empty() ? 1 : 0;
    return SQLITE_OK;
}

int x_full_pathname(sqlite3_vfs*, const char* name, int size, char* out) {
    std::strncpy(out, name, static_cast<std::size_t>(size) - 1);
    out[size - 1] = '\0';
    return SQLITE_OK;
}

int x_randomness(sqlite3_vfs*, int size, char* out) {
    for (int i = 0; i < size; ++i) {
        out[i] = static_cast<char>(the_disk->random.next());
    }
    return size;
}

int x_sleep(sqlite3_vfs*, int microseconds) { return microseconds; }

int x_current_time(sqlite3_vfs*, double* out) {
    *out = 2461000.5;
    return SQLITE_OK;
}

int x_current_time_64(sqlite3_vfs*, sqlite3_int64* out) {
    *out = 212630400000000;
    return SQLITE_OK;
}

int x_last_error(sqlite3_vfs*, int, char*) { return 0; }

sqlite3_vfs layer = {2,       sizeof(OpenFile), 512,          nullptr,           layer_name,
                     nullptr, x_open,           x_delete,     x_access,          x_full_pathname,
                     nullptr, nullptr,          nullptr,      nullptr,           x_randomness,
                     x_sleep, x_current_time,   x_last_error, x_current_time_64, nullptr,
                     nullptr, nullptr};

}  // namespace

Disk::Disk(std::uint64_t seed) : random(seed) {
    the_disk = this;
    sqlite3_vfs_register(&layer, 1);
    sqlite3_randomness(0, nullptr);  // SQLite's own generator begins anew, from ours
}

Disk::~Disk() {
    sqlite3_vfs_unregister(&layer);
    the_disk = nullptr;
}

Disk::Verdict Disk::step(bool is_write) {
    if (down_) {
        return Verdict::down;
    }
    ++steps_;
    if (steps_to_failure_ > 0 && --steps_to_failure_ == 0) {
        down_ = true;
        return Verdict::down;
    }
    if (is_write && is_full) {
        return Verdict::full;
    }
    const double failing = is_write ? write_failures : sync_failures;
    if (failing > 0 && random.chance(failing)) {
        ++failures_;
        return Verdict::error;
    }
    return Verdict::go_on;
}

std::shared_ptr<DiskFile> Disk::find(const std::string& name) {
    const auto found = files_.find(name);
    return found == files_.end() ? nullptr : found->second;
}

std::shared_ptr<DiskFile> Disk::create(const std::string& name) { return files_[name] = std::make_shared<DiskFile>(); }

void Disk::remove(const std::string& name) {
    const auto found = files_.find(name);
    if (found != files_.end()) {
        if (found->second->entry_is_safe) {
            removed_[name] = found->second;
        }
        files_.erase(found);
    }
}

void Disk::sync_directory() {
    for (auto& [name, file] : files_) {
        file->entry_is_safe = true;
    }
    removed_.clear();
}

void Disk::restart(bool power_cut) {
    down_ = false;
    steps_to_failure_ = 0;
    for (auto& [name, file] : removed_) {
        if (power_cut && files_.count(name) == 0 && random.chance(50)) {
            files_[name] = file;
        }
    }
    removed_.clear();
    for (auto at = files_.begin(); at != files_.end();) {
        DiskFile& file = *at->second;
        if (power_cut) {
            if (!file.entry_is_safe && random.chance(50)) {
                at = files_.erase(at);
                continue;
            }
            std::string after = file.safe;
            // A file that had grown or shrunk has one of its sizes.
            if (random.chance(50)) {
                after.resize(file.cache.size());
            }
            for (const auto* pending : {&file.lost_in_sync, &file.unsynced}) {
                for (const auto& [sector, versions] : *pending) {
                    const std::size_t start = sector * sector_size;
                    const std::uint64_t which = random.below(versions.size() + 1);
                    if (which == versions.size()) {
                        continue;  // the old one
                    }
                    const std::string& version = versions[which];
                    const std::size_t kept = random.chance(10) ? random.below(version.size() + 1) : version.size();
                    if (kept > 0 && after.size() < start + kept) {
                        after.resize(start + kept);
                    }
                    version.copy(after.data() + start, kept);
                }
            }
            file.cache = after;
            file.safe = std::move(after);
            file.unsynced.clear();
            file.lost_in_sync.clear();
        }
        file.entry_is_safe = true;
        file.shm_users = 0;
        file.shared = 0;
        file.reserved = file.pending = file.exclusive = false;
        ++at;
    }
}

}  // namespace postern::simulation
