#include "lmtp-client/detail/dot_stuffing.hpp"

#include <cstring>

namespace postern::lmtp_client::detail {

void DotStuffer::append(std::string_view content, std::string& out) {
    if (content.empty()) {
        return;
    }
    const char* copied = content.data();
    const char* from = copied;
    const char* const end = copied + content.size();
    while (from != end) {
        const auto* dot = static_cast<const char*>(std::memchr(from, '.', static_cast<std::size_t>(end - from)));
        if (dot == nullptr) {
            break;
        }
        const char before = dot == content.data() ? last_ : dot[-1];
        if (before == '\n' || before == '\r') {
            out.append(copied, dot);
            out += '.';
            copied = dot;
        }
        from = dot + 1;
    }
    out.append(copied, end);
    before_last_ = content.size() > 1 ? end[-2] : last_;
    last_ = end[-1];
}

void DotStuffer::finish(std::string& out) {
    if (before_last_ != '\r' || last_ != '\n') {
        out += "\r\n";
    }
    out += ".\r\n";
}

}  // namespace postern::lmtp_client::detail
