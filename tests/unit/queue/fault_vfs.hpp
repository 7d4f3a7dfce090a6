// A file layer for SQLite that fails on demand: the n-th operation of a kind, once or from then on. It stands on the
// usual one. Flushes are counted and may fail, but reach no disk: what a power cut does is not its subject.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cstdint>
#include <cstring>

namespace postern::queue::testing_faults {

/// Bits.
enum Operation : unsigned {
    write_operation = 1,
    sync_operation = 2,
    truncate_operation = 4,
    open_operation = 8,
    read_operation = 16
};

/// What to do. One for the whole process, as the layer is.
struct Plan {
    std::atomic<unsigned> operations{0};  ///< of which kinds
    std::atomic<int> countdown{0};        ///< the operation that brings it to 0 fails; 0: none does
    std::atomic<bool> persistent{false};  ///< and all after it
    std::atomic<bool> no_space{false};    ///< ENOSPC instead of EIO, where that can be
    std::atomic<int> fired{0};

    void arm(unsigned kinds, int nth, bool stays, bool full) {
        fired = 0;
        persistent = stays;
        no_space = full;
        operations = kinds;
        countdown = nth;
    }
    void disarm() { countdown = 0; }
    [[nodiscard]] bool fails(Operation operation) {
        if ((operations & operation) == 0) {
            return false;
        }
        int left = countdown.load();
        while (left > 0) {
            const int after = left == 1 && persistent ? 1 : left - 1;
            if (countdown.compare_exchange_weak(left, after)) {
                fired += left == 1 ? 1 : 0;
                return left == 1;
            }
        }
        return false;
    }
};

inline Plan plan;

struct File {
    sqlite3_file base;
    sqlite3_file* real;  ///< lies behind it
};

inline sqlite3_vfs* real_vfs() { return static_cast<sqlite3_vfs*>(sqlite3_vfs_find("unix")); }
inline sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real; }

inline int file_close(sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); }
inline int file_read(sqlite3_file* file, void* to, int count, sqlite3_int64 at) {
    return plan.fails(read_operation) ? SQLITE_IOERR_READ : real(file)->pMethods->xRead(real(file), to, count, at);
}
inline int file_write(sqlite3_file* file, const void* from, int count, sqlite3_int64 at) {
    if (plan.fails(write_operation)) {
        if (plan.no_space) {
            return SQLITE_FULL;
        }
        // Half of it gets there.
        real(file)->pMethods->xWrite(real(file), from, count / 2, at);
        return SQLITE_IOERR_WRITE;
    }
    return real(file)->pMethods->xWrite(real(file), from, count, at);
}
inline int file_truncate(sqlite3_file* file, sqlite3_int64 size) {
    return plan.fails(truncate_operation) ? SQLITE_IOERR_TRUNCATE : real(file)->pMethods->xTruncate(real(file), size);
}
inline int file_sync(sqlite3_file*, int) { return plan.fails(sync_operation) ? SQLITE_IOERR_FSYNC : SQLITE_OK; }
inline int file_size(sqlite3_file* file, sqlite3_int64* size) {
    return real(file)->pMethods->xFileSize(real(file), size);
}
inline int file_lock(sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); }
inline int file_unlock(sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }
inline int file_check_lock(sqlite3_file* file, int* out) {
    return real(file)->pMethods->xCheckReservedLock(real(file), out);
}
inline int file_control(sqlite3_file* file, int op, void* argument) {
    return real(file)->pMethods->xFileControl(real(file), op, argument);
}
inline int file_sector(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
inline int file_traits(sqlite3_file* file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }
inline int file_shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** to) {
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, to);
}
inline int file_shm_lock(sqlite3_file* file, int at, int count, int flags) {
    return real(file)->pMethods->xShmLock(real(file), at, count, flags);
}
inline void file_shm_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
inline int file_shm_unmap(sqlite3_file* file, int remove) {
    return real(file)->pMethods->xShmUnmap(real(file), remove);
}

inline constexpr sqlite3_io_methods methods = {
    2,           file_close,   file_read,     file_write,       file_truncate,  file_sync,
    file_size,   file_lock,    file_unlock,   file_check_lock,  file_control,   file_sector,
    file_traits, file_shm_map, file_shm_lock, file_shm_barrier, file_shm_unmap, nullptr,
    nullptr};

inline int vfs_open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out) {
    auto* made = reinterpret_cast<File*>(file);
    made->base.pMethods = nullptr;
    if (plan.fails(open_operation)) {
        return SQLITE_CANTOPEN;
    }
    made->real = reinterpret_cast<sqlite3_file*>(made + 1);
    std::memset(made->real, 0, static_cast<std::size_t>(real_vfs()->szOsFile));
    const int code = real_vfs()->xOpen(real_vfs(), name, made->real, flags, out);
    if (made->real->pMethods != nullptr) {
        made->base.pMethods = &methods;
    }
    return code;
}

/// The name of the layer, for SqliteStoreOptions::vfs; registers it the first time.
inline const char* name() {
    static sqlite3_vfs vfs = [] {
        sqlite3_vfs made = *real_vfs();
        made.zName = "faults";
        made.szOsFile = static_cast<int>(sizeof(File)) + real_vfs()->szOsFile;
        made.pNext = nullptr;
        made.xOpen = vfs_open;
        return made;
    }();
    static const int registered = sqlite3_vfs_register(&vfs, 0);
    static_cast<void>(registered);
    return vfs.zName;
}

}  // namespace postern::queue::testing_faults
