#include "gateway/bounce/detail/returned.hpp"

#include <algorithm>

#include "gateway/bounce/detail/text.hpp"

namespace postern::bounce::detail {

namespace {

constexpr std::size_t message_id_octets_max = 250;

/// RFC 5322 section 2.2: a name is printable ASCII without a colon; obs-fields have spaces before the colon.
bool is_field_start(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
        return false;
    }
    std::string_view name = line.substr(0, colon);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) {
        name.remove_suffix(1);
    }
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~'; });
}

/// Length of the line that `text` begins with, its end included: CRLF, or a bare LF in what no SMTP brought.
std::size_t line_length(std::string_view text) {
    const std::size_t end = text.find('\n');
    return end == std::string_view::npos ? text.size() : end + 1;
}

bool is_continuation(std::string_view line) { return line.front() == ' ' || line.front() == '\t'; }

std::size_t field_length(std::string_view header) {
    std::size_t length = line_length(header);
    while (length < header.size() && is_continuation(header.substr(length))) {
        length += line_length(header.substr(length));
    }
    return length;
}

}  // namespace

std::string_view header_of(std::string_view content) {
    std::size_t length = 0;
    while (length < content.size()) {
        const std::string_view line = content.substr(length, line_length(content.substr(length)));
        const bool belongs = is_continuation(line) ? length > 0 : is_field_start(line);
        if (!belongs) {
            break;
        }
        length += line.size();
    }
    return content.substr(0, length);
}

Field take_field(std::string_view& header) {
    std::string_view text = header.substr(0, field_length(header));
    header.remove_prefix(text.size());
    const std::size_t colon = text.find(':');
    Field field;
    field.name = text.substr(0, colon);
    field.name = field.name.substr(0, field.name.find_last_not_of(" \t") + 1);
    field.value = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
    while (!field.value.empty() && (field.value.back() == '\n' || field.value.back() == '\r')) {
        field.value.remove_suffix(1);
    }
    return field;
}

std::string message_id_of(std::string_view header) {
    while (!header.empty()) {
        const Field field = take_field(header);
        if (!same_word(field.name, "message-id")) {
            continue;
        }
        const std::size_t open = field.value.find_first_not_of(" \t\r\n");
        if (open == std::string_view::npos) {
            return {};
        }
        std::string_view id = field.value.substr(open);
        id = id.substr(0, id.find_last_not_of(" \t\r\n") + 1);
        const bool plain = id.size() >= 3 && id.size() <= message_id_octets_max && id.front() == '<' &&
                           id.back() == '>' && std::all_of(id.begin() + 1, id.end() - 1, [](char c) {
                               return c > ' ' && c <= '~' && c != '<' && c != '>';
                           });
        return plain ? std::string(id) : std::string();
    }
    return {};
}

Part returned_header(std::string_view header, std::size_t octets_max, bool utf8) {
    std::size_t length = 0;
    while (length < header.size()) {
        const std::size_t next = length + field_length(header.substr(length));
        if (next > octets_max) {
            break;
        }
        length = next;
    }
    Part part;
    std::string_view kept = header.substr(0, length);
    part.fields = length < header.size() ? "Content-Description: Header of the message, cut short\r\n"
                                         : "Content-Description: Header of the message\r\n";
    const bool good = has_good_lines(kept);
    if (good && is_ascii(kept)) {
        part.fields += "Content-Type: text/rfc822-headers; charset=us-ascii\r\n";
        part.body = kept;
    } else if (good && utf8 && is_utf8(kept)) {
        part.fields += "Content-Type: message/global-headers; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
        part.body = kept;
    } else {
        // Broken fields go encoded (RFC 6522 section 4).
        part.fields += "Content-Type: text/rfc822-headers; charset=";
        part.fields += is_ascii(kept) ? "us-ascii" : is_utf8(kept) ? "utf-8" : "unknown-8bit";
        part.fields += "\r\nContent-Transfer-Encoding: quoted-printable\r\n";
        part.body = quoted_printable(kept);
    }
    return part;
}

bool can_return(std::string_view content, bool utf8) {
    const std::string_view header = header_of(content);
    // A header with 8-bit octets that nobody declared has no type of its own.
    return has_good_lines(content) && (is_ascii(header) || (utf8 && is_utf8(header)));
}

Part returned_message(std::string_view content) {
    Part part;
    part.fields = "Content-Description: The message\r\nContent-Type: ";
    part.fields += is_ascii(header_of(content)) ? "message/rfc822\r\n" : "message/global\r\n";
    if (!is_ascii(content)) {
        part.fields += "Content-Transfer-Encoding: 8bit\r\n";
    }
    part.body = content;
    return part;
}

}  // namespace postern::bounce::detail
