#include "queue/detail/disk_reserve.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace postern::queue::detail {

FileReserve::FileReserve(const std::filesystem::path& queue, std::uint64_t octets)
    : file_(queue.string() + "-reserve"), octets_(octets) {}

void FileReserve::give_up() { ::unlink(file_.c_str()); }

bool FileReserve::restore() {
    if (octets_ == 0) {
        give_up();
        return true;
    }
    const int descriptor = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) {
        return false;
    }
    const auto size = static_cast<off_t>(octets_);
    struct stat now {};
    // An old one of another size is cut first, so that it is never larger than was asked for.
    const bool there = ::fstat(descriptor, &now) == 0 && (now.st_size <= size || ::ftruncate(descriptor, size) == 0) &&
                       ::posix_fallocate(descriptor, 0, size) == 0;
    ::close(descriptor);
    if (!there) {
        give_up();
    }
    return there;
}

}  // namespace postern::queue::detail
