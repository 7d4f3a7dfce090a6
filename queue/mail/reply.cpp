#include "queue/mail/reply.hpp"

#include "queue/mail/utf8.hpp"

namespace postern::mail {
namespace {

// RFC 5321 section 4.5.3.1.5: with code and CRLF.
constexpr std::size_t reply_line_octets_max = 512;

// Takes what fits into one line off the front of `text` and appends it; no character is cut in two.
void append_sanitised(std::string& out, std::string_view& text, std::size_t octets_max) {
    std::size_t used = 0;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const std::string_view character = text.substr(0, length == 0 ? 1 : length);
        if (used + character.size() > octets_max) {
            return;
        }
        if (length != 0 && !is_unsafe_character(character)) {
            out += character;
        } else {
            out += '?';
        }
        used += character.size();
        text.remove_prefix(character.size());
    }
}

}  // namespace

ReplyClass Reply::reply_class() const noexcept {
    switch (code_ / 100) {
        case 2:
            return ReplyClass::success;
        case 3:
            return ReplyClass::intermediate;
        case 4:
            return ReplyClass::transient;
        case 5:
            return ReplyClass::permanent;
        default:
            return ReplyClass::invalid;
    }
}

void Reply::append_wire(std::string& out) const {
    const std::string code = std::to_string(code_);
    const std::string status = status_ ? status_->to_string() : std::string();
    const std::size_t prefix_octets = code.size() + 1 + (status.empty() ? 0 : status.size() + 1);
    std::string_view rest = text_;
    bool last = false;
    while (!last) {
        const std::size_t newline = rest.find('\n');
        std::string_view line = rest.substr(0, newline);
        const bool last_line = newline == std::string_view::npos;
        do {
            out += code;
            const std::size_t separator = out.size();
            out += ' ';
            out += status;
            if (!status.empty() && !line.empty()) {
                out += ' ';
            }
            append_sanitised(out, line, reply_line_octets_max - 2 - prefix_octets);
            last = last_line && line.empty();
            if (!last) {
                out[separator] = '-';
            } else if (out.size() == separator + 1) {
                out.pop_back();  // the grammar has no space before no text
            }
            out += "\r\n";
        } while (!line.empty());
        if (!last_line) {
            rest.remove_prefix(newline + 1);
        }
    }
}

std::string Reply::to_string() const {
    std::string out = std::to_string(code_);
    if (status_) {
        out += ' ' + status_->to_string();
    }
    if (!text_.empty()) {
        out += ' ';
        for (const char c : text_) {
            out += c == '\n' ? ' ' : c;
        }
    }
    return out;
}

}  // namespace postern::mail
