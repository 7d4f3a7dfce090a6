#include "gateway/control/detail/remote_operations.hpp"

#include <fmt/format.h>

#include <array>

#include <boost/asio/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "gateway/control/json.hpp"

namespace postern::control::detail {
namespace {

namespace http = boost::beast::http;

// How long an answer, or its next part, may take: a search through millions of recipients, or a flush behind a slow
// disk.
constexpr std::chrono::milliseconds patience = std::chrono::minutes(2);
constexpr std::size_t line_octets_max = 256U << 20;  // a message with very many recipients is one line
constexpr std::size_t error_octets_max = 1U << 20;

Failure protocol_failure(const std::string& what) {
    return Failure(FailureKind::unreachable, "the gateway's answer cannot be understood: " + what);
}

template <class T>
Result<T, Failure> decoded(const Result<std::string, Failure>& text, Decoded<T> (*decode)(std::string_view)) {
    if (!text) {
        return text.error();
    }
    Decoded<T> value = decode(*text);
    if (!value) {
        return protocol_failure(value.error());
    }
    return std::move(*value);
}

}  // namespace

Result<SocketStream, Failure> RemoteOperations::connect() {
    if (first_) {
        return SocketStream(std::move(first_), clock_);
    }
    auto socket = connect_unix(socket_);
    if (!socket) {
        return Failure(FailureKind::unreachable,
                       fmt::format("control socket {}: {}", socket_.string(), socket.error().message()));
    }
    return SocketStream(std::move(*socket), clock_);
}

Result<void, Failure> RemoteOperations::exchange(Method method, const std::string& target, const std::string& body,
                                                 const Part& part) {
    auto stream = connect();
    if (!stream) {
        return stream.error();
    }
    http::request<http::string_body> request(method == Method::get ? http::verb::get : http::verb::post, target, 11);
    request.set(http::field::host, "postern");
    request.body() = body;
    request.prepare_payload();
    boost::system::error_code error;
    stream->expires_after(patience);
    http::write(*stream, request, error);

    // A server that refuses early has answered before it closed; so the answer is read also after a failed write.
    boost::beast::flat_buffer buffer;
    http::response_parser<http::buffer_body> parser;
    parser.body_limit(boost::none);
    std::string refusal;
    std::array<char, 65536> piece;
    error = {};
    http::read_header(*stream, buffer, parser, error);
    while (!error && !parser.is_done()) {
        parser.get().body().data = piece.data();
        parser.get().body().size = piece.size();
        stream->expires_after(patience);
        http::read_some(*stream, buffer, parser, error);
        if (error == http::error::need_buffer) {
            error = {};
        }
        const std::string_view got(piece.data(), piece.size() - parser.get().body().size);
        if (parser.get().result() != http::status::ok) {
            refusal.append(got.substr(0, error_octets_max - std::min(error_octets_max, refusal.size())));
        } else if (!got.empty() && !part(got)) {
            return {};
        }
    }
    if (error == boost::asio::error::timed_out) {
        return Failure(FailureKind::unreachable,
                       fmt::format("the gateway did not answer within {} s", patience.count() / 1000));
    }
    if (error) {
        return Failure(FailureKind::unreachable, "the gateway broke off its answer: " + error.message());
    }
    if (parser.get().result() != http::status::ok) {
        const auto failure = decode_failure(refusal);
        return failure ? *failure : protocol_failure(fmt::format("HTTP status {}", parser.get().result_int()));
    }
    return {};
}

Result<std::string, Failure> RemoteOperations::ask(Method method, const std::string& target, const std::string& body) {
    std::string whole;
    const auto result = exchange(method, target, body, [&whole](std::string_view part) {
        whole += part;
        return whole.size() <= line_octets_max;
    });
    if (!result) {
        return result.error();
    }
    return Result<std::string, Failure>(boost::system::in_place_value, std::move(whole));
}

Result<void, Failure> RemoteOperations::lines(const std::string& target, const std::string& body, const Part& line) {
    std::string rest;
    bool is_too_long = false;
    const auto result = exchange(Method::post, target, body, [&](std::string_view part) {
        rest += part;
        std::size_t begin = 0;
        for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', begin)) {
            if (!line(std::string_view(rest).substr(begin, end - begin))) {
                return false;
            }
            begin = end + 1;
        }
        rest.erase(0, begin);
        is_too_long = rest.size() > line_octets_max;
        return !is_too_long;
    });
    return is_too_long ? protocol_failure("a line is too long") : result;
}

Result<void, Failure> RemoteOperations::list(const queue::Filter& filter,
                                             const std::function<bool(const MessageView&)>& each) {
    Result<void, Failure> outcome{};
    const auto result = lines("/v1/messages:search", encode_search(filter), [&](std::string_view line) {
        const auto message = decode_message(line);
        if (!message) {
            const auto failure = decode_failure(line);
            outcome = failure ? *failure : protocol_failure(message.error());
            return false;
        }
        return each(*message);
    });
    return outcome ? result : outcome;
}

Result<void, Failure> RemoteOperations::history(const queue::HistoryFilter& filter,
                                                const std::function<bool(const queue::HistoryEvent&)>& each) {
    Result<void, Failure> outcome{};
    const auto result = lines("/v1/history:search", encode_history_search(filter), [&](std::string_view line) {
        const auto event = decode_history_event(line);
        if (!event) {
            const auto failure = decode_failure(line);
            outcome = failure ? *failure : protocol_failure(event.error());
            return false;
        }
        return each(*event);
    });
    return outcome ? result : outcome;
}

Result<MessageView, Failure> RemoteOperations::show(queue::MessageId id) {
    return decoded<MessageView>(ask(Method::get, "/v1/messages/" + id.to_string(), ""), decode_message);
}

Result<void, Failure> RemoteOperations::cat(queue::MessageId id, const std::function<bool(std::string_view)>& part) {
    return exchange(Method::get, "/v1/messages/" + id.to_string() + "/content", "", part);
}

Result<Outcome, Failure> RemoteOperations::apply(const ApplyRequest& request) {
    return decoded<Outcome>(
        ask(Method::post, "/v1/recipients:" + std::string(to_string(request.verb)), encode_apply(request)),
        decode_outcome);
}

Result<Why, Failure> RemoteOperations::why(queue::MessageId id) {
    return decoded<Why>(ask(Method::get, "/v1/messages/" + id.to_string() + "/why", ""), decode_why);
}

Result<BackendChange, Failure> RemoteOperations::change(const BackendRequest& request) {
    return decoded<BackendChange>(
        ask(Method::post, "/v1/backends:" + std::string(to_string(request.verb)), encode_backend_request(request)),
        decode_backend_change);
}

Result<std::vector<ProbeView>, Failure> RemoteOperations::probe(const std::string& backend) {
    BackendRequest request;
    request.backend = backend;
    return decoded<std::vector<ProbeView>>(ask(Method::post, "/v1/backends:probe", encode_backend_request(request)),
                                           decode_probe);
}

Result<Status, Failure> RemoteOperations::status() {
    return decoded<Status>(ask(Method::get, "/v1/status", ""), decode_status);
}

Result<std::vector<queue::ShapeCell>, Failure> RemoteOperations::shape(const ShapeRequest& request) {
    return decoded<std::vector<queue::ShapeCell>>(ask(Method::post, "/v1/recipients:shape", encode_shape(request)),
                                                  decode_shape);
}

Result<ReloadOutcome, Failure> RemoteOperations::reload() {
    return decoded<ReloadOutcome>(ask(Method::post, "/v1/reload", "{}"), decode_reload_outcome);
}

}  // namespace postern::control::detail
