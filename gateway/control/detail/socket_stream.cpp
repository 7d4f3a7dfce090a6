#include "gateway/control/detail/socket_stream.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <boost/asio/error.hpp>

namespace postern::control::detail {
namespace {

boost::system::error_code last_error() { return {errno, boost::system::system_category()}; }

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
}

Descriptor::~Descriptor() {
    if (number_ >= 0) {
        ::close(number_);
    }
}

Result<Descriptor, boost::system::error_code> connect_unix(const std::filesystem::path& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& name = path.native();
    if (name.size() >= sizeof(address.sun_path)) {
        return boost::system::error_code(ENAMETOOLONG, boost::system::system_category());
    }
    std::memcpy(address.sun_path, name.data(), name.size());
    // A gateway that is stuck has a full backlog: that has to end as an error (EAGAIN), not as a command that hangs.
    const timeval patience{10, 0};
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) != 0 ||
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return last_error();
    }
    return socket;
}

boost::system::error_code SocketStream::wait(short events) {
    for (;;) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock_->steady()).count();
        if (left <= 0) {
            return boost::asio::error::timed_out;
        }
        pollfd entry{socket_.get(), events, 0};
        const int ready = ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
        if (ready > 0) {
            return {};
        }
        if (ready < 0 && errno != EINTR) {
            return last_error();
        }
    }
}

std::size_t SocketStream::receive(void* data, std::size_t size, boost::system::error_code& error) {
    for (;;) {
        const ssize_t count = ::recv(socket_.get(), data, size, MSG_DONTWAIT);
        if (count > 0) {
            error = {};
            return static_cast<std::size_t>(count);
        }
        if (count == 0) {
            error = boost::asio::error::eof;
            return 0;
        }
        error = last_error();
        if (error.value() == EAGAIN) {
            error = wait(POLLIN);
        } else if (error.value() == EINTR) {
            error = {};
        }
        if (error) {
            return 0;
        }
    }
}

std::size_t SocketStream::send(const void* data, std::size_t size, boost::system::error_code& error) {
    for (;;) {
        const ssize_t count = ::send(socket_.get(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0) {
            error = {};
            return static_cast<std::size_t>(count);
        }
        error = last_error();
        if (error.value() == EAGAIN) {
            error = wait(POLLOUT);
        } else if (error.value() == EINTR) {
            error = {};
        }
        if (error) {
            return 0;
        }
    }
}

}  // namespace postern::control::detail
