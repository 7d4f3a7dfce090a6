// How long one message takes, alone: a client that sends one message at a time to an MTA, and the LMTP store that the
// MTA delivers to, in one program with one clock. For each message it measures, from the first octet of MAIL on a
// connection that is open already,
//   accepted: until the client has read the 250 that follows the final dot,
//   stored:   until the store has read the final dot.
// The next message begins when both have happened.
//
//   bench_latency MTA_PORT STORE_PORT MESSAGES OCTETS RECIPIENT
//
// Prints one line: accepted and stored, 50th, 90th and 99th percentile each, in microseconds. Both ports are of
// 127.0.0.1. Nothing here is Postern's: the same program measures any MTA.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{30};
constexpr std::string_view serial_header = "X-Serial: ";

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// A connection that reads lines. Blocking.
class Wire {
public:
    explicit Wire(int descriptor) : descriptor_(descriptor) {
        const int on = 1;
        ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    ~Wire() { ::close(descriptor_); }
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    void write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count < 0) {
                fail(std::string("send: ") + std::strerror(errno));
            }
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
    }

    /// False: the peer has closed.
    [[nodiscard]] bool fill() {
        std::array<char, 16384> block{};
        const ssize_t count = ::recv(descriptor_, block.data(), block.size(), 0);
        if (count <= 0) {
            return false;
        }
        input_.append(block.data(), static_cast<std::size_t>(count));
        return true;
    }

    /// The next line with its LF; empty when the peer has closed.
    [[nodiscard]] std::string line() {
        std::size_t end = input_.find('\n');
        while (end == std::string::npos) {
            if (!fill()) {
                return {};
            }
            end = input_.find('\n');
        }
        std::string line = input_.substr(0, end + 1);
        input_.erase(0, end + 1);
        return line;
    }

    /// Everything up to the final dot, which is taken too; empty when the peer has closed.
    [[nodiscard]] std::string content() {
        constexpr std::string_view end_of_data = "\r\n.\r\n";
        std::size_t searched = 0;
        for (;;) {
            const std::size_t end = input_.find(end_of_data, searched);
            if (end != std::string::npos) {
                std::string content = input_.substr(0, end + 2);
                input_.erase(0, end + end_of_data.size());
                return content;
            }
            searched = input_.size() < end_of_data.size() ? 0 : input_.size() - end_of_data.size();
            if (!fill()) {
                return {};
            }
        }
    }

    /// Reads a whole reply, and throws when it is not of the class that `digit` names.
    void expect(char digit, const char* after) {
        for (;;) {
            const std::string line = this->line();
            if (line.empty() || line[0] != digit) {
                fail(std::string(after) + " was answered: " + (line.empty() ? "(closed)" : line));
            }
            if (line.size() < 4 || line[3] != '-') {
                return;
            }
        }
    }

private:
    int descriptor_;
    std::string input_;
};

/// The store's side: when each message was complete there.
class Arrivals {
public:
    void arrived(int serial, Clock::time_point at) {
        const std::lock_guard lock(mutex_);
        at_.emplace(serial, at);  // a second copy does not count
        changed_.notify_all();
    }
    [[nodiscard]] Clock::time_point wait_for(int serial) {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_for(lock, patience, [&] { return at_.count(serial) != 0; })) {
            fail("message " + std::to_string(serial) + " did not arrive");
        }
        return at_.at(serial);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<int, Clock::time_point> at_;
};

int serial_of(const std::string& content) {
    const std::size_t at = content.find(serial_header);
    int serial = -1;
    if (at != std::string::npos) {
        const char* const first = content.data() + at + serial_header.size();
        std::from_chars(first, content.data() + content.size(), serial);
    }
    return serial;
}

