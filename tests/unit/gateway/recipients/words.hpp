// What the tests of this folder speak in.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "queue/mail/mailbox.hpp"
#include "queue/mail/reply.hpp"
#include "queue/time.hpp"

namespace postern::recipients::tests {

inline mail::Mailbox mailbox(std::string_view text) {
    auto parsed = mail::Mailbox::parse(text, mail::Utf8::allowed);
    EXPECT_TRUE(parsed.has_value()) << text;
    return *parsed;
}

inline const mail::Reply taken(250, mail::EnhancedStatus(2, 1, 5), "ok");
inline const mail::Reply unknown(550, mail::EnhancedStatus(5, 1, 1), "no such user");
inline const mail::Reply full(452, mail::EnhancedStatus(4, 2, 2), "full");

inline const queue::Instant start{std::chrono::hours(500'000)};

}  // namespace postern::recipients::tests
