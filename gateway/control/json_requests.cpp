// The requests of the control API as JSON; what the server reads is anybody's who may open the socket.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "gateway/control/detail/json_fields.hpp"
#include "gateway/control/json.hpp"

namespace postern::control {

using namespace detail;  // NOLINT(google-build-using-namespace): this file is the folder's own detail

namespace {

Json json_of(const queue::Filter& filter) {
    Json json = Json::object();
    const auto texts = [&json](const char* key, const std::vector<std::string>& values) {
        if (!values.empty()) {
            json[key] = values;
        }
    };
    for (const queue::MessageId id : filter.ids) {
        json["ids"].push_back(id.to_string());
    }
    texts("backends", filter.backends);
    texts("domains", filter.domains);
    texts("recipients", filter.recipients);
    texts("senders", filter.senders);
    texts("clients", filter.clients);
    for (const queue::RecipientState state : filter.states) {
        json["states"].push_back(queue::to_string(state));
    }
    if (filter.older_than) {
        json["older_than_ms"] = static_cast<std::uint64_t>(std::max<std::int64_t>(filter.older_than->count(), 0));
    }
    if (filter.younger_than) {
        json["younger_than_ms"] = static_cast<std::uint64_t>(std::max<std::int64_t>(filter.younger_than->count(), 0));
    }
    if (filter.reply) {
        json["reply"] = *filter.reply;
    }
    if (filter.limit) {
        json["limit"] = *filter.limit;
    }
    return json;
}

std::vector<std::string> texts_at(const Json& json, const char* key) {
    std::vector<std::string> texts;
    if (const Json* list = find(json, key)) {
        for (const Json& each : array_of(*list, key)) {
            texts.push_back(text_of(each, key));
        }
    }
    return texts;
}

queue::Filter filter_of(const Json& json) {
    if (!json.is_object()) {
        bad("`filter` is not an object");
    }
    allow_only(json, {"ids", "backends", "domains", "recipients", "senders", "clients", "states", "older_than_ms",
                      "younger_than_ms", "reply", "limit"});
    for (const auto& [key, value] : json.items()) {
        if (value.is_null() || (value.is_array() && value.empty())) {
            bad("`" + key + "` is empty: without the key everything matches, and that may not be what is meant");
        }
    }
    queue::Filter filter;
    if (const Json* ids = find(json, "ids")) {
        for (const Json& id : array_of(*ids, "ids")) {
            filter.ids.push_back(id_of(id, "ids"));
        }
    }
    filter.backends = texts_at(json, "backends");
    filter.domains = texts_at(json, "domains");
    filter.recipients = texts_at(json, "recipients");
    filter.senders = texts_at(json, "senders");
    filter.clients = texts_at(json, "clients");
    for (const std::string& client : filter.clients) {
        if (!is_client(client)) {
            bad("`clients` holds what is neither an IP address nor a network");
        }
    }
    if (const Json* states = find(json, "states")) {
        for (const Json& state : array_of(*states, "states")) {
            filter.states.push_back(state_of(state, "states"));
        }
    }
    if (const Json* span = find(json, "older_than_ms")) {
        filter.older_than = milliseconds_of(*span, "older_than_ms");
    }
    if (const Json* span = find(json, "younger_than_ms")) {
        filter.younger_than = milliseconds_of(*span, "younger_than_ms");
    }
    if (const Json* reply = find(json, "reply")) {
        filter.reply = text_of(*reply, "reply");
    }
    if (const Json* limit = find(json, "limit")) {
        filter.limit = number_of(*limit, "limit", std::numeric_limits<std::int64_t>::max());
    }
    return filter;
}

}  // namespace

bool is_client(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string address(text.substr(0, slash));
    std::array<unsigned char, 16> octets{};
    int bits_max = 0;
    if (::inet_pton(AF_INET, address.c_str(), octets.data()) == 1) {
        bits_max = 32;
    } else if (::inet_pton(AF_INET6, address.c_str(), octets.data()) == 1) {
        bits_max = 128;
    } else {
        return false;
    }
    // An embedded NUL would end the text for inet_pton alone.
    if (address.find('\0') != std::string::npos) {
        return false;
    }
    if (slash == std::string_view::npos) {
        return true;
    }
    const std::string_view rest = text.substr(slash + 1);
    int bits = -1;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), bits);
    return error == std::errc() && end == rest.data() + rest.size() && bits >= 0 && bits <= bits_max;
}

std::string encode_search(const queue::Filter& filter) {
    Json json;
    json["filter"] = json_of(filter);
    return dump(json);
}

Decoded<queue::Filter> decode_search(std::string_view text) {
    return decode<queue::Filter>(text, [](const Json& json) {
        allow_only(json, {"filter"});
        return filter_of(need(json, "filter"));
    });
}

