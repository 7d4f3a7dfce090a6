#include "queue/detail/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

namespace postern::queue::detail {

namespace {

OpenError error_of(OpenError::Kind kind, std::string text, long pid = 0) {
    OpenError error;
    error.kind = kind;
    error.text = std::move(text);
    error.pid = pid;
    return error;
}

long read_pid(int descriptor) {
    char text[32] = {};
    const ssize_t count = ::pread(descriptor, text, sizeof text - 1, 0);
    return count > 0 ? std::strtol(text, nullptr, 10) : 0;
}

}  // namespace

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock::~FileLock() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

Result<FileLock, OpenError> FileLock::take(const std::filesystem::path& queue) {
    const std::string path = queue.string() + "-lock";
    FileLock lock;
    lock.descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock.descriptor_ < 0) {
        const int code = errno;
        const auto kind = code == ELOOP || code == EPERM ? OpenError::Kind::refused : OpenError::Kind::io;
        return error_of(kind, "cannot open " + path + " as user " + std::to_string(::geteuid()) + ": " +
                                  std::generic_category().message(code));
    }
    if (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
        const long pid = read_pid(lock.descriptor_);
        return error_of(OpenError::Kind::in_use,
                        "the queue " + queue.string() + " is in use by process " + std::to_string(pid) +
                            "; stop it first, or use its control socket",
                        pid);
    }
    const std::string pid = std::to_string(::getpid()) + '\n';
    if (::ftruncate(lock.descriptor_, 0) != 0 ||
        ::pwrite(lock.descriptor_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        // The lock holds all the same; only its owner's number is missing. A full disk must not keep the queue shut.
        return lock;
    }
    return lock;
}

}  // namespace postern::queue::detail
