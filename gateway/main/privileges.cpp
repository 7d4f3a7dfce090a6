#include "gateway/main/privileges.hpp"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace postern::gateway {

std::optional<std::string> become_user(const std::string& user, const std::vector<std::filesystem::path>& folders) {
    if (user.empty() || ::geteuid() != 0) {
        return std::nullopt;
    }
    std::string buffer(1 << 16, '\0');
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
        return "user `" + user + "` does not exist on this machine; create it, or change `user` in the configuration";
    }
    for (const auto& folder : folders) {
        std::error_code error;
        if (!folder.empty() && std::filesystem::create_directories(folder, error) &&
            ::chown(folder.c_str(), entry.pw_uid, entry.pw_gid) != 0) {
            return folder.string() + ": " + std::generic_category().message(errno);
        }
    }
    if (::initgroups(user.c_str(), entry.pw_gid) != 0 || ::setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid) != 0 ||
        ::setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid) != 0) {
        return "cannot become user `" + user + "`: " + std::generic_category().message(errno);
    }
    return std::nullopt;
}

}  // namespace postern::gateway
