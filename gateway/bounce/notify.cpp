#include "gateway/bounce/notify.hpp"

#include "gateway/bounce/detail/returned.hpp"
#include "gateway/bounce/detail/text.hpp"

namespace postern::bounce {

namespace {

using mail::DsnNotify;

/// RFC 3461 section 4.1: without NOTIFY a failure is reported, and a delay may be.
bool is_wanted(Notice notice, DsnNotify notify) {
    switch (notice) {
        case Notice::failed:
            return notify == DsnNotify::unspecified || contains(notify, DsnNotify::failure);
        case Notice::delayed:
            return notify == DsnNotify::unspecified || contains(notify, DsnNotify::delay);
        case Notice::relayed:
            return contains(notify, DsnNotify::success);
    }
    return false;
}

/// The first word of a structured field's value, before a parameter or a comment.
std::string_view first_word(std::string_view value) {
    const std::size_t begin = value.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) {
        return {};
    }
    value.remove_prefix(begin);
    return value.substr(0, value.find_first_of(" \t\r\n;("));
}

}  // namespace

Decision decide(Notice notice, mail::DsnNotify notify, const Sender& sender, SendPolicy policy) {
    if (sender.is_null) {
        return {Ruling::silence, "the sender is null: nobody is to be told"};
    }
    if (contains(notify, DsnNotify::never)) {
        return {Ruling::silence, "the sender asked for no report (NOTIFY=NEVER)"};
    }
    if (!is_wanted(notice, notify)) {
        return {Ruling::silence, "the sender asked for other reports only (NOTIFY)"};
    }
    if (sender.nature == Nature::automatic) {
        return {Ruling::silence, "the message is itself a report or an automatic answer"};
    }
    const bool allowed = policy == SendPolicy::always || (policy == SendPolicy::verified && sender.is_verified);
    if (allowed) {
        return {Ruling::report, {}};
    }
    if (notice != Notice::failed) {
        return {Ruling::silence, "the sender may not be written to (bounces.send)"};
    }
    return {Ruling::park, policy == SendPolicy::never ? std::string_view("no reports are sent (bounces.send: never)")
                                                      : std::string_view("nobody vouches for the sender")};
}

Nature nature_of(std::string_view content) {
    using detail::same_word;
    for (std::string_view rest = detail::header_of(content); !rest.empty();) {
        const detail::Field field = detail::take_field(rest);
        if (same_word(field.name, "auto-submitted") && same_word(first_word(field.value), "auto-replied")) {
            return Nature::automatic;
        }
        if (same_word(field.name, "content-type") && same_word(first_word(field.value), "multipart/report")) {
            return Nature::automatic;
        }
    }
    return Nature::ordinary;
}

}  // namespace postern::bounce
