#include "gateway/main/privileges.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "gateway/sandbox/capabilities.hpp"

namespace postern::gateway {

namespace {

constexpr mode_t folder_mode = 0750;  // the group may pass: to reach a control socket is a right that it has

class Folder {
public:
    explicit Folder(int descriptor) : descriptor_(descriptor) {}
    ~Folder() { close(); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    void replace(int descriptor) {
        close();
        descriptor_ = descriptor;
    }
    [[nodiscard]] int get() const { return descriptor_; }

private:
    void close() const {
        if (descriptor_ >= 0) {
            ::close(descriptor_);
        }
    }
    int descriptor_;
};

/// Nobody but root puts anything there.
bool is_roots_alone(int folder) {
    struct stat entry {};
    return ::fstat(folder, &entry) == 0 && entry.st_uid == 0 && (entry.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/// Makes what is missing of the way to `folder`, all of it the user's: he must pass through. From folder to folder by
/// descriptors, and never through a link where it has just made a folder, nor through one that somebody else may have
/// made: root must not give away what was put in its place, nor make folders where another points. What cannot be made
/// is left to whoever opens a file there, to say so by its name.
std::optional<std::string> make_folders(const std::filesystem::path& folder, uid_t user, gid_t group) {
    Folder at(::open(folder.is_absolute() ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (const std::filesystem::path& part : folder.relative_path()) {
        if (part.empty() || at.get() < 0) {
            continue;
        }
        const bool made = ::mkdirat(at.get(), part.c_str(), 0700) == 0;
        const int how = (made ? O_RDONLY : O_PATH) | (made || !is_roots_alone(at.get()) ? O_NOFOLLOW : 0);
        const int next = ::openat(at.get(), part.c_str(), how | O_DIRECTORY | O_CLOEXEC);
        if (made && (next < 0 || ::fchown(next, user, group) != 0 || ::fchmod(next, folder_mode) != 0)) {
            std::string error = folder.string() + ": " + std::generic_category().message(errno);
            at.replace(next);
            return error;
        }
        at.replace(next);
    }
    return std::nullopt;
}

std::optional<std::string> change_user(const std::string& user, const std::vector<std::filesystem::path>& folders) {
    std::string buffer(1 << 16, '\0');
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
        return "user `" + user + "` does not exist on this machine; create it, or change `user` in the configuration";
    }
    for (const auto& folder : folders) {
        if (auto error = make_folders(folder, entry.pw_uid, entry.pw_gid)) {
            return error;
        }
    }
    if (::initgroups(user.c_str(), entry.pw_gid) != 0 || ::setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid) != 0 ||
        ::setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid) != 0) {
        return "cannot become user `" + user + "`: " + std::generic_category().message(errno);
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> become_user(const std::string& user, const std::vector<std::filesystem::path>& folders) {
    sandbox::empty_bounding_set();
    if (!user.empty() && ::geteuid() == 0) {
        if (auto error = change_user(user, folders)) {
            return error;
        }
    }
    return sandbox::give_up_capabilities();
}

}  // namespace postern::gateway
