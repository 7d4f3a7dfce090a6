// Makes replies of the bytes that a store sends. Sans-I/O: bytes in any split go in, whole replies come out.
//
// Strict in what parts one reply from the next (CRLF only, one code per reply, RFC 5321 section 4.2.1), because a reply
// counted twice or not at all is a recipient's fate given to another. Lenient in length: RFC 5321 section 4.5.3.1.5
// allows 512 octets a line, stores send more. Bounded in all: a store cannot make the client's memory grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "queue/mail/reply.hpp"

namespace postern::lmtp_client::detail {

enum class ReplyFault : std::uint8_t {
    none,
    not_a_reply,    ///< no code, a code of class 1 or above 5, or something else than space or hyphen behind it
    bare_cr_or_lf,  ///< a line end that is none
    codes_differ,   ///< a reply of several lines whose codes are not the same
    line_too_long,
    reply_too_long,
};

/// In words for log and operator.
[[nodiscard]] std::string_view describe(ReplyFault fault);

class ReplyParser {
public:
    static constexpr std::size_t line_octets_max = 4096;    ///< CRLF included
    static constexpr std::size_t reply_octets_max = 65536;  ///< text of all lines

    /// Takes bytes from the front of `bytes` up to the end of one reply.
    /// true: a reply is ready, take() it. false: all bytes are used and none is ready, or fault() says why there will
    /// be none.
    [[nodiscard]] bool feed(std::string_view& bytes);

    [[nodiscard]] mail::Reply take();

    /// Some octets of a reply have come, but not its end.
    [[nodiscard]] bool is_inside() const noexcept { return code_ != 0 || !line_.empty(); }
    /// As far as it has come, what is inside is a reply with this code (of three digits).
    [[nodiscard]] bool may_become(std::uint16_t code) const;
    /// Once set, nothing that follows can be trusted.
    [[nodiscard]] ReplyFault fault() const noexcept { return fault_; }

private:
    bool end_line(std::string_view line);
    bool fail(ReplyFault fault);

    std::string line_;  ///< the begun line, when it came in pieces
    std::string text_;
    std::optional<mail::EnhancedStatus> status_;
    std::uint16_t code_ = 0;  ///< of the reply begun; 0: none
    bool first_line_ = true;
    ReplyFault fault_ = ReplyFault::none;
};

}  // namespace postern::lmtp_client::detail
