// Which replies speak of the mailbox, and which of something else.
#include "gateway/recipients/meaning.hpp"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

namespace postern::recipients {
namespace {

mail::Reply reply(std::uint16_t code, const char* status) {
    const auto parsed = mail::EnhancedStatus::parse(status);
    return parsed ? mail::Reply(code, *parsed, "text") : mail::Reply(code, "text");
}

// Shows: RFC 3463 sections 3.2 and 3.3
TEST(Meaning, OnlyWhatSpeaksOfTheMailboxCounts) {
    const std::vector<std::tuple<int, const char*, Meaning>> replies{
        {250, "2.1.5", Meaning::taken},   {251, "", Meaning::taken},        {550, "5.1.1", Meaning::unknown},
        {550, "", Meaning::unknown},      {551, "5.1.6", Meaning::unknown}, {553, "", Meaning::unknown},
        {550, "5.2.1", Meaning::unknown}, {452, "4.2.2", Meaning::full},    {452, "", Meaning::full},
        {552, "5.2.2", Meaning::full},    {552, "", Meaning::full},         {554, "5.2.2", Meaning::full},
        {450, "4.2.1", Meaning::nothing}, {451, "4.3.0", Meaning::nothing}, {450, "4.1.1", Meaning::nothing},
        {554, "", Meaning::nothing},      {550, "5.7.1", Meaning::nothing}, {550, "5.1.8", Meaning::nothing},
        {553, "5.1.7", Meaning::nothing}, {501, "5.5.4", Meaning::nothing}, {552, "5.3.4", Meaning::nothing},
        {354, "", Meaning::nothing},      {554, "5.3.0", Meaning::nothing}, {452, "4.5.3", Meaning::nothing},
    };
    for (const auto& [code, status, meaning] : replies) {
        EXPECT_EQ(meaning_of(reply(static_cast<std::uint16_t>(code), status)), meaning) << code << ' ' << status;
    }
}

}  // namespace
}  // namespace postern::recipients
