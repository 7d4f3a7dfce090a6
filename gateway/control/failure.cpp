#include "gateway/control/failure.hpp"

#include <array>
#include <utility>

namespace postern::control {
namespace {

constexpr std::array<std::pair<FailureKind, std::string_view>, 6> names{{
    {FailureKind::not_found, "not_found"},
    {FailureKind::damaged, "damaged"},
    {FailureKind::invalid, "invalid"},
    {FailureKind::unreachable, "unreachable"},
    {FailureKind::busy, "busy"},
    {FailureKind::disk, "disk"},
}};

}  // namespace

std::string_view to_string(FailureKind kind) {
    for (const auto& [each, name] : names) {
        if (each == kind) {
            return name;
        }
    }
    return "disk";
}

FailureKind parse_failure_kind(std::string_view text) {
    for (const auto& [kind, name] : names) {
        if (name == text) {
            return kind;
        }
    }
    return FailureKind::disk;
}

}  // namespace postern::control
