#include "gateway/control/metrics_server.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "gateway/control/detail/attendants.hpp"
#include "gateway/control/detail/pages.hpp"
#include "gateway/control/detail/request_error.hpp"
#include "gateway/control/detail/tcp_socket.hpp"

namespace postern::control {
namespace {

namespace beast_http = boost::beast::http;

constexpr std::size_t read_octets = 4096;
constexpr std::size_t farewell_octets_max = 64 * 1024;
constexpr std::chrono::milliseconds farewell_time_max{1000};

/// One at a time, and nobody waits for ever: on a disk that hangs, one thread is stuck and not all of them.
class Turnstile {
public:
    /// What `make` gives; nullopt when it was not one's turn within `patience`.
    template <class Make>
    std::optional<std::string> pass(std::chrono::milliseconds patience, const Make& make) {
        {
            std::unique_lock lock(mutex_);
            if (!free_.wait_for(lock, patience, [this] { return !taken_; })) {
                return std::nullopt;
            }
            taken_ = true;
        }
        const Leave leave{*this};
        return make();
    }

private:
    struct Leave {
        Turnstile& turnstile;
        ~Leave() {
            const std::lock_guard lock(turnstile.mutex_);
            turnstile.taken_ = false;
            turnstile.free_.notify_one();
        }
    };
    std::mutex mutex_;
    std::condition_variable free_;
    bool taken_ = false;
};

template <class Body>
void write_response(detail::SocketStream& stream, beast_http::response<Body> response, const detail::Answer& answer) {
    response.set(beast_http::field::content_type, answer.content_type);
    response.set(beast_http::field::cache_control, "no-store");
    if (answer.status == 405) {
        response.set(beast_http::field::allow, "GET, HEAD");
    }
    response.keep_alive(false);
    response.content_length(answer.text.size());
    boost::system::error_code error;
    beast_http::write(stream, response, error);  // who is gone need not hear it
}

void say(detail::SocketStream& stream, const detail::Answer& answer, unsigned version, bool head_alone) {
    const auto status = static_cast<beast_http::status>(answer.status);
    if (head_alone) {
        write_response(stream, beast_http::response<beast_http::empty_body>(status, version), answer);
    } else {
        write_response(stream, beast_http::response<beast_http::string_body>(status, version, answer.text), answer);
    }
}

/// A close resets the connection while something of the client's is unread, and the answer may be lost with it: so he
/// is heard out, for a moment.
void see_off(detail::SocketStream& stream) {
    ::shutdown(stream.descriptor(), SHUT_WR);
    stream.expires_after(farewell_time_max);
    std::array<char, read_octets> unread;
    boost::system::error_code error;
    for (std::size_t heard = 0; !error && heard < farewell_octets_max;) {
        heard += stream.read_some(boost::asio::buffer(unread), error);
    }
}

void answer_client(detail::SocketStream& stream, const MetricsServerOptions& options,
                   const detail::PageSources& sources) {
    boost::beast::flat_buffer buffer(detail::header_octets_max + read_octets);
    beast_http::request_parser<beast_http::empty_body> parser;
    parser.header_limit(detail::header_octets_max);
    boost::system::error_code error;
    stream.expires_after(options.request_time_max);
    beast_http::read_header(stream, buffer, parser, error);
    if (error) {
        const auto status = detail::status_for(error);
        if (!status) {
            return;
        }
        stream.expires_after(options.answer_time_max);
        say(stream, {*status, "this request cannot be read: " + error.message() + '\n'}, 11, false);
    } else {
        const auto& request = parser.get();
        const std::string_view method(request.method_string().data(), request.method_string().size());
        const std::string_view target(request.target().data(), request.target().size());
        const detail::Answer answer = detail::answer_page(method, target, sources);
        stream.expires_after(options.answer_time_max);
        say(stream, answer, request.version(), request.method() == beast_http::verb::head);
    }
    see_off(stream);
}

}  // namespace

class MetricsServer::Impl {
public:
    Impl(const MetricsServerOptions& options, detail::Descriptor socket)
        : options_(options), socket_(std::move(socket)) {}

    [[nodiscard]] std::optional<std::string> start(const queue::Clock& clock, Pages pages,
                                                   std::function<void(const std::string&)> on_error) {
        sources_.obstacle = std::move(pages.obstacle);
        sources_.metrics = [this, make = std::move(pages.metrics)] {
            return turnstile_.pass(options_.scrape_wait_max, make);
        };
        auto attend = [this](detail::SocketStream& stream) { answer_client(stream, options_, sources_); };
        auto started =
            detail::Attendants::start(socket_.get(), {options_.connections_max, detail::WhenFull::cut_oldest}, clock,
                                      std::move(attend), std::move(on_error));
        if (!started) {
            return started.error();
        }
        attendants_ = std::move(*started);
        return std::nullopt;
    }

    [[nodiscard]] std::uint16_t port() const { return detail::port_of(socket_); }

private:
    const MetricsServerOptions options_;
    const detail::Descriptor socket_;
    Turnstile turnstile_;
    detail::PageSources sources_;
    std::unique_ptr<detail::Attendants> attendants_;  ///< last: its threads use the others
};

Result<std::unique_ptr<MetricsServer>, std::string> MetricsServer::open(const MetricsServerOptions& options) {
    auto socket = detail::listen_tcp(options.host, options.port);
    if (!socket) {
        return socket.error();
    }
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::make_unique<Impl>(options, std::move(*socket))));
}

std::optional<std::string> MetricsServer::start(const queue::Clock& clock, Pages pages,
                                                std::function<void(const std::string&)> on_error) {
    return impl_->start(clock, std::move(pages), std::move(on_error));
}

std::uint16_t MetricsServer::port() const { return impl_->port(); }

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() = default;

}  // namespace postern::control
