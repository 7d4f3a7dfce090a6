// Reading and writing of JSON fields, shared by the files that hold the shapes. Errors are thrown inside and become
// values at decode().
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "gateway/control/json.hpp"

namespace postern::control::detail {

using Json = nlohmann::ordered_json;

/// What is wrong with the input; never leaves decode().
struct BadJson {
    std::string text;
};

[[noreturn]] inline void bad(std::string text) { throw BadJson{std::move(text)}; }

inline std::string dump(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace); }

/// Parses `text` to an object and has `read` make a value of it.
template <class T, class Read>
Decoded<T> decode(std::string_view text, Read read) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) {
        return {boost::system::in_place_error, json.is_discarded() ? "not JSON" : "not a JSON object"};
    }
    try {
        return read(json);
    } catch (const BadJson& error) {
        return {boost::system::in_place_error, error.text};
    }
}

inline const Json* find(const Json& object, const char* key) {
    if (!object.is_object()) {
        bad(std::string("what should hold `") + key + "` is not an object");
    }
    const auto place = object.find(key);
    return place == object.end() || place->is_null() ? nullptr : &*place;
}

inline const Json& need(const Json& object, const char* key) {
    const Json* value = find(object, key);
    if (value == nullptr) {
        bad(std::string("`") + key + "` is missing");
    }
    return *value;
}

inline std::string text_of(const Json& value, const char* key) {
    if (!value.is_string()) {
        bad(std::string("`") + key + "` is not a text");
    }
    return value.get<std::string>();
}

inline std::uint64_t number_of(const Json& value, const char* key,
                               std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
        bad(std::string("`") + key + "` is not a whole number in its bounds");
    }
    return value.get<std::uint64_t>();
}

inline std::uint32_t number32_of(const Json& value, const char* key) {
    return static_cast<std::uint32_t>(number_of(value, key, std::numeric_limits<std::uint32_t>::max()));
}

inline bool flag_of(const Json& value, const char* key) {
    if (!value.is_boolean()) {
        bad(std::string("`") + key + "` is neither true nor false");
    }
    return value.get<bool>();
}

inline const Json& array_of(const Json& value, const char* key) {
    if (!value.is_array()) {
        bad(std::string("`") + key + "` is not a list");
    }
    return value;
}

inline std::string text_at(const Json& object, const char* key) {
    const Json* value = find(object, key);
    return value == nullptr ? std::string() : text_of(*value, key);
}

inline std::uint64_t number_at(const Json& object, const char* key) {
    const Json* value = find(object, key);
    return value == nullptr ? 0 : number_of(*value, key);
}

inline std::uint32_t number32_at(const Json& object, const char* key) {
    const Json* value = find(object, key);
    return value == nullptr ? 0 : number32_of(*value, key);
}

inline bool flag_at(const Json& object, const char* key) {
    const Json* value = find(object, key);
    return value != nullptr && flag_of(*value, key);
}

inline queue::MessageId id_of(const Json& value, const char* key) {
    const auto id = queue::MessageId::parse(text_of(value, key));
    if (!id) {
        bad(std::string("`") + key + "` is not a message id");
    }
    return *id;
}

inline queue::Instant instant_of(const Json& value, const char* key) {
    const auto instant = queue::parse_rfc3339(text_of(value, key));
    if (!instant) {
        bad(std::string("`") + key + "` is not a time");
    }
    return *instant;
}

inline std::optional<queue::Instant> instant_at(const Json& object, const char* key) {
    const Json* value = find(object, key);
    return value == nullptr ? std::nullopt : std::optional(instant_of(*value, key));
}

inline Json time_or_null(const std::optional<queue::Instant>& instant) {
    return instant ? Json(queue::to_rfc3339(*instant)) : Json(nullptr);
}

inline queue::RecipientState state_of(const Json& value, const char* key) {
    const auto state = queue::parse_recipient_state(text_of(value, key));
    if (!state) {
        bad(std::string("`") + key + "` is not a recipient's state");
    }
    return *state;
}

/// A span of time in milliseconds, at most 100 years, so that no sum with a wall time overflows.
inline queue::Duration milliseconds_of(const Json& value, const char* key) {
    constexpr std::uint64_t most = 100ULL * 366 * 24 * 3600 * 1000;
    return queue::Duration(static_cast<std::int64_t>(number_of(value, key, most)));
}

/// Requests are read strictly: a key that we do not know would else be a filter that does not filter.
inline void allow_only(const Json& object, std::initializer_list<std::string_view> keys) {
    for (const auto& item : object.items()) {
        bool known = false;
        for (const std::string_view key : keys) {
            known = known || key == item.key();
        }
        if (!known) {
            bad("unknown key `" + item.key() + "`");
        }
    }
}

}  // namespace postern::control::detail
