// Whether the queue's file and its write-ahead log are still the ones at their paths. A program goes on writing into a
// file that was deleted or moved from under it without any error; but the next start would not find what it wrote.
//
// Only where SQLite's file layer keeps files at their paths (it says so itself): one that tests have made up may not.
//
// Threads: the writer's.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "queue/detail/sqlite.hpp"

namespace postern::queue::detail {

class PlaceWatch {
public:
    explicit PlaceWatch(std::filesystem::path file);

    /// `connection` has just opened the file, and its log with it: from now on these are the right ones.
    void opened(const Connection& connection);

    /// Empty, or what happened, to which file, and what to do. Two calls of lstat.
    [[nodiscard]] std::string problem() const;
    /// The same of the file without its log, which whoever looks into a closed queue may have moved into the file.
    [[nodiscard]] std::string problem_of_file() const;

private:
    struct Identity {
        dev_t device = 0;
        ino_t inode = 0;
    };
    /// nullopt: errno says why.
    [[nodiscard]] static std::optional<Identity> at(const std::filesystem::path& path);
    [[nodiscard]] std::string compare(const std::filesystem::path& path, const std::optional<Identity>& opened) const;

    std::filesystem::path file_;
    std::filesystem::path log_;
    std::optional<Identity> file_opened_;  // nullopt: not watched
    std::optional<Identity> log_opened_;
};

}  // namespace postern::queue::detail
