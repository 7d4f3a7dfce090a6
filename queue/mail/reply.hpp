// One SMTP or LMTP reply: a code, perhaps an enhanced status, and text of one or more lines.
// The same type for replies that we give and replies that a store gave us; the text of the latter is a
// stranger's and is escaped wherever it enters a log, a terminal or a report.
//
// Source: RFC 5321 section 4.2, RFC 2034 section 4.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "queue/mail/enhanced_status.hpp"

namespace postern::mail {

/// The first digit (RFC 5321 section 4.2.1). What is none of these is a protocol error, never a verdict.
enum class ReplyClass : std::uint8_t { success = 2, intermediate = 3, transient = 4, permanent = 5, invalid = 0 };

class Reply {
public:
    Reply() = default;
    Reply(std::uint16_t code, std::string text) : code_(code), text_(std::move(text)) {}
    Reply(std::uint16_t code, EnhancedStatus status, std::string text)
        : code_(code), status_(status), text_(std::move(text)) {}

    [[nodiscard]] std::uint16_t code() const noexcept { return code_; }
    [[nodiscard]] ReplyClass reply_class() const noexcept;
    [[nodiscard]] const std::optional<EnhancedStatus>& status() const noexcept { return status_; }
    /// The text without codes; the lines of a multi-line reply are parted by '\n'.
    [[nodiscard]] const std::string& text() const noexcept { return text_; }

    [[nodiscard]] bool is_success() const noexcept { return reply_class() == ReplyClass::success; }
    [[nodiscard]] bool is_transient() const noexcept { return reply_class() == ReplyClass::transient; }
    [[nodiscard]] bool is_permanent() const noexcept { return reply_class() == ReplyClass::permanent; }

    /// Appends the reply as it goes over the wire: every line with code and enhanced status, each ended by CRLF.
    /// Control characters and malformed UTF-8 in the text become '?', so that no text can make a line of its own; a
    /// line that would exceed 512 octets (RFC 5321 section 4.5.3.1.5) goes on in the next.
    void append_wire(std::string& out) const;

    /// One line for people and for the store: "452 4.2.2 Mailbox full"; lines of the text joined by a space.
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const Reply&, const Reply&) = default;

private:
    std::uint16_t code_ = 0;
    std::optional<EnhancedStatus> status_;
    std::string text_;
};

}  // namespace postern::mail
