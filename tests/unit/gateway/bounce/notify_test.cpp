#include "gateway/bounce/notify.hpp"

#include <gtest/gtest.h>

namespace postern::bounce {
namespace {

using mail::DsnNotify;

constexpr Notice notices[] = {Notice::failed, Notice::delayed, Notice::relayed};

Sender trusted() {
    Sender sender;
    sender.is_verified = true;
    return sender;
}

// Shows: RFC 3461 sections 5.2.4 to 5.2.7
TEST(Decide, FollowsEachNotify) {
    for (int bits = 2; bits < 16; bits += 2) {
        const auto notify = static_cast<DsnNotify>(bits);
        const auto report_if = [](bool wanted) { return wanted ? Ruling::report : Ruling::silence; };
        EXPECT_EQ(decide(Notice::failed, notify, trusted(), SendPolicy::verified).ruling, report_if((bits & 4) != 0))
            << bits;
        EXPECT_EQ(decide(Notice::delayed, notify, trusted(), SendPolicy::verified).ruling, report_if((bits & 8) != 0))
            << bits;
        EXPECT_EQ(decide(Notice::relayed, notify, trusted(), SendPolicy::verified).ruling, report_if((bits & 2) != 0))
            << bits;
    }
    EXPECT_EQ(decide(Notice::failed, DsnNotify::unspecified, trusted(), SendPolicy::verified).ruling, Ruling::report);
    EXPECT_EQ(decide(Notice::delayed, DsnNotify::unspecified, trusted(), SendPolicy::verified).ruling, Ruling::report);
    EXPECT_EQ(decide(Notice::relayed, DsnNotify::unspecified, trusted(), SendPolicy::verified).ruling, Ruling::silence);
}

TEST(Decide, IsSilentWhenNobodyIsToBeToldWhateverThePolicy) {
    for (const Notice notice : notices) {
        for (const SendPolicy policy : {SendPolicy::always, SendPolicy::verified, SendPolicy::never}) {
            EXPECT_EQ(decide(notice, DsnNotify::never, trusted(), policy).ruling, Ruling::silence);
            Sender null = trusted();
            null.is_null = true;  // RFC 5321 section 4.5.5
            EXPECT_EQ(decide(notice, DsnNotify::failure | DsnNotify::success | DsnNotify::delay, null, policy).ruling,
                      Ruling::silence);
            Sender automatic = trusted();
            automatic.nature = Nature::automatic;
            EXPECT_EQ(decide(notice, DsnNotify::unspecified, automatic, policy).ruling, Ruling::silence);
        }
    }
}

TEST(Decide, ParksAFailureThatMayNotBeTold) {
    const Sender stranger;
    EXPECT_EQ(decide(Notice::failed, DsnNotify::unspecified, stranger, SendPolicy::verified).ruling, Ruling::park);
    EXPECT_EQ(decide(Notice::failed, DsnNotify::failure, trusted(), SendPolicy::never).ruling, Ruling::park);
    EXPECT_EQ(decide(Notice::failed, DsnNotify::unspecified, stranger, SendPolicy::always).ruling, Ruling::report);
    EXPECT_EQ(decide(Notice::delayed, DsnNotify::delay, stranger, SendPolicy::verified).ruling, Ruling::silence);
    EXPECT_EQ(decide(Notice::relayed, DsnNotify::success, trusted(), SendPolicy::never).ruling, Ruling::silence);
    EXPECT_EQ(decide(Notice::relayed, DsnNotify::success, trusted(), SendPolicy::verified).ruling, Ruling::report);
}

TEST(Decide, SaysWhyNobodyIsTold) {
    EXPECT_EQ(decide(Notice::failed, DsnNotify::unspecified, trusted(), SendPolicy::always).why, "");
    EXPECT_NE(decide(Notice::failed, DsnNotify::never, trusted(), SendPolicy::always).why, "");
    EXPECT_NE(decide(Notice::failed, DsnNotify::unspecified, Sender(), SendPolicy::verified).why, "");
}

TEST(NatureOf, KnowsReportsAndAutomaticAnswers) {
    for (const char* content :
         {"Auto-Submitted: auto-replied\r\n\r\nhi", "auto-SUBMITTED:\r\n Auto-Replied; owner=x\r\n\r\n",
          "Subject: x\r\nAuto-Submitted: auto-replied (vacation)\r\n\r\n", "Auto-Submitted : auto-replied\r\n\r\n",
          "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n",
          "Content-Type:\r\n\tMULTIPART/Report;\r\n x=y\r\n"}) {
        EXPECT_EQ(nature_of(content), Nature::automatic) << content;
    }
    for (const char* content :
         {"", "\r\nAuto-Submitted: auto-replied\r\n", "Auto-Submitted: no\r\n\r\n",
          "Auto-Submitted: auto-generated\r\n\r\n", "Subject: x\r\n\r\nAuto-Submitted: auto-replied\r\n",
          "Subject: x\r\n Auto-Submitted: auto-replied\r\n\r\n", "X-Auto-Submitted: auto-replied\r\n\r\n",
          "Auto-Submitted:\r\n\r\n", "no field\r\nAuto-Submitted: auto-replied\r\n"}) {
        EXPECT_EQ(nature_of(content), Nature::ordinary) << content;
    }
}

}  // namespace
}  // namespace postern::bounce
