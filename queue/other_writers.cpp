#include "queue/other_writers.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <string>

namespace postern::queue {

namespace {

bool opened_for_writing(const std::filesystem::path& process, const std::string& descriptor) {
    std::ifstream info(process / "fdinfo" / descriptor);
    for (std::string word; info >> word;) {
        if (word == "flags:" && info >> word) {
            return (std::strtol(word.c_str(), nullptr, 8) & O_ACCMODE) != O_RDONLY;
        }
    }
    return false;
}

bool writes(const std::filesystem::path& process, const std::filesystem::path& file) {
    std::error_code error;
    std::filesystem::directory_iterator descriptors(process / "fd", error);
    for (; !error && descriptors != std::filesystem::directory_iterator(); descriptors.increment(error)) {
        std::error_code gone;
        if (std::filesystem::read_symlink(descriptors->path(), gone) == file &&
            opened_for_writing(process, descriptors->path().filename())) {
            return true;
        }
    }
    return false;
}

}  // namespace

bool has_wal_reset_bug(int version_number) {
    const bool mended_series = (version_number >= 3'044'006 && version_number < 3'045'000) ||
                               (version_number >= 3'050'007 && version_number < 3'051'000);
    return version_number >= 3'007'000 && version_number < 3'051'003 && !mended_series;
}

std::vector<long> other_writers(const std::filesystem::path& queue) {
    std::error_code error;
    const auto file = std::filesystem::canonical(queue, error);
    std::vector<long> pids;
    if (error) {
        return pids;
    }
    long owner = 0;
    std::ifstream(file.string() + "-lock") >> owner;
    std::filesystem::directory_iterator processes("/proc", error);
    for (; !error && processes != std::filesystem::directory_iterator(); processes.increment(error)) {
        const std::string name = processes->path().filename();
        long pid = 0;
        const auto read = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (read.ec == std::errc() && read.ptr == name.data() + name.size() && pid != owner && pid != ::getpid() &&
            writes(processes->path(), file)) {
            pids.push_back(pid);
        }
    }
    std::sort(pids.begin(), pids.end());
    return pids;
}

}  // namespace postern::queue
