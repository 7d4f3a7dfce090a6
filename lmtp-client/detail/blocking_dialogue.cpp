#include "lmtp-client/detail/blocking_dialogue.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

namespace postern::lmtp_client::detail {

using std::chrono::milliseconds;

namespace {

std::string error_text(int code) { return std::generic_category().message(code); }

/// Waits for `events`. False: the time is over.
bool wait_for(int descriptor, short events, BlockingDialogue::Clock::time_point until) {
    while (true) {
        const auto left = std::chrono::ceil<milliseconds>(until - BlockingDialogue::Clock::now());
        pollfd waited{descriptor, events, 0};
        const int ready = ::poll(&waited, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready > 0) {
            return true;
        }
        if (ready == 0 || errno != EINTR) {
            return false;
        }
    }
}

/// Connects a socket of `family`; -1 with `error` set.
int open_socket(int family, const sockaddr* address, socklen_t size, BlockingDialogue::Clock::time_point until,
                std::string& error) {
    const int made = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0) {
        error = error_text(errno);
        return -1;
    }
    int code = ::connect(made, address, size) == 0 ? 0 : errno;
    if (code == EINPROGRESS) {
        code = ETIMEDOUT;
        if (wait_for(made, POLLOUT, until)) {
            socklen_t length = sizeof code;
            ::getsockopt(made, SOL_SOCKET, SO_ERROR, &code, &length);
        }
    }
    if (code == 0) {
        return made;
    }
    error = error_text(code);
    ::close(made);
    return -1;
}

}  // namespace

BlockingDialogue::~BlockingDialogue() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

std::string BlockingDialogue::connect(const Endpoint& endpoint, milliseconds patience) {
    const auto until = Clock::now() + patience;
    error_.clear();
    if (!endpoint.unix_path.empty()) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (endpoint.unix_path.size() >= sizeof address.sun_path) {
            return error_ = error_text(ENAMETOOLONG);
        }
        std::memcpy(address.sun_path, endpoint.unix_path.data(), endpoint.unix_path.size());
        descriptor_ = open_socket(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, until, error_);
        return error_;
    }
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int failed = ::getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &wanted, &list);
    if (failed != 0) {
        return error_ = ::gai_strerror(failed);
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    for (const addrinfo* each = list; each != nullptr && descriptor_ < 0; each = each->ai_next) {
        descriptor_ = open_socket(each->ai_family, each->ai_addr, each->ai_addrlen, until, error_);
    }
    if (descriptor_ >= 0) {
        error_.clear();
    }
    return error_;
}

std::string BlockingDialogue::start_tls(const Security& security, const std::string& host, milliseconds patience) {
    const auto until = Clock::now() + patience;
    if (!input_.empty()) {
        return error_ = "the store said something before TLS began";  // anybody may have put it there
    }
    tls_ = std::make_unique<TlsStream>(security, host);
    while (true) {
        const TlsStream::Progress progress = tls_->handshake();
        if (!transmit(tls_->take_output())) {
            return error_;
        }
        if (progress == TlsStream::Progress::ready) {
            return {};
        }
        if (progress == TlsStream::Progress::failed) {
            return error_ = tls_->error();
        }
        std::string octets;
        if (receive(until, octets) != Read::bytes) {
            return error_;
        }
        tls_->feed(octets);
    }
}

bool BlockingDialogue::send(std::string_view bytes) {
    if (!tls_) {
        return transmit(bytes);
    }
    if (!tls_->write(bytes)) {
        error_ = tls_->error();
        return false;
    }
    return transmit(tls_->take_output());
}

bool BlockingDialogue::transmit(std::string_view octets) {
    const auto until = Clock::now() + std::chrono::seconds(10);
    while (!octets.empty()) {
        const ssize_t count = ::send(descriptor_, octets.data(), octets.size(), MSG_NOSIGNAL);
        if (count > 0) {
            octets.remove_prefix(static_cast<std::size_t>(count));
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_for(descriptor_, POLLOUT, until)) {
                error_ = "the store takes nothing";
                return false;
            }
        } else if (errno != EINTR) {
            error_ = error_text(errno);
            return false;
        }
    }
    return true;
}

BlockingDialogue::Read BlockingDialogue::read_some(Clock::time_point until) {
    if (!tls_) {
        return receive(until, input_);
    }
    std::array<char, 4096> buffer;
    while (true) {
        if (const std::size_t count = tls_->read(buffer); count > 0) {
            input_.append(buffer.data(), count);
            return Read::bytes;
        }
        if (tls_->has_ended()) {
            error_ = "the store closed the connection";
            return Read::end;
        }
        std::string octets;
        if (const Read came = receive(until, octets); came != Read::bytes) {
            return came;
        }
        tls_->feed(octets);
    }
}

BlockingDialogue::Read BlockingDialogue::receive(Clock::time_point until, std::string& into) {
    std::array<char, 4096> buffer;
    while (true) {
        if (!wait_for(descriptor_, POLLIN, until)) {
            error_ = "no answer in time";
            return Read::nothing;
        }
        const ssize_t count = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
        if (count > 0) {
            into.append(buffer.data(), static_cast<std::size_t>(count));
            return Read::bytes;
        }
        if (count == 0) {
            error_ = "the store closed the connection";
            return Read::end;
        }
        if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK) {
            error_ = error_text(errno);
            return Read::end;
        }
    }
}

std::optional<mail::Reply> BlockingDialogue::reply(milliseconds patience) {
    const auto until = Clock::now() + patience;
    ReplyParser parser;
    while (true) {
        std::string_view bytes = input_;
        const bool ready = parser.feed(bytes);
        input_.erase(0, input_.size() - bytes.size());
        if (ready) {
            return parser.take();
        }
        if (parser.fault() != ReplyFault::none) {
            error_ = describe(parser.fault());
            return std::nullopt;
        }
        if (read_some(until) != Read::bytes) {
            return std::nullopt;
        }
    }
}

bool BlockingDialogue::closes(milliseconds patience) {
    return input_.empty() && read_some(Clock::now() + patience) == Read::end;
}

bool BlockingDialogue::says_more(milliseconds patience) {
    return !input_.empty() || read_some(Clock::now() + patience) == Read::bytes;
}

}  // namespace postern::lmtp_client::detail
