#include "gateway/control/detail/dispatch.hpp"

#include <optional>

#include "gateway/control/json.hpp"

namespace postern::control::detail {
namespace {

constexpr std::string_view messages_prefix = "/v1/messages/";
constexpr std::string_view backends_prefix = "/v1/backends:";
constexpr std::string_view recipients_prefix = "/v1/recipients:";
constexpr std::string_view json_lines = "application/x-ndjson";

void refuse(Responder& responder, const Failure& failure) {
    responder.answer(http_status(failure.kind), encode(failure));
}

void refuse(Responder& responder, std::string text) {
    refuse(responder, Failure(FailureKind::invalid, std::move(text)));
}

template <class T>
void answer(Responder& responder, const Result<T, Failure>& result) {
    if (!result) {
        refuse(responder, result.error());
        return;
    }
    responder.answer(200, encode(*result));
}

/// Rows as JSON lines. Nothing is sent before the first row, so that an early failure has an HTTP status of its own; a
/// later one is the last line.
class RowStream {
public:
    explicit RowStream(Responder& responder) : responder_(responder) {}

    bool write(std::string row) {
        begin();
        row += '\n';
        client_there_ = responder_.write(row);
        return client_there_;
    }

    void finish(const Result<void, Failure>& result) {
        if (!result && !begun_) {
            refuse(responder_, result.error());
            return;
        }
        begin();
        if (!result) {
            client_there_ = responder_.write(encode(result.error()) + '\n');
        }
        if (client_there_) {
            responder_.end();
        }
    }

private:
    void begin() {
        if (!begun_) {
            begun_ = true;
            responder_.begin(json_lines);
        }
    }

    Responder& responder_;
    bool begun_ = false;
    bool client_there_ = true;
};

void search_messages(const Request& request, Operations& operations, Responder& responder) {
    const auto filter = decode_search(request.body);
    if (!filter) {
        refuse(responder, filter.error());
        return;
    }
    RowStream rows(responder);
    rows.finish(operations.list(*filter, [&rows](const MessageView& message) { return rows.write(encode(message)); }));
}

void search_history(const Request& request, Operations& operations, Responder& responder) {
    const auto filter = decode_history_search(request.body);
    if (!filter) {
        refuse(responder, filter.error());
        return;
    }
    RowStream rows(responder);
    rows.finish(
        operations.history(*filter, [&rows](const queue::HistoryEvent& event) { return rows.write(encode(event)); }));
}

void content(queue::MessageId id, Operations& operations, Responder& responder) {
    bool begun = false;
    bool client_there = true;
    const auto result = operations.cat(id, [&](std::string_view part) {
        if (!begun) {
            begun = true;
            responder.begin("message/rfc822");
        }
        client_there = responder.write(part);
        return client_there;
    });
    if (!result && !begun) {
        refuse(responder, result.error());
        return;
    }
    if (!begun) {
        responder.begin("message/rfc822");
    }
    if (result && client_there) {
        responder.end();
    }
}

void message(std::string_view rest, Operations& operations, Responder& responder) {
    const std::size_t slash = rest.find('/');
    const auto id = queue::MessageId::parse(rest.substr(0, slash));
    if (!id) {
        refuse(responder, "not a message id");
        return;
    }
    if (slash == std::string_view::npos) {
        answer(responder, operations.show(*id));
        return;
    }
    if (rest.substr(slash) == "/content") {
        content(*id, operations, responder);
        return;
    }
    if (rest.substr(slash) == "/why") {
        answer(responder, operations.why(*id));
        return;
    }
    refuse(responder, Failure(FailureKind::not_found, "no such path"));
}

void backends(std::string_view name, const Request& request, Operations& operations, Responder& responder) {
    const auto verb = parse_backend_verb(name);
    if (!verb && name != "probe") {
        refuse(responder, Failure(FailureKind::not_found, "no such path"));
        return;
    }
    const auto asked = decode_backend_request(verb.value_or(BackendVerb::pause), request.body);
    if (!asked) {
        refuse(responder, asked.error());
    } else if (verb) {
        answer(responder, operations.change(*asked));
    } else {
        answer(responder, operations.probe(asked->backend));
    }
}

void recipients(std::string_view name, const Request& request, Operations& operations, Responder& responder) {
    if (name == "shape") {
        const auto shape = decode_shape_request(request.body);
        if (!shape) {
            refuse(responder, shape.error());
            return;
        }
        answer(responder, operations.shape(*shape));
        return;
    }
    const auto verb = parse_verb(name);
    if (!verb) {
        refuse(responder, Failure(FailureKind::not_found, "no such path"));
        return;
    }
    const auto apply = decode_apply(*verb, request.body);
    if (!apply) {
        refuse(responder, apply.error());
        return;
    }
    answer(responder, operations.apply(*apply));
}

void get(const Request& request, Operations& operations, Responder& responder) {
    if (request.target == "/v1/status") {
        answer(responder, operations.status());
    } else if (request.target.starts_with(messages_prefix)) {
        message(std::string_view(request.target).substr(messages_prefix.size()), operations, responder);
    } else {
        refuse(responder, Failure(FailureKind::not_found, "no such path"));
    }
}

void post(const Request& request, Operations& operations, Responder& responder) {
    if (request.target == "/v1/messages:search") {
        search_messages(request, operations, responder);
    } else if (request.target == "/v1/history:search") {
        search_history(request, operations, responder);
    } else if (request.target == "/v1/reload") {
        answer(responder, operations.reload());
    } else if (request.target.starts_with(backends_prefix)) {
        backends(std::string_view(request.target).substr(backends_prefix.size()), request, operations, responder);
    } else if (request.target.starts_with(recipients_prefix)) {
        recipients(std::string_view(request.target).substr(recipients_prefix.size()), request, operations, responder);
    } else {
        refuse(responder, Failure(FailureKind::not_found, "no such path"));
    }
}

}  // namespace

unsigned http_status(FailureKind kind) {
    switch (kind) {
        case FailureKind::not_found:
            return 404;
        case FailureKind::invalid:
            return 400;
        case FailureKind::busy:
        case FailureKind::unreachable:
            return 503;
        case FailureKind::damaged:
        case FailureKind::disk:
            break;
    }
    return 500;
}

void dispatch(const Request& request, Operations& operations, Responder& responder) {
    if (request.method == "GET") {
        get(request, operations, responder);
    } else if (request.method == "POST") {
        post(request, operations, responder);
    } else {
        responder.answer(405, encode(Failure(FailureKind::invalid, "only GET and POST are known")));
    }
}

}  // namespace postern::control::detail
