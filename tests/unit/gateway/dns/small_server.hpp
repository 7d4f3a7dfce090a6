// A name server of the tests' own, on a port of 127.0.0.1 that the kernel chose: answers over UDP what it was told,
// keeps silent about names that begin with "silent", and says "no such name" to the rest.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace postern::dns::tests {

class SmallServer {
public:
    /// `answers`: the octets of a record by name and type.
    using Answers = std::map<std::pair<std::string, std::uint16_t>, std::string>;

    explicit SmallServer(Answers answers) : answers_(std::move(answers)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const raw = reinterpret_cast<sockaddr*>(&address);
        if (::bind(socket_, raw, size) != 0 || ::getsockname(socket_, raw, &size) != 0) {
            std::abort();
        }
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    ~SmallServer() {
        const std::uint64_t one = 1;
        if (::write(stop_, &one, sizeof one) != sizeof one) {
            std::abort();
        }
        thread_.join();
        ::close(socket_);
        ::close(stop_);
    }

    /// As libunbound wants it.
    [[nodiscard]] std::string address() const { return "127.0.0.1@" + std::to_string(port_); }
    [[nodiscard]] int questions() const { return questions_; }

private:
    void serve() {
        while (true) {
            std::array<pollfd, 2> fds{pollfd{socket_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
            ::poll(fds.data(), fds.size(), -1);
            if (fds[1].revents != 0) {
                return;
            }
            std::array<char, 1500> packet{};
            sockaddr_in from{};
            socklen_t size = sizeof from;
            auto* const raw = reinterpret_cast<sockaddr*>(&from);
            const auto count = ::recvfrom(socket_, packet.data(), packet.size(), 0, raw, &size);
            if (count > 17) {
                const std::string reply = reply_to({packet.data(), static_cast<std::size_t>(count)});
                ::sendto(socket_, reply.data(), reply.size(), 0, raw, size);
            }
        }
    }

    std::string reply_to(std::string_view question) {
        std::string name;
        std::size_t at = 12;
        while (question.at(at) != 0) {
            const auto length = static_cast<unsigned char>(question[at]);
            name += std::string(name.empty() ? "" : ".") + std::string(question.substr(at + 1, length));
            at += length + 1U;
        }
        for (char& c : name) {
            c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        }
        const auto type = static_cast<std::uint16_t>(static_cast<unsigned char>(question.at(at + 2)));
        ++questions_;
        if (name.starts_with("silent")) {
            return {};
        }
        const auto known = answers_.find({name, type});
        const bool found = known != answers_.end();
        std::string reply(question.substr(0, 2));
        reply += found ? std::string("\x85\x80", 2) : std::string("\x85\x83", 2);  // authoritative; found or NXDOMAIN
        reply += std::string("\0\1", 2) + std::string(found ? "\0\1" : "\0\0", 2) + std::string(4, '\0');
        reply += question.substr(12, at + 5 - 12);
        if (found) {
            reply += std::string("\xc0\x0c\0", 3) + static_cast<char>(type) + std::string("\0\1\0\0\0\x3c\0", 7);
            reply += static_cast<char>(known->second.size()) + known->second;
        }
        return reply;
    }

    const Answers answers_;
    const int socket_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int stop_ = ::eventfd(0, EFD_CLOEXEC);
    std::uint16_t port_ = 0;
    std::atomic<int> questions_{0};
    std::thread thread_;
};

}  // namespace postern::dns::tests
