// The content of a message as it passes: line ends made CRLF, facts gathered on the way. What DATA and BDAT have in
// common.
//
// Invariants: 1. what is put out holds no CR without LF and no LF without CR. 2. Output and facts do not depend on how
// the input was cut. 3. Nothing is kept of a line, however long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "queue/mail/reply.hpp"
#include "smtp-server/limits.hpp"

namespace postern::smtp_server::detail {

struct ContentFacts {
    std::uint64_t size = 0;              ///< octets put out: as delivered, without dot-stuffing
    std::uint32_t received_headers = 0;  ///< `Received:` fields in the header section (RFC 5321 section 6.3)
    bool has_8bit = false;
    bool has_nul = false;
    bool has_bare_newline = false;  ///< a CR or LF stood alone; it was made CRLF
    bool begins_with_fold =
        false;  ///< the first octet is a space or a tab: the line would continue a header put before it

    friend bool operator==(const ContentFacts&, const ContentFacts&) = default;
};

/// The reply that refuses such content at its end: 552 5.3.4 (size), 554 5.4.6 (hops), 554 5.6.0 (NUL, or a bare CR or
/// LF where `bare_newline` is reject). May be asked while the content still comes; a fault once there never goes away.
[[nodiscard]] std::optional<mail::Reply> content_refusal(const ContentFacts& facts, const Limits& limits,
                                                         BareNewline bare_newline);

/// Counts `Received:` in a header section that comes in parts, line ends already normal.
class HeaderScan {
public:
    /// Part of a line, without line end. Not empty.
    void text(std::string_view part);
    void newline();

    [[nodiscard]] bool in_header() const noexcept { return in_header_; }
    [[nodiscard]] std::uint32_t received() const noexcept { return received_; }

private:
    enum class Line : std::uint8_t { empty, name, gap, other };  // gap: white space between "Received" and its colon

    Line line_ = Line::empty;
    std::uint8_t matched_ = 0;  // octets of "received"
    bool in_header_ = true;
    std::uint32_t received_ = 0;
};

/// Whether leading dots are those of RFC 5321 section 4.5.2 (DATA) or content (BDAT).
enum class Framing : std::uint8_t { dots, chunks };

/// The state machine under DataReader and BdatReader. States:
///   line_start --'.'--> dot --CR--> dot_cr --LF--> end        (Framing::dots only; else what the dot hid goes to text)
///   line_start, text --CR--> cr --LF--> line_start            (a CRLF)
///   cr --other--> text, LF --> text                           (bare: put out as CRLF, but a dot behind it is content)
class ContentFilter {
public:
    explicit ContentFilter(Framing framing) : framing_(framing) {}

    /// Appends the content in `in` to `out`, up to the end of the data. Returns the octets consumed: less than all only
    /// when ended().
    std::size_t feed(std::string_view in, std::string& out);
    /// The input is complete: a CR that waits for its LF is a bare one.
    void finish(std::string& out);

    [[nodiscard]] bool ended() const noexcept { return state_ == State::end; }
    [[nodiscard]] const ContentFacts& facts() const noexcept { return facts_; }

private:
    enum class State : std::uint8_t { line_start, dot, dot_cr, text, cr, end };

    std::size_t step(std::string_view in, std::string& out);
    std::size_t text(std::string_view in, std::string& out);
    std::size_t line_part(std::string_view in, std::string& out);
    void put_text(std::string_view part, std::string& out);
    void put_newline(std::string& out);
    void put_bare_newline(std::string& out);

    Framing framing_;
    State state_ = State::line_start;
    std::size_t odd_left_ = 0;  // octets of a block that must be gone through line by line; speed only
    ContentFacts facts_;
    HeaderScan header_;
};

}  // namespace postern::smtp_server::detail
