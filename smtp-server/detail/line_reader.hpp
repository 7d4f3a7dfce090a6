// Assembles command lines from the bytes of a connection, however they were cut. Knows nothing of commands.
//
// Only CRLF ends a line (RFC 5321 section 2.3.8). Where a sender's filter saw one line and we saw two, a stranger could
// smuggle a command in; so a line holding a bare CR or LF is refused whole, and nothing of it is ever taken for a
// command.
//
// Invariants: 1. at most `octets_max` octets are kept. 2. What is reported does not depend on how the input was cut.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "queue/mail/reply.hpp"

namespace postern::smtp_server::detail {

enum class LineStatus : std::uint8_t {
    need_more,     ///< all input is consumed and no line is complete
    line,          ///< line() holds one
    too_long,      ///< a line longer than the bound has ended; its text is gone
    bare_newline,  ///< a CR or LF stood alone in the line; its text is gone
    nul,           ///< a NUL stood in the line; its text is gone
};

/// What the client hears of a line that is none: 500 5.5.2. Not for `need_more` and `line`.
[[nodiscard]] mail::Reply line_fault_reply(LineStatus fault);

class LineReader {
public:
    /// `octets_max`: the longest line, with its CRLF.
    explicit LineReader(std::size_t octets_max) : octets_max_(octets_max) {}

    struct Fed {
        std::size_t consumed = 0;  ///< octets of the input that are used up; the rest belongs to what follows
        LineStatus status = LineStatus::need_more;
    };

    /// Takes input up to the end of one line, not further. A bare LF is reported at once (who ends lines so waits for a
    /// reply), and the rest of that line is swallowed up to its CRLF without a second report.
    [[nodiscard]] Fed feed(std::string_view in);

    /// The line without CRLF. Valid after `line` until the next feed().
    [[nodiscard]] std::string_view line() const noexcept { return line_; }

    /// The end of the connection would now cut a line.
    [[nodiscard]] bool in_line() const noexcept { return !done_; }

    /// Forgets all, as STARTTLS demands (RFC 3207 section 4.2).
    void reset();

private:
    void append(std::string_view part);
    [[nodiscard]] LineStatus judge() const;

    std::size_t octets_max_;
    std::string line_;         // without the LF; with the CR until the line is complete
    bool last_is_cr_ = false;  // of all octets seen of this line, kept or not
    bool too_long_ = false;
    bool swallowing_ = false;  // the line was reported already
    bool done_ = true;         // the next feed() begins a line
};

}  // namespace postern::smtp_server::detail
