#include "lmtp-client/detail/reply_parser.hpp"

#include <algorithm>
#include <utility>

namespace postern::lmtp_client::detail {

namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The code of a reply line, or 0. Only the classes that RFC 5321 section 4.2.1 has: a 1yz is no reply of SMTP.
std::uint16_t read_code(std::string_view line) {
    if (line.size() < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) || !is_digit(line[2])) {
        return 0;
    }
    return static_cast<std::uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
}

/// Takes an enhanced status from the front of `text` when its class is that of the code (RFC 2034 section 4); otherwise
/// it is text like any other.
std::optional<mail::EnhancedStatus> take_status(std::string_view& text, std::uint16_t code) {
    if (text.size() < 5 || text[1] != '.' || text[0] - '0' != code / 100) {
        return std::nullopt;
    }
    const std::size_t space = text.find(' ');
    const auto status = mail::EnhancedStatus::parse(text.substr(0, space));
    if (status) {
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
    return status;
}

}  // namespace

std::string_view describe(ReplyFault fault) {
    switch (fault) {
        case ReplyFault::none:
            return "no fault";
        case ReplyFault::not_a_reply:
            return "the store sent something that is no reply";
        case ReplyFault::bare_cr_or_lf:
            return "the store sent a bare CR or LF";
        case ReplyFault::codes_differ:
            return "the store sent a reply whose lines have different codes";
        case ReplyFault::line_too_long:
            return "the store sent a reply line over 4096 octets";
        case ReplyFault::reply_too_long:
            return "the store sent a reply over 65536 octets";
    }
    return "unknown fault";
}

bool ReplyParser::feed(std::string_view& bytes) {
    if (fault_ != ReplyFault::none) {
        return false;
    }
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::size_t taken = end == std::string_view::npos ? bytes.size() : end + 1;
        if (line_.size() + taken > line_octets_max) {
            return fail(ReplyFault::line_too_long);
        }
        std::string_view line = bytes.substr(0, taken);
        bytes.remove_prefix(taken);
        if (end == std::string_view::npos) {
            line_ += line;
            return false;
        }
        if (!line_.empty()) {
            line_ += line;
            line = line_;
        }
        const bool ready = end_line(line);
        line_.clear();
        if (ready || fault_ != ReplyFault::none) {
            return ready;
        }
    }
    return false;
}

bool ReplyParser::may_become(std::uint16_t code) const {
    return code_ != 0 ? code_ == code
                      : line_.compare(0, 3, std::to_string(code), 0, std::min<std::size_t>(line_.size(), 3)) == 0;
}

bool ReplyParser::end_line(std::string_view line) {
    if (line.size() < 2 || line.find('\r') != line.size() - 2) {
        return fail(ReplyFault::bare_cr_or_lf);
    }
    line.remove_suffix(2);
    const std::uint16_t code = read_code(line);
    const char separator = line.size() > 3 ? line[3] : ' ';
    if (code == 0 || (separator != ' ' && separator != '-')) {
        return fail(ReplyFault::not_a_reply);
    }
    if (code_ != 0 && code != code_) {
        return fail(ReplyFault::codes_differ);
    }
    code_ = code;
    std::string_view text = line.size() > 3 ? line.substr(4) : std::string_view();
    const auto status = take_status(text, code);
    if (first_line_) {
        status_ = status;
    }
    if (text_.size() + text.size() + 1 > reply_octets_max) {
        return fail(ReplyFault::reply_too_long);
    }
    if (!first_line_) {
        text_ += '\n';
    }
    text_ += text;
    first_line_ = false;
    return separator == ' ';
}

bool ReplyParser::fail(ReplyFault fault) {
    fault_ = fault;
    return false;
}

mail::Reply ReplyParser::take() {
    const std::uint16_t code = std::exchange(code_, std::uint16_t{0});
    first_line_ = true;
    std::string text = std::exchange(text_, std::string());
    if (status_) {
        return mail::Reply(code, *std::exchange(status_, std::nullopt), std::move(text));
    }
    return mail::Reply(code, std::move(text));
}

}  // namespace postern::lmtp_client::detail
