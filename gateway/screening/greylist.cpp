#include "gateway/screening/greylist.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

namespace postern::screening {

namespace {

constexpr std::chrono::minutes save_interval{1};

std::uint64_t new_seed() {
    std::random_device random;
    return static_cast<std::uint64_t>(random()) << 32 | random();
}

/// nullopt: no file that can be read.
std::optional<std::string> read_all(int descriptor) {
    struct stat entry {};
    if (descriptor < 0 || ::fstat(descriptor, &entry) != 0 || !S_ISREG(entry.st_mode)) {
        return std::nullopt;
    }
    std::string octets(static_cast<std::size_t>(entry.st_size), '\0');
    std::size_t size = 0;
    while (size < octets.size()) {
        const ssize_t count = ::read(descriptor, octets.data() + size, octets.size() - size);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return std::nullopt;
        }
        size += static_cast<std::size_t>(count);
    }
    return octets;
}

Triplets read_file(const std::filesystem::path& file, const Greylist::Problem& on_problem) {
    // Neither through a link nor waiting for a pipe's other end: somebody else may have put it there.
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0 && errno == ENOENT) {
        return Triplets(new_seed());
    }
    const auto octets = read_all(descriptor);
    if (descriptor >= 0) {
        ::close(descriptor);
    }
    auto read = octets ? Triplets::read(*octets) : std::nullopt;
    if (!read) {
        on_problem("greylist: " + file.string() + " cannot be read; it begins anew");
        return Triplets(new_seed());
    }
    return std::move(*read);
}

bool write_all(int descriptor, std::string_view octets) {
    while (!octets.empty()) {
        const ssize_t count = ::write(descriptor, octets.data(), octets.size());
        if (count < 0 && errno != EINTR) {
            return false;
        }
        octets.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
    }
    return true;
}

/// As a new file that takes the old one's place, so that a crash leaves one of them whole. An errno, or 0.
int write_file(const std::filesystem::path& file, std::string_view octets) {
    const std::string beside = file.string() + "-new";
    ::unlink(beside.c_str());  // what a crash left, or somebody else put there
    const int descriptor = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) {
        return errno;
    }
    int error = write_all(descriptor, octets) && ::fsync(descriptor) == 0 ? 0 : errno;
    if (::close(descriptor) != 0 && error == 0) {
        error = errno;
    }
    if (error == 0 && ::rename(beside.c_str(), file.c_str()) != 0) {
        error = errno;
    }
    if (error != 0) {
        ::unlink(beside.c_str());
    }
    return error;
}

}  // namespace

Greylist::Greylist(std::filesystem::path file, const queue::Clock& clock, Problem on_problem)
    : file_(std::move(file)),
      clock_(clock),
      on_problem_(std::move(on_problem)),
      triplets_(read_file(file_, on_problem_)),
      thread_([this] { run(); }) {}

Greylist::~Greylist() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
    save();
}

std::optional<queue::Duration> Greylist::ask(std::string_view client, std::string_view sender,
                                             std::string_view recipient, const GreylistRules& rules) {
    const queue::Instant now = clock_.wall();
    const std::lock_guard lock(mutex_);
    const auto wait = triplets_.ask(triplets_.key_of(client, sender, recipient), now, rules);
    changed_ = true;
    if (triplets_.is_full() && !told_full_) {
        on_problem_("greylist: it is full (" + std::to_string(triplets_.size()) +
                    " entries): who is new is not asked to wait; see `screening.greylist.maximum`");
    }
    told_full_ = triplets_.is_full();
    return wait;
}

void Greylist::run() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, save_interval, [this] { return stopping_; })) {
        lock.unlock();
        save();
        lock.lock();
    }
}

void Greylist::save() {
    std::string octets;
    {
        const std::lock_guard lock(mutex_);
        if (!std::exchange(changed_, false)) {
            return;
        }
        octets = triplets_.write();
    }
    if (const int error = write_file(file_, octets); error != 0) {
        on_problem_("greylist: " + file_.string() + " cannot be written: " + std::generic_category().message(error));
    }
}

}  // namespace postern::screening
