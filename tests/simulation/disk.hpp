// A disk in memory below SQLite, which can lose power. Registers itself as SQLite's default file layer, so that the
// real store, reader and history run on it without knowing.
//
// What it models: a write is in the page cache until its file is synced; reads see it at once. When power fails, each
// 512-octet sector that was written since the last sync holds any of the versions it had since then, independent of its
// neighbours (lost, kept, reordered), or is torn: the front of one version and the rest of another. A file whose
// directory entry was not synced may be gone, a truncation undone. A process that is killed loses nothing of the page
// cache. Power can be set to fail at the n-th write or sync from now, in the midst of whatever SQLite does then: from
// that moment on every call fails, as nothing the dying process does counts any more.
// A sync can fail: what it should have made safe then stays in the cache, is marked clean, and no later sync writes it
// (as ext4 and XFS do). The disk can be full.
// Shared memory (-shm) survives a kill as it is and a power cut as zeros or rubbish; the first connection clears it, as
// SQLite's own layer for Unix does under its lock.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "random.hpp"

namespace postern::simulation {

/// One file. Public for the file layer in disk.cpp.
struct DiskFile {
    std::string cache;  ///< what reads see
    std::string safe;   ///< what is on the platter
    /// The versions that a sector had since the last sync, oldest first; their lengths end at the file's end.
    std::map<std::size_t, std::vector<std::string>> unsynced;
    std::map<std::size_t, std::vector<std::string>> lost_in_sync;  ///< marked clean by a sync that failed
    bool entry_is_safe = false;
    bool is_journal = false;
    std::string shm;
    int shm_users = 0;
    int shm_shared[8] = {};
    bool shm_exclusive[8] = {};
    int shared = 0;
    bool reserved = false;
    bool pending = false;
    bool exclusive = false;
};

class Disk {
public:
    /// Becomes SQLite's default file layer until it is destroyed. One at a time.
    explicit Disk(std::uint64_t seed);
    ~Disk();
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    /// Power fails at the `steps`-th write, truncation or sync from now.
    void fail_power_in(std::uint64_t steps) { steps_to_failure_ = steps; }
    void fail_power_never() { steps_to_failure_ = 0; }
    /// Power is off, or the process was killed: every call fails until restart().
    [[nodiscard]] bool is_down() const noexcept { return down_; }
    void go_down() { down_ = true; }
    /// After everything that had files open is gone. `power_cut`: what was not synced is lost, kept or torn; else the
    /// process alone was killed.
    void restart(bool power_cut);

    /// Percentages of syncs and writes that fail.
    double sync_failures = 0;
    double write_failures = 0;
    bool is_full = false;

    [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
    [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }

    // For the file layer:
    enum class Verdict : std::uint8_t { go_on, down, full, error };
    [[nodiscard]] Verdict step(bool is_write);
    [[nodiscard]] std::shared_ptr<DiskFile> find(const std::string& name);
    [[nodiscard]] std::shared_ptr<DiskFile> create(const std::string& name);
    void remove(const std::string& name);
    void sync_directory();
    Random random;

private:
    std::map<std::string, std::shared_ptr<DiskFile>> files_;
    std::map<std::string, std::shared_ptr<DiskFile>> removed_;  ///< since the directory was synced
    std::uint64_t steps_ = 0;
    std::uint64_t failures_ = 0;
    std::uint64_t steps_to_failure_ = 0;
    bool down_ = false;
};

}  // namespace postern::simulation
