// Enhanced mail system status codes: the "4.2.2" of a reply.
// Source: RFC 3463 section 2, RFC 2034 section 4.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::mail {

struct EnhancedStatus {
    std::uint8_t class_ = 0;    ///< 2, 4 or 5
    std::uint16_t subject = 0;  ///< 0 to 999
    std::uint16_t detail = 0;   ///< 0 to 999

    constexpr EnhancedStatus() = default;
    constexpr EnhancedStatus(std::uint8_t cls, std::uint16_t sub, std::uint16_t det)
        : class_(cls), subject(sub), detail(det) {}

    /// Reads a code that is the whole of `text`. nullopt: not one (a class but 2, 4 or 5, more than three digits, ...).
    [[nodiscard]] static std::optional<EnhancedStatus> parse(std::string_view text);

    [[nodiscard]] std::string to_string() const;

    friend constexpr bool operator==(const EnhancedStatus&, const EnhancedStatus&) = default;
};

}  // namespace postern::mail