void serve(int descriptor, Arrivals& arrivals) {
    Wire wire(descriptor);
    wire.write("220 store LMTP\r\n");
    int recipients = 0;
    for (std::string line = wire.line(); !line.empty(); line = wire.line()) {
        const std::string_view verb = std::string_view(line).substr(0, 4);
        if (verb == "LHLO") {
            wire.write("250-store\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
        } else if (verb == "RCPT") {
            ++recipients;
            wire.write("250 2.1.5 Ok\r\n");
        } else if (verb == "DATA") {
            wire.write("354 Go on\r\n");
            const std::string content = wire.content();
            if (content.empty()) {
                return;
            }
            const auto now = Clock::now();
            std::string replies;
            for (; recipients > 0; --recipients) {
                replies += "250 2.0.0 Ok\r\n";
            }
            wire.write(replies);
            arrivals.arrived(serial_of(content), now);
        } else if (verb == "QUIT") {
            wire.write("221 2.0.0 Bye\r\n");
            return;
        } else {
            recipients = 0;
            wire.write("250 2.0.0 Ok\r\n");
        }
    }
}

void listen_for_mail(std::uint16_t port, Arrivals& arrivals) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener, 128) != 0) {
        fail(std::string("cannot listen: ") + std::strerror(errno));
    }
    std::thread([listener, &arrivals] {
        for (;;) {
            const int descriptor = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (descriptor >= 0) {
                std::thread([descriptor, &arrivals] { serve(descriptor, arrivals); }).detach();
            }
        }
    }).detach();
}

int connect_to(std::uint16_t port) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        fail(std::string("cannot connect: ") + std::strerror(errno));
    }
    return descriptor;
}

std::string make_content(int serial, std::size_t octets) {
    std::string content = "From: <sender@example.org>\r\nSubject: latency\r\n";
    content.append(serial_header).append(std::to_string(serial)).append("\r\n\r\n");
    while (content.size() < octets) {
        content.append("0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
    }
    return content + ".\r\n";
}

std::string percentiles(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    std::string text;
    for (const double share : {0.5, 0.9, 0.99}) {
        const auto place = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
        text += ' ' + std::to_string(static_cast<long>(values[place]));
    }
    return text;
}

double microseconds(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

}  // namespace

int main(int count, char** arguments) try {
    if (count != 6) {
        std::fprintf(stderr, "usage: bench_latency MTA_PORT STORE_PORT MESSAGES OCTETS RECIPIENT\n");
        return 64;
    }
    const auto mta_port = static_cast<std::uint16_t>(std::atoi(arguments[1]));
    const auto store_port = static_cast<std::uint16_t>(std::atoi(arguments[2]));
    const int messages = std::atoi(arguments[3]);
    const auto octets = static_cast<std::size_t>(std::atoi(arguments[4]));
    const std::string recipient = arguments[5];
    const int unmeasured = messages / 10;  // until connections and processes are there

    static Arrivals arrivals;
    listen_for_mail(store_port, arrivals);
    Wire wire(connect_to(mta_port));
    wire.expect('2', "connecting");
    wire.write("EHLO client.example.org\r\n");
    wire.expect('2', "EHLO");
    std::vector<double> accepted;
    std::vector<double> stored;
    for (int serial = 0; serial < messages + unmeasured; ++serial) {
        const std::string content = make_content(serial, octets);
        const auto began = Clock::now();
        wire.write("MAIL FROM:<sender@example.org>\r\n");
        wire.expect('2', "MAIL");
        wire.write("RCPT TO:<" + recipient + ">\r\n");
        wire.expect('2', "RCPT");
        wire.write("DATA\r\n");
        wire.expect('3', "DATA");
        wire.write(content);
        wire.expect('2', "the content");
        const auto answered = Clock::now();
        const auto arrived = arrivals.wait_for(serial);
        if (serial >= unmeasured) {
            accepted.push_back(microseconds(answered - began));
            stored.push_back(microseconds(arrived - began));
        }
    }
    wire.write("QUIT\r\n");
    wire.expect('2', "QUIT");
    std::printf("accepted%s stored%s\n", percentiles(accepted).c_str(), percentiles(stored).c_str());
    std::fflush(stdout);
    std::_Exit(0);  // the store's threads wait for connections that do not come
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench_latency: %s\n", error.what());
    std::_Exit(1);
}
