#include "queue/detail/place_watch.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace postern::queue::detail {

PlaceWatch::PlaceWatch(std::filesystem::path file) : file_(std::move(file)), log_(file_.string() + "-wal") {}

void PlaceWatch::opened(const Connection& connection) {
    int moved = 0;
    const int code = sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    file_opened_.reset();
    log_opened_.reset();
    if (code != SQLITE_OK) {
        return;
    }
    // What has moved already is nobody's: no file has this number.
    file_opened_ = moved != 0 ? Identity() : at(file_).value_or(Identity());
    log_opened_ = at(log_).value_or(Identity());
}

std::string PlaceWatch::problem() const {
    std::string wrong = problem_of_file();
    return wrong.empty() ? compare(log_, log_opened_) : wrong;
}

std::string PlaceWatch::problem_of_file() const { return compare(file_, file_opened_); }

std::optional<PlaceWatch::Identity> PlaceWatch::at(const std::filesystem::path& path) {
    struct stat entry {};
    if (::lstat(path.c_str(), &entry) != 0) {
        return std::nullopt;
    }
    return Identity{entry.st_dev, entry.st_ino};
}

std::string PlaceWatch::compare(const std::filesystem::path& path, const std::optional<Identity>& opened) const {
    if (!opened) {
        return {};
    }
    const auto there = at(path);
    if (there && there->device == opened->device && there->inode == opened->inode) {
        return {};
    }
    std::string what = " is another file than the one in use";
    if (!there) {
        const int error = errno;
        what = error == ENOENT ? " was moved away or deleted"
                               : " cannot be seen in its place (" + std::generic_category().message(error) + ")";
    }
    return path.string() + what +
           ": nothing new is taken in until the file in use is back (mv; a copy is another file). What is in it "
           "goes on being delivered; if it was deleted, do not stop the gateway before the queue is empty";
}

}  // namespace postern::queue::detail
