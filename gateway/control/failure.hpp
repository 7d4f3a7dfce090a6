// Why an operation of the control API could not be done; each kind has one exit status and one HTTP status.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "queue/mail/result.hpp"

namespace postern::control {

enum class FailureKind : std::uint8_t {
    not_found,    ///< no such message
    damaged,      ///< the message cannot be read: its checksum does not fit
    invalid,      ///< the request is not understood
    unreachable,  ///< the gateway does not run, or does not answer
    busy,         ///< another gateway holds the queue, or try again
    disk,         ///< the queue cannot be read or written
};

struct Failure {
    FailureKind kind = FailureKind::disk;
    std::string text;  ///< for the operator

    Failure() = default;
    Failure(FailureKind which, std::string what) : kind(which), text(std::move(what)) {}
};

/// The name on the wire: "not_found", "busy", ...
[[nodiscard]] std::string_view to_string(FailureKind kind);
[[nodiscard]] FailureKind parse_failure_kind(std::string_view text);  ///< an unknown name is `disk`

}  // namespace postern::control
