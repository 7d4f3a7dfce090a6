#include "gateway/screening/lists.hpp"

#include <algorithm>

namespace postern::screening {

namespace {

constexpr std::size_t reason_octets_max = 200;

bool says_listed(const std::string& code, const List& list) {
    if (!code.starts_with("127.") || code.starts_with("127.255.255.") || code == "127.0.0.1") {
        return false;
    }
    return list.codes.empty() || std::find(list.codes.begin(), list.codes.end(), code) != list.codes.end();
}

}  // namespace

bool is_listed(const dns::Answer& answer, const List& list) {
    const auto codes = answer.all<dns::Address>();
    return answer.status == dns::Status::found &&
           std::any_of(codes.begin(), codes.end(),
                       [&](const dns::Address& code) { return says_listed(code.text, list); });
}

std::string reason_of(const dns::Answer& answer) {
    const auto texts = answer.all<dns::Text>();
    if (answer.status != dns::Status::found || texts.empty()) {
        return {};
    }
    std::string reason = texts.front().text.substr(0, reason_octets_max);
    std::replace_if(
        reason.begin(), reason.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return reason;
}

}  // namespace postern::screening
