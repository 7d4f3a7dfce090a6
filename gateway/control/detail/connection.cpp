#include "gateway/control/detail/connection.hpp"

#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>

#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "gateway/control/detail/dispatch.hpp"
#include "gateway/control/detail/request_error.hpp"
#include "gateway/control/json.hpp"
#include "gateway/control/local_operations.hpp"
#include "gateway/control/offline_gateway.hpp"

namespace postern::control::detail {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::size_t chunk_octets = 64 * 1024;  // of a streamed answer, per write and per deadline

class HttpResponder final : public Responder {
public:
    HttpResponder(SocketStream& stream, const ServerOptions& options, unsigned version)
        : stream_(stream), options_(options), version_(version) {}

    void answer(unsigned status, std::string json) override {
        http::response<http::string_body> response(static_cast<http::status>(status), version_);
        response.set(http::field::content_type, "application/json");
        response.keep_alive(false);
        response.body() = std::move(json) + '\n';
        response.prepare_payload();
        stream_.expires_after(options_.write_time_max);
        boost::system::error_code error;
        http::write(stream_, response, error);
    }

    void begin(std::string_view content_type) override {
        http::response<http::empty_body> response(http::status::ok, version_);
        response.set(http::field::content_type, boost::beast::string_view(content_type.data(), content_type.size()));
        response.keep_alive(false);
        response.chunked(true);
        http::response_serializer<http::empty_body> serializer(response);
        stream_.expires_after(options_.write_time_max);
        http::write_header(stream_, serializer, error_);
    }

    bool write(std::string_view part) override {
        buffer_ += part;
        if (buffer_.size() >= chunk_octets) {
            flush();
        }
        return !error_;
    }

    void end() override {
        flush();
        if (!error_) {
            asio::write(stream_, http::make_chunk_last(), error_);
        }
    }

private:
    void flush() {
        if (!buffer_.empty() && !error_) {
            stream_.expires_after(options_.write_time_max);
            asio::write(stream_, http::make_chunk(asio::buffer(buffer_)), error_);
        }
        buffer_.clear();
    }

    SocketStream& stream_;
    const ServerOptions& options_;
    unsigned version_;
    std::string buffer_;
    boost::system::error_code error_;
};

}  // namespace

std::string user_name(unsigned uid) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> text{};
    if (::getpwuid_r(uid, &entry, text.data(), text.size(), &found) == 0 && found != nullptr) {
        return found->pw_name;
    }
    return "uid " + std::to_string(uid);
}

std::string peer_name(int descriptor) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return "unknown";
    }
    return user_name(peer.uid);
}

void serve_connection(SocketStream& stream, const ServerOptions& options, const queue::Clock& clock,
                      const Server::OpenReader& open_reader, LiveGateway& gateway) {
    boost::beast::flat_buffer buffer(header_octets_max + options.request_octets_max);
    http::request_parser<http::string_body> parser;
    parser.header_limit(header_octets_max);
    parser.body_limit(options.request_octets_max);
    boost::system::error_code error;
    stream.expires_after(options.request_time_max);
    http::read(stream, buffer, parser, error);
    if (error) {
        if (const auto status = status_for(error)) {
            HttpResponder(stream, options, 11).answer(*status, encode(Failure(FailureKind::invalid, error.message())));
        }
        return;
    }
    const auto& message = parser.get();
    HttpResponder responder(stream, options, message.version());
    auto reader = open_reader();
    if (!reader) {
        const Failure failure = failure_of(reader.error());
        responder.answer(http_status(failure.kind), encode(failure));
        return;
    }
    LocalOperations operations(**reader, gateway, clock, peer_name(stream.descriptor()));
    Request request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.body = message.body();
    dispatch(request, operations, responder);
}

}  // namespace postern::control::detail
