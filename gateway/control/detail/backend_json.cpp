// JSON of what is said about backends, and of what recipients wait for there.
#include "gateway/control/detail/backend_json.hpp"

#include <algorithm>

namespace postern::control {

using namespace detail;  // NOLINT(google-build-using-namespace): this file is the folder's own detail

namespace {

Json json_of(const std::optional<BackendDecision>& decision) {
    if (!decision) {
        return nullptr;
    }
    return Json{{"at", queue::to_rfc3339(decision->at)}, {"actor", decision->actor}, {"reason", decision->reason}};
}

std::optional<BackendDecision> decision_at(const Json& object, const char* key) {
    const Json* value = find(object, key);
    if (value == nullptr) {
        return std::nullopt;
    }
    BackendDecision decision;
    decision.at = instant_of(need(*value, "at"), "at");
    decision.actor = text_at(*value, "actor");
    decision.reason = text_at(*value, "reason");
    return decision;
}

Json json_of(const EndpointStatus& endpoint) {
    Json json;
    json["address"] = endpoint.address;
    json["state"] = endpoint.state;
    json["since"] = time_or_null(endpoint.since);
    json["next_probe_at"] = time_or_null(endpoint.next_probe_at);
    json["in_flight"] = endpoint.in_flight;
    json["allowed"] = endpoint.allowed;
    json["connections"] = endpoint.connections;
    json["latency_ms"] = static_cast<std::uint64_t>(std::max<std::int64_t>(endpoint.latency.count(), 0));
    json["one_by_one"] = endpoint.one_by_one;
    json["last_error"] = endpoint.last_error;
    json["last_error_at"] = time_or_null(endpoint.last_error_at);
    return json;
}

EndpointStatus endpoint_of(const Json& json) {
    EndpointStatus endpoint;
    endpoint.address = text_of(need(json, "address"), "address");
    endpoint.state = text_at(json, "state");
    endpoint.since = instant_at(json, "since");
    endpoint.next_probe_at = instant_at(json, "next_probe_at");
    endpoint.in_flight = number32_at(json, "in_flight");
    endpoint.allowed = number32_at(json, "allowed");
    endpoint.connections = number32_at(json, "connections");
    if (const Json* latency = find(json, "latency_ms")) {
        endpoint.latency = milliseconds_of(*latency, "latency_ms");
    }
    endpoint.one_by_one = flag_at(json, "one_by_one");
    endpoint.last_error = text_at(json, "last_error");
    endpoint.last_error_at = instant_at(json, "last_error_at");
    return endpoint;
}

Json json_of(const WhyView& why) {
    Json json;
    json["ordinal"] = why.ordinal;
    json["recipient"] = why.recipient;
    json["state"] = queue::to_string(why.state);
    json["waits_for"] = why.waits_for;
    json["text"] = why.text;
    json["since"] = time_or_null(why.since);
    json["until"] = time_or_null(why.until);
    json["remedy"] = why.remedy;
    json["backend"] = why.backend;
    json["endpoint"] = why.endpoint;
    json["reply"] = why.reply;
    json["actor"] = why.actor;
    return json;
}

WhyView why_view_of(const Json& json) {
    WhyView why;
    why.ordinal = number32_at(json, "ordinal");
    why.recipient = text_of(need(json, "recipient"), "recipient");
    why.state = state_of(need(json, "state"), "state");
    why.waits_for = text_at(json, "waits_for");
    why.text = text_at(json, "text");
    why.since = instant_at(json, "since");
    why.until = instant_at(json, "until");
    why.remedy = text_at(json, "remedy");
    why.backend = text_at(json, "backend");
    why.endpoint = text_at(json, "endpoint");
    why.reply = text_at(json, "reply");
    why.actor = text_at(json, "actor");
    return why;
}

Json json_of(const ProbeView& probe) {
    return Json{
        {"backend", probe.backend}, {"endpoint", probe.endpoint}, {"well", probe.well}, {"detail", probe.detail}};
}

}  // namespace

Json detail::json_of(const BackendStatus& backend) {
    Json endpoints = Json::array();
    for (const EndpointStatus& endpoint : backend.endpoints) {
        endpoints.push_back(control::json_of(endpoint));
    }
    Json json;
    json["name"] = backend.name;
    json["paused"] = control::json_of(backend.paused);
    json["brake"] = control::json_of(backend.brake);
    json["refusing"] = backend.refusing;
    json["down_since"] = time_or_null(backend.down_since);
    json["backlog"] = backend.backlog;
    json["in_flight"] = backend.in_flight;
    json["endpoints"] = std::move(endpoints);
    return json;
}

BackendStatus detail::backend_of(const Json& json) {
    if (!json.is_object()) {
        bad("a backend is not an object");
    }
    BackendStatus backend;
    backend.name = text_of(need(json, "name"), "name");
    backend.paused = decision_at(json, "paused");
    backend.brake = decision_at(json, "brake");
    backend.refusing = text_at(json, "refusing");
    backend.down_since = instant_at(json, "down_since");
    backend.backlog = number_at(json, "backlog");
    backend.in_flight = number32_at(json, "in_flight");
    for (const Json& each : array_of(need(json, "endpoints"), "endpoints")) {
        backend.endpoints.push_back(endpoint_of(each));
    }
    return backend;
}

std::string encode(const BackendStatus& backend) { return dump(detail::json_of(backend)); }

Decoded<BackendStatus> decode_backend(std::string_view text) {
    return decode<BackendStatus>(text, [](const Json& json) { return backend_of(json); });
}

std::string encode(const Why& why) {
    Json recipients = Json::array();
    for (const WhyView& each : why.recipients) {
        recipients.push_back(json_of(each));
    }
    Json json;
    json["gateway_running"] = why.running;
    json["recipients"] = std::move(recipients);
    return dump(json);
}

Decoded<Why> decode_why(std::string_view text) {
    return decode<Why>(text, [](const Json& json) {
        Why why;
        why.running = flag_of(need(json, "gateway_running"), "gateway_running");
        for (const Json& each : array_of(need(json, "recipients"), "recipients")) {
            why.recipients.push_back(why_view_of(each));
        }
        return why;
    });
}

std::string encode(queue::MessageId id, bool running, const WhyView& why) {
    Json json;
    json["id"] = id.to_string();
    json["gateway_running"] = running;
    json.update(json_of(why));
    return dump(json);
}

std::string encode(const BackendChange& change) { return dump(Json{{"changed", change.changed}}); }

std::string encode(const BackendChange& change, const BackendRequest& request) {
    return dump(Json{{"backend", request.backend}, {"verb", to_string(request.verb)}, {"changed", change.changed}});
}

Decoded<BackendChange> decode_backend_change(std::string_view text) {
    return decode<BackendChange>(text, [](const Json& json) {
        BackendChange change;
        change.changed = flag_of(need(json, "changed"), "changed");
        return change;
    });
}

std::string encode(const ProbeView& probe) { return dump(json_of(probe)); }

std::string encode(const std::vector<ProbeView>& probes) {
    Json list = Json::array();
    for (const ProbeView& probe : probes) {
        list.push_back(json_of(probe));
    }
    Json json;
    json["endpoints"] = std::move(list);
    return dump(json);
}

Decoded<std::vector<ProbeView>> decode_probe(std::string_view text) {
    return decode<std::vector<ProbeView>>(text, [](const Json& json) {
        std::vector<ProbeView> probes;
        for (const Json& each : array_of(need(json, "endpoints"), "endpoints")) {
            ProbeView& probe = probes.emplace_back();
            probe.backend = text_at(each, "backend");
            probe.endpoint = text_of(need(each, "endpoint"), "endpoint");
            probe.well = flag_of(need(each, "well"), "well");
            probe.detail = text_at(each, "detail");
        }
        return probes;
    });
}

std::string encode_backend_request(const BackendRequest& request) {
    return dump(Json{{"backend", request.backend}, {"reason", request.reason}});
}

Decoded<BackendRequest> decode_backend_request(BackendVerb verb, std::string_view text) {
    return decode<BackendRequest>(text, [verb](const Json& json) {
        allow_only(json, {"backend", "reason"});
        BackendRequest request;
        request.verb = verb;
        request.backend = text_of(need(json, "backend"), "backend");
        request.reason = text_at(json, "reason");
        if (request.reason.size() > 1000) {
            bad("`reason` is longer than 1000 octets");
        }
        return request;
    });
}

}  // namespace postern::control
