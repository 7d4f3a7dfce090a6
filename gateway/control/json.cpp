// The answers of the control API as JSON. The requests are in json_requests.cpp.
#include "gateway/control/json.hpp"

#include <algorithm>

#include "gateway/control/detail/backend_json.hpp"
#include "gateway/control/detail/json_fields.hpp"

namespace postern::control {

using namespace detail;  // NOLINT(google-build-using-namespace): this file is the folder's own detail

namespace {

Json json_of(const RecipientView& recipient) {
    Json json;
    json["ordinal"] = recipient.ordinal;
    json["address"] = recipient.address;
    json["state"] = queue::to_string(recipient.state);
    json["attempts"] = recipient.attempts;
    json["unknowns"] = recipient.unknowns;
    json["next_attempt_at"] = time_or_null(recipient.next_attempt_at);
    json["backend"] = recipient.backend;
    json["last_reply"] = recipient.last_reply;
    json["failed"] = recipient.failed;
    return json;
}

RecipientView recipient_of(const Json& json) {
    if (!json.is_object()) {
        bad("a recipient is not an object");
    }
    RecipientView view;
    view.ordinal = number32_at(json, "ordinal");
    view.address = text_of(need(json, "address"), "address");
    view.state = state_of(need(json, "state"), "state");
    view.attempts = number32_at(json, "attempts");
    view.unknowns = number32_at(json, "unknowns");
    view.next_attempt_at = instant_at(json, "next_attempt_at");
    view.backend = text_at(json, "backend");
    view.last_reply = text_at(json, "last_reply");
    view.failed = flag_at(json, "failed");
    return view;
}

Json json_of(const Flow& flow) {
    return Json{{"accepted", flow.accepted},
                {"delivered", flow.delivered},
                {"deferred", flow.deferred},
                {"failed", flow.failed}};
}

Flow flow_of(const Json& json) {
    Flow flow;
    flow.accepted = number_at(json, "accepted");
    flow.delivered = number_at(json, "delivered");
    flow.deferred = number_at(json, "deferred");
    flow.failed = number_at(json, "failed");
    return flow;
}

Json json_of(const queue::Totals& totals, std::uint64_t oldest_seconds) {
    Json recipients = Json::object();
    for (const auto& [state, count] : totals.recipients) {
        recipients[std::string(queue::to_string(state))] = count;
    }
    Json json;
    json["messages"] = totals.messages;
    json["recipients"] = std::move(recipients);
    json["oldest_seconds"] = oldest_seconds;
    json["oldest_at"] = time_or_null(totals.oldest);
    return json;
}

queue::Totals totals_of(const Json& json) {
    queue::Totals totals;
    totals.messages = number_at(json, "messages");
    if (const Json* recipients = find(json, "recipients")) {
        for (const auto& item : recipients->items()) {
            if (const auto state = queue::parse_recipient_state(item.key())) {
                totals.recipients[*state] = number_of(item.value(), "recipients");
            }
        }
    }
    totals.oldest = instant_at(json, "oldest_at");
    return totals;
}

Json json_of(const CertificateStatus& certificate) {
    Json json;
    json["listener"] = certificate.listener;
    json["file"] = certificate.file;
    json["key"] = certificate.key;
    json["names"] = certificate.names;
    json["not_after"] = queue::to_rfc3339(certificate.not_after);
    json["days_left"] = certificate.days_left;
    return json;
}

CertificateStatus certificate_of(const Json& json) {
    CertificateStatus certificate;
    certificate.listener = text_at(json, "listener");
    certificate.file = text_at(json, "file");
    certificate.key = text_at(json, "key");
    if (const Json* names = find(json, "names")) {
        for (const Json& name : array_of(*names, "names")) {
            certificate.names.push_back(text_of(name, "names"));
        }
    }
    certificate.not_after = instant_of(need(json, "not_after"), "not_after");
    const Json& days = need(json, "days_left");
    if (!days.is_number_integer()) {
        bad("`days_left` is not a whole number");
    }
    certificate.days_left = days.get<std::int64_t>();
    return certificate;
}

}  // namespace

std::string encode(const MessageView& message) {
    Json recipients = Json::array();
    for (const RecipientView& recipient : message.recipients) {
        recipients.push_back(json_of(recipient));
    }
    Json json;
    json["id"] = message.id.to_string();
    json["received_at"] = queue::to_rfc3339(message.received_at);
    json["size"] = message.size;
    json["sender"] = message.sender;
    json["client"] = message.client;
    json["helo"] = message.helo;
    json["rdns"] = message.rdns;
    json["protocol"] = message.protocol;
    json["has_8bit"] = message.has_8bit;
    json["smtputf8"] = message.smtputf8;
    json["require_tls"] = message.require_tls;
    json["envid"] = message.envid;
    json["recipients"] = std::move(recipients);
    return dump(json);
}

Decoded<MessageView> decode_message(std::string_view text) {
    return decode<MessageView>(text, [](const Json& json) {
        MessageView message;
        message.id = id_of(need(json, "id"), "id");
        message.received_at = instant_of(need(json, "received_at"), "received_at");
        message.size = number_at(json, "size");
        message.sender = text_at(json, "sender");
        message.client = text_at(json, "client");
        message.helo = text_at(json, "helo");
        message.rdns = text_at(json, "rdns");
        message.protocol = text_at(json, "protocol");
        message.has_8bit = flag_at(json, "has_8bit");
        message.smtputf8 = flag_at(json, "smtputf8");
        message.require_tls = flag_at(json, "require_tls");
        message.envid = text_at(json, "envid");
        for (const Json& recipient : array_of(need(json, "recipients"), "recipients")) {
            message.recipients.push_back(recipient_of(recipient));
        }
        return message;
    });
}

std::string encode(const Status& status) {
    const GatewaySnapshot& gateway = status.gateway;
    Json backends = Json::array();
    for (const BackendStatus& backend : gateway.backends) {
        backends.push_back(json_of(backend));
    }
    Json json;
    json["version"] = gateway.version;
    json["running"] = gateway.running;
    json["uptime_seconds"] = gateway.uptime_seconds;
    json["sessions"] = gateway.sessions;
    json["queue"] = json_of(status.queue, status.oldest_seconds);
    json["since_start"] = json_of(gateway.since_start);
    json["last_minute"] = json_of(gateway.last_minute);
    json["disk"] = Json{{"queue_path", gateway.disk.queue_path},
                        {"free_octets", gateway.disk.free_octets},
                        {"minimum_free_octets", gateway.disk.minimum_free_octets},
                        {"error", gateway.disk.error},
                        {"obstacle", gateway.disk.obstacle}};
    json["certificates"] = Json::array();
    for (const CertificateStatus& certificate : gateway.certificates) {
        json["certificates"].push_back(json_of(certificate));
    }
    json["tls"] = Json{{"full", gateway.tls.full}, {"resumed", gateway.tls.resumed}, {"failed", gateway.tls.failed}};
    json["backends"] = std::move(backends);
    return dump(json);
}

Decoded<Status> decode_status(std::string_view text) {
    return decode<Status>(text, [](const Json& json) {
        Status status;
        GatewaySnapshot& gateway = status.gateway;
        gateway.version = text_at(json, "version");
        gateway.running = flag_at(json, "running");
        gateway.uptime_seconds = number_at(json, "uptime_seconds");
        gateway.sessions = number_at(json, "sessions");
        const Json& queue = need(json, "queue");
        status.queue = totals_of(queue);
        status.oldest_seconds = number_at(queue, "oldest_seconds");
        if (const Json* flow = find(json, "since_start")) {
            gateway.since_start = flow_of(*flow);
        }
        if (const Json* flow = find(json, "last_minute")) {
            gateway.last_minute = flow_of(*flow);
        }
        if (const Json* disk = find(json, "disk")) {
            gateway.disk.queue_path = text_at(*disk, "queue_path");
            gateway.disk.free_octets = number_at(*disk, "free_octets");
            gateway.disk.minimum_free_octets = number_at(*disk, "minimum_free_octets");
            gateway.disk.error = text_at(*disk, "error");
            gateway.disk.obstacle = text_at(*disk, "obstacle");
        }
        if (const Json* certificates = find(json, "certificates")) {
            for (const Json& certificate : array_of(*certificates, "certificates")) {
                gateway.certificates.push_back(certificate_of(certificate));
            }
        }
        if (const Json* tls = find(json, "tls")) {
            gateway.tls = {number_at(*tls, "full"), number_at(*tls, "resumed"), number_at(*tls, "failed")};
        }
        for (const Json& backend : array_of(need(json, "backends"), "backends")) {
            gateway.backends.push_back(backend_of(backend));
        }
        return status;
    });
}

std::string encode(const queue::HistoryEvent& event) {
    Json json;
    json["at"] = queue::to_rfc3339(event.at);
    json["id"] = event.message.to_string();
    json["event"] = event.event;
    json["sender"] = event.sender;
    json["ordinal"] = nullptr;
    if (event.ordinal) {
        json["ordinal"] = *event.ordinal;
    }
    json["recipient"] = event.recipient;
    json["backend"] = event.backend;
    json["endpoint"] = event.endpoint;
    json["attempt"] = event.attempt;
    json["duration_ms"] = std::max<std::int64_t>(event.duration.count(), 0);
    json["reply"] = event.reply;
    // "root: queue hold --all": who, and by which command.
    const std::size_t colon = event.actor.find(": ");
    json["actor"] = event.actor.substr(0, colon);
    json["command"] = colon == std::string::npos ? std::string() : event.actor.substr(colon + 2);
    json["client"] = event.client;
    json["session"] = event.session;
    json["tls"] = event.tls;
    if (!event.transcript.empty()) {
        json["transcript"] = event.transcript;
    }
    return dump(json);
}

Decoded<queue::HistoryEvent> decode_history_event(std::string_view text) {
    return decode<queue::HistoryEvent>(text, [](const Json& json) {
        queue::HistoryEvent event;
        event.at = instant_of(need(json, "at"), "at");
        event.message = id_of(need(json, "id"), "id");
        event.event = text_of(need(json, "event"), "event");
        event.sender = text_at(json, "sender");
        if (const Json* ordinal = find(json, "ordinal")) {
            event.ordinal = number32_of(*ordinal, "ordinal");
        }
        event.recipient = text_at(json, "recipient");
        event.backend = text_at(json, "backend");
        event.endpoint = text_at(json, "endpoint");
        event.attempt = number32_at(json, "attempt");
        if (const Json* duration = find(json, "duration_ms")) {
            event.duration = milliseconds_of(*duration, "duration_ms");
        }
        event.reply = text_at(json, "reply");
        event.actor = text_at(json, "actor");
        if (const std::string command = text_at(json, "command"); !command.empty()) {
            event.actor += ": " + command;
        }
        event.client = text_at(json, "client");
        event.session = text_at(json, "session");
        event.tls = text_at(json, "tls");
        event.transcript = text_at(json, "transcript");
        return event;
    });
}

std::string encode(const Outcome& outcome) {
    Json missing = Json::array();
    for (const queue::MessageId id : outcome.missing) {
        missing.push_back(id.to_string());
    }
    Json json;
    json["messages"] = outcome.messages;
    json["recipients"] = outcome.recipients;
    json["changed"] = outcome.changed;
    json["missing"] = std::move(missing);
    return dump(json);
}

Decoded<Outcome> decode_outcome(std::string_view text) {
    return decode<Outcome>(text, [](const Json& json) {
        Outcome outcome;
        outcome.messages = number_of(need(json, "messages"), "messages");
        outcome.recipients = number_of(need(json, "recipients"), "recipients");
        outcome.changed = number_of(need(json, "changed"), "changed");
        for (const Json& id : array_of(need(json, "missing"), "missing")) {
            outcome.missing.push_back(id_of(id, "missing"));
        }
        return outcome;
    });
}

std::string encode(const ReloadOutcome& outcome) {
    Json json;
    json["ok"] = outcome.ok;
    json["lines"] = outcome.lines;
    return dump(json);
}

Decoded<ReloadOutcome> decode_reload_outcome(std::string_view text) {
    return decode<ReloadOutcome>(text, [](const Json& json) {
        ReloadOutcome outcome;
        outcome.ok = flag_of(need(json, "ok"), "ok");
        for (const Json& line : array_of(need(json, "lines"), "lines")) {
            outcome.lines.push_back(text_of(line, "lines"));
        }
        return outcome;
    });
}

std::string encode(const std::vector<queue::ShapeCell>& cells) {
    Json list = Json::array();
    for (const queue::ShapeCell& cell : cells) {
        list.push_back(Json{{"key", cell.key}, {"counts", cell.counts}});
    }
    Json json;
    json["cells"] = std::move(list);
    return dump(json);
}

Decoded<std::vector<queue::ShapeCell>> decode_shape(std::string_view text) {
    return decode<std::vector<queue::ShapeCell>>(text, [](const Json& json) {
        std::vector<queue::ShapeCell> cells;
        for (const Json& each : array_of(need(json, "cells"), "cells")) {
            queue::ShapeCell cell;
            cell.key = text_of(need(each, "key"), "key");
            for (const Json& count : array_of(need(each, "counts"), "counts")) {
                cell.counts.push_back(number_of(count, "counts"));
            }
            cells.push_back(std::move(cell));
        }
        return cells;
    });
}

std::string encode(const queue::ShapeCell& cell, const ShapeRequest& request) {
    Json counts = Json::array();
    for (std::size_t i = 0; i < cell.counts.size(); ++i) {
        Json bucket;
        bucket["up_to_seconds"] = nullptr;
        if (i < request.bounds.size()) {
            bucket["up_to_seconds"] = request.bounds[i].count() / 1000;
        }
        bucket["recipients"] = cell.counts[i];
        counts.push_back(std::move(bucket));
    }
    Json json;
    json[request.by == queue::Reader::ShapeBy::backend ? "backend" : "domain"] = cell.key;
    json["counts"] = std::move(counts);
    return dump(json);
}

std::string encode(const Failure& failure) {
    Json json;
    json["error"] = Json{{"kind", to_string(failure.kind)}, {"text", failure.text}};
    return dump(json);
}

std::optional<Failure> decode_failure(std::string_view text) {
    const auto failure = decode<Failure>(text, [](const Json& json) {
        const Json& error = need(json, "error");
        return Failure(parse_failure_kind(text_at(error, "kind")), text_at(error, "text"));
    });
    if (!failure) {
        return std::nullopt;
    }
    return *failure;
}

}  // namespace postern::control
