#include "gateway/control/detail/listening_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace postern::control::detail {
namespace {

constexpr mode_t socket_mode = 0660;
constexpr int backlog = 64;

std::string describe(const std::filesystem::path& path, std::string_view what) {
    return fmt::format("control socket {}: {}: {}", path.string(), what, std::generic_category().message(errno));
}

/// Removes what a gateway that died left behind. An error text when the place is taken.
Result<void, std::string> make_room(const std::filesystem::path& path) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) {
        if (errno == ENOENT) {
            return {};
        }
        return describe(path, "cannot be looked at");
    }
    if (!S_ISSOCK(found.st_mode)) {
        return fmt::format("control socket {}: something that is no socket is there", path.string());
    }
    const auto other = connect_unix(path);
    // A full backlog (EAGAIN) is somebody's as well.
    if (other || other.error().value() == EAGAIN) {
        return fmt::format("control socket {}: another process listens on it", path.string());
    }
    if (other.error().value() != ECONNREFUSED && other.error().value() != ENOENT) {
        return fmt::format("control socket {}: {}", path.string(), other.error().message());
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return describe(path, "the stale one cannot be removed");
    }
    return {};
}

}  // namespace

Result<ListeningSocket, std::string> ListeningSocket::open(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& name = path.native();
    if (name.empty() || name.size() >= sizeof(address.sun_path)) {
        return fmt::format("control socket {}: the path must have 1 to {} octets", path.string(),
                           sizeof(address.sun_path) - 1);
    }
    std::memcpy(address.sun_path, name.data(), name.size());
    const auto room = make_room(path);
    if (!room) {
        return room.error();
    }
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // The mode of the descriptor, less the umask, is that of the file: at no moment may more people connect than
    // should. Once it is there, chmod gives the group what the umask took. (Setting the umask instead would change
    // every thread's.)
    if (!socket || ::fchmod(socket.get(), socket_mode) != 0) {
        return describe(path, "cannot be made");
    }
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return describe(path, "cannot be bound");
    }
    struct stat made {};
    if (::chmod(path.c_str(), socket_mode) != 0 || ::lstat(path.c_str(), &made) != 0 ||
        ::listen(socket.get(), backlog) != 0) {
        std::string text = describe(path, "cannot be listened on");
        ::unlink(path.c_str());
        return text;
    }
    return ListeningSocket(std::move(socket), path, made.st_dev, made.st_ino);
}

ListeningSocket::~ListeningSocket() {
    struct stat found {};
    if (socket_ && ::lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) {
        ::unlink(path_.c_str());
    }
}

}  // namespace postern::control::detail
