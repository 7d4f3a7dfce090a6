#include "smtp-server/detail/line_reader.hpp"

namespace postern::smtp_server::detail {

mail::Reply line_fault_reply(LineStatus fault) {
    const mail::EnhancedStatus syntax(5, 5, 2);
    switch (fault) {
        case LineStatus::too_long:
            return {500, syntax, "Line too long"};
        case LineStatus::bare_newline:
            return {500, syntax, "Lines end with CRLF, and hold no other CR or LF"};
        case LineStatus::nul:
            return {500, syntax, "Line holds a NUL"};
        case LineStatus::need_more:
        case LineStatus::line:
            break;
    }
    return {500, syntax, "Syntax error"};
}

LineReader::Fed LineReader::feed(std::string_view in) {
    if (done_) {
        reset();
        done_ = in.empty();
    }
    std::size_t consumed = 0;
    while (consumed < in.size()) {
        const std::string_view rest = in.substr(consumed);
        const std::size_t newline = rest.find('\n');
        const std::string_view part = rest.substr(0, newline);
        append(part);
        if (newline == std::string_view::npos) {
            consumed = in.size();
            break;
        }
        consumed += newline + 1;
        if (last_is_cr_) {
            if (!swallowing_) {
                const LineStatus status = judge();
                line_.resize(status == LineStatus::line ? line_.size() - 1 : 0);
                done_ = true;
                return {consumed, status};
            }
            reset();
            done_ = consumed == in.size();
        } else if (!swallowing_) {
            swallowing_ = true;
            line_.clear();
            return {consumed, LineStatus::bare_newline};
        }
    }
    return {consumed, LineStatus::need_more};
}

void LineReader::reset() {
    line_.clear();
    last_is_cr_ = too_long_ = swallowing_ = false;
    done_ = true;
}

void LineReader::append(std::string_view part) {
    if (part.empty()) {
        return;
    }
    last_is_cr_ = part.back() == '\r';
    if (swallowing_ || too_long_) {
        return;
    }
    if (line_.size() + part.size() >= octets_max_) {  // the LF counts too
        too_long_ = true;
        line_.clear();
        return;
    }
    line_.append(part);
}

LineStatus LineReader::judge() const {
    if (too_long_) {
        return LineStatus::too_long;
    }
    if (line_.find('\r') != line_.size() - 1) {
        return LineStatus::bare_newline;
    }
    return line_.find('\0') == std::string::npos ? LineStatus::line : LineStatus::nul;
}

}  // namespace postern::smtp_server::detail
