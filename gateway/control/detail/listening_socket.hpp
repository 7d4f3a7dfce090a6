// The control socket in the file system: made with mode 0660, removed at the end. Threads: none of its own.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "gateway/control/detail/socket_stream.hpp"

namespace postern::control::detail {

class ListeningSocket {
public:
    /// Binds and listens. A socket file on which nobody listens is replaced; a live one, or a file of another kind, is
    /// left alone and an error, in words.
    [[nodiscard]] static Result<ListeningSocket, std::string> open(const std::filesystem::path& path);

    ListeningSocket(ListeningSocket&&) noexcept = default;
    ListeningSocket& operator=(ListeningSocket&&) = delete;
    ~ListeningSocket();

    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

private:
    ListeningSocket(Descriptor socket, std::filesystem::path path, dev_t device, ino_t inode)
        : socket_(std::move(socket)), path_(std::move(path)), device_(device), inode_(inode) {}

    Descriptor socket_;
    std::filesystem::path path_;
    dev_t device_;  ///< of the file that we made: nobody else's is removed
    ino_t inode_;
};

}  // namespace postern::control::detail