std::string encode_history_search(const queue::HistoryFilter& filter) {
    Json json;
    json["filter"] = json_of(filter.filter);
    json["transcripts"] = filter.transcripts;
    return dump(json);
}

Decoded<queue::HistoryFilter> decode_history_search(std::string_view text) {
    return decode<queue::HistoryFilter>(text, [](const Json& json) {
        allow_only(json, {"filter", "transcripts"});
        queue::HistoryFilter filter;
        filter.filter = filter_of(need(json, "filter"));
        filter.transcripts = flag_at(json, "transcripts");
        return filter;
    });
}

namespace {

/// As a shell takes it for one word.
std::string quoted(std::string_view word) {
    std::string text = "'";
    for (const char c : word) {
        text += c == '\'' ? "'\\''" : std::string(1, c);
    }
    return text + '\'';
}

/// A command line's options, as many as find room.
class Options {
public:
    void add(std::string_view option, std::string_view value = {}) {
        constexpr std::size_t octets_max = 300;
        if (text_.size() >= octets_max) {
            cut_ = true;
            return;
        }
        text_ += text_.empty() ? "" : " ";
        text_.append(option).append(value.empty() ? "" : " ").append(value);
    }
    void texts(std::string_view option, const std::vector<std::string>& values) {
        constexpr std::size_t value_octets_max = 100;
        for (const std::string& value : values) {
            cut_ = cut_ || value.size() > value_octets_max;
            add(option, quoted(std::string_view(value).substr(0, value_octets_max)));
        }
    }
    [[nodiscard]] std::string text() const { return text_.empty() ? "--all" : text_ + (cut_ ? " ..." : ""); }

private:
    std::string text_;
    bool cut_ = false;
};

}  // namespace

std::string describe(const queue::Filter& filter) {
    Options options;
    for (const queue::MessageId id : filter.ids) {
        options.add(id.to_string());
    }
    options.texts("--backend", filter.backends);
    options.texts("--domain", filter.domains);
    options.texts("--recipient", filter.recipients);
    options.texts("--sender", filter.senders);
    options.texts("--client", filter.clients);
    for (const queue::RecipientState state : filter.states) {
        options.add("--state", queue::to_string(state));
    }
    const auto age = [&options](std::string_view option, const std::optional<queue::Duration>& duration) {
        if (duration) {
            options.add(option,
                        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(*duration).count()) + 's');
        }
    };
    age("--older-than", filter.older_than);
    age("--younger-than", filter.younger_than);
    if (filter.reply) {
        options.texts("--reply", {*filter.reply});
    }
    if (filter.limit) {
        options.add("--limit", std::to_string(*filter.limit));
    }
    return options.text();
}

std::string encode_apply(const ApplyRequest& request) {
    Json json;
    json["filter"] = json_of(request.filter);
    json["dry_run"] = request.dry_run;
    if (!request.reason.empty()) {
        json["reason"] = request.reason;
    }
    return dump(json);
}

Decoded<ApplyRequest> decode_apply(Verb verb, std::string_view text) {
    return decode<ApplyRequest>(text, [verb](const Json& json) {
        allow_only(json, {"filter", "dry_run", "reason"});
        ApplyRequest request;
        request.verb = verb;
        request.filter = filter_of(need(json, "filter"));
        request.dry_run = flag_at(json, "dry_run");
        if (const Json* reason = find(json, "reason")) {
            if (verb != Verb::bounce) {
                bad("`reason` is of `bounce` only");
            }
            request.reason = text_of(*reason, "reason");
        }
        return request;
    });
}

std::string encode_shape(const ShapeRequest& request) {
    Json json;
    json["by"] = request.by == queue::Reader::ShapeBy::backend ? "backend" : "domain";
    json["bounds_ms"] = Json::array();
    for (const queue::Duration bound : request.bounds) {
        json["bounds_ms"].push_back(static_cast<std::uint64_t>(std::max<std::int64_t>(bound.count(), 0)));
    }
    return dump(json);
}

Decoded<ShapeRequest> decode_shape_request(std::string_view text) {
    return decode<ShapeRequest>(text, [](const Json& json) {
        allow_only(json, {"by", "bounds_ms"});
        ShapeRequest request;
        const std::string by = text_of(need(json, "by"), "by");
        if (by != "backend" && by != "domain") {
            bad("`by` is neither backend nor domain");
        }
        request.by = by == "backend" ? queue::Reader::ShapeBy::backend : queue::Reader::ShapeBy::domain;
        for (const Json& bound : array_of(need(json, "bounds_ms"), "bounds_ms")) {
            const queue::Duration span = milliseconds_of(bound, "bounds_ms");
            if (!request.bounds.empty() && span <= request.bounds.back()) {
                bad("`bounds_ms` does not rise");
            }
            request.bounds.push_back(span);
        }
        if (request.bounds.size() > 64) {
            bad("`bounds_ms` has more than 64 buckets");
        }
        return request;
    });
}

}  // namespace postern::control
