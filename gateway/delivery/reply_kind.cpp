#include "gateway/delivery/reply_kind.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace postern::delivery {

namespace {

std::string lower(const std::string& text) {
    std::string low(text);
    std::transform(low.begin(), low.end(), low.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return low;
}

/// No status code tells one user's limit from the store's, so the words have to.
bool speaks_of_one_busy_mailbox(const mail::Reply& reply) {
    constexpr std::array<std::string_view, 5> words = {"too many concurrent", "concurrent deliver", "mailbox is locked",
                                                       "mailbox locked", "mailbox is busy"};
    if (reply.text().empty() || reply.text().size() > 4096) {
        return false;
    }
    const std::string text = lower(reply.text());
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

}  // namespace

ReplyKind reply_kind(const mail::Reply& reply) {
    if (reply.code() == 0) {
        return ReplyKind::connection;
    }
    const auto& status = reply.status();
    if (status && status->subject == 2 && status->detail == 2) {
        return ReplyKind::mailbox_full;
    }
    if (speaks_of_one_busy_mailbox(reply)) {
        return ReplyKind::busy;
    }
    if (!status) {
        return reply.code() == 452 ? ReplyKind::mailbox_full : ReplyKind::other;
    }
    switch (status->subject) {
        case 3:
        case 4:
            return ReplyKind::store;
        case 7:
            return ReplyKind::policy;
        default:
            return ReplyKind::other;
    }
}

std::string_view to_string(ReplyKind kind) {
    switch (kind) {
        case ReplyKind::mailbox_full:
            return "mailbox_full";
        case ReplyKind::busy:
            return "busy";
        case ReplyKind::store:
            return "store";
        case ReplyKind::policy:
            return "policy";
        case ReplyKind::connection:
            return "connection";
        case ReplyKind::other:
            break;
    }
    return "other";
}

}  // namespace postern::delivery
