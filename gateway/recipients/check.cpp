#include "gateway/recipients/check.hpp"

#include <algorithm>

namespace postern::recipients {

namespace {

std::string lower_ascii(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

}  // namespace

std::string folded(const mail::Mailbox& address) {
    return lower_ascii(address.local_part()) + '@' + address.domain_key();
}

Verdict no_such_mailbox(const mail::Mailbox& address) {
    Verdict verdict;
    verdict.refusal =
        mail::Reply(550, mail::EnhancedStatus(5, 1, 1), '<' + address.to_string() + ">: no such mailbox here");
    verdict.is_unknown = true;
    return verdict;
}

Verdict cannot_tell() {
    Verdict verdict;
    verdict.refusal =
        mail::Reply(451, mail::EnhancedStatus(4, 3, 0), "The list of mailboxes cannot be read now; try again later");
    return verdict;
}

bool is_postmaster(const mail::Mailbox& address) { return lower_ascii(address.unquoted_local_part()) == "postmaster"; }

}  // namespace postern::recipients
