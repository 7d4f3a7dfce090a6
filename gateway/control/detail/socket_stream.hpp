// A connected socket, of the Unix or the TCP kind, with blocking reads and writes that end at a deadline; what Beast
// calls a synchronous stream.
//
// Threads: one; shutdown(2) of the descriptor by another thread ends what is under way.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include "queue/mail/result.hpp"
#include "queue/time.hpp"

namespace postern::control::detail {

/// Closes a descriptor at the end of its life.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();

    [[nodiscard]] int get() const noexcept { return number_; }
    [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }

private:
    int number_ = -1;
};

/// Connects to `path`. The error is that of connect(2): no such file, connection refused, permission denied, ...
[[nodiscard]] Result<Descriptor, boost::system::error_code> connect_unix(const std::filesystem::path& path);

class SocketStream {
public:
    SocketStream(Descriptor socket, const queue::Clock& clock) : socket_(std::move(socket)), clock_(&clock) {}

    /// All that is read and written from now on has to be done within `span`; then it fails with timed_out.
    void expires_after(std::chrono::milliseconds span) { deadline_ = clock_->steady() + span; }
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

    template <class MutableBuffers>
    std::size_t read_some(const MutableBuffers& buffers, boost::system::error_code& error) {
        for (auto at = boost::asio::buffer_sequence_begin(buffers); at != boost::asio::buffer_sequence_end(buffers);
             ++at) {
            const boost::asio::mutable_buffer buffer(*at);
            if (buffer.size() != 0) {
                return receive(buffer.data(), buffer.size(), error);
            }
        }
        error = {};
        return 0;
    }

    template <class ConstBuffers>
    std::size_t write_some(const ConstBuffers& buffers, boost::system::error_code& error) {
        for (auto at = boost::asio::buffer_sequence_begin(buffers); at != boost::asio::buffer_sequence_end(buffers);
             ++at) {
            const boost::asio::const_buffer buffer(*at);
            if (buffer.size() != 0) {
                return send(buffer.data(), buffer.size(), error);
            }
        }
        error = {};
        return 0;
    }

    template <class MutableBuffers>
    std::size_t read_some(const MutableBuffers& buffers) {
        boost::system::error_code error;
        const std::size_t count = read_some(buffers, error);
        if (error) {
            throw boost::system::system_error(error);
        }
        return count;
    }

    template <class ConstBuffers>
    std::size_t write_some(const ConstBuffers& buffers) {
        boost::system::error_code error;
        const std::size_t count = write_some(buffers, error);
        if (error) {
            throw boost::system::system_error(error);
        }
        return count;
    }

private:
    std::size_t receive(void* data, std::size_t size, boost::system::error_code& error);
    std::size_t send(const void* data, std::size_t size, boost::system::error_code& error);
    /// Waits until the socket is ready for `events`; an error at the deadline.
    [[nodiscard]] boost::system::error_code wait(short events);

    Descriptor socket_;
    const queue::Clock* clock_;
    queue::SteadyInstant deadline_{};
};

}  // namespace postern::control::detail
