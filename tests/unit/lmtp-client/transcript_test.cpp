// What a transcript keeps, and what it never grows to.
#include "lmtp-client/detail/transcript.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postern::lmtp_client::detail {
namespace {

using std::chrono::milliseconds;
using namespace std::string_literals;

Transcript::Instant at(int elapsed) { return Transcript::Instant(milliseconds(1'000'000 + elapsed)); }

TEST(Transcript, IsALineForEachLineThatWasSaid) {
    Transcript transcript;
    transcript.begin(at(0));
    transcript.note("connected", at(1));
    transcript.received("220 st", at(2));
    transcript.received("ore\r\n", at(3));
    transcript.sent("MAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n", at(1500));
    transcript.content(300, at(1501));
    transcript.received("452 4.2.2 full\r\n", at(61'000));
    EXPECT_EQ(transcript.text(),
              "   0.001 -- connected\n"
              "   0.002 S: 220 store\n"
              "   1.500 C: MAIL FROM:<>\n"
              "   1.500 C: RCPT TO:<a@example.com>\n"
              "   1.500 C: DATA\n"
              "   1.501 -- the content: 300 octets\n"
              "  61.000 S: 452 4.2.2 full\n");
}

TEST(Transcript, KeepsAnUnfinishedLine) {
    Transcript transcript;
    transcript.begin(at(0));
    transcript.received("250-half", at(0));
    transcript.note("closed", at(5));
    EXPECT_EQ(transcript.text(), "   0.000 S: 250-half\n   0.005 -- closed\n");
}

TEST(Transcript, ForgetsTheTransactionBefore) {
    Transcript transcript;
    transcript.begin(at(0));
    transcript.sent("OLD\r\n", at(0));
    transcript.begin(at(100));
    transcript.sent("NEW\r\n", at(100));
    EXPECT_EQ(transcript.text(), "   0.000 C: NEW\n");
}

TEST(Transcript, KeepsTheBeginningAndTheEndOfALongOne) {
    Transcript transcript;
    transcript.begin(at(0));
    for (int i = 0; i < 20'000; ++i) {
        transcript.received("250 reply " + std::to_string(i) + "\r\n", at(i));
    }
    const std::string text = transcript.text();
    EXPECT_THAT(text, testing::HasSubstr("250 reply 0\n"));
    EXPECT_THAT(text, testing::HasSubstr("octets left out"));
    EXPECT_TRUE(text.ends_with("250 reply 19999\n"));
    EXPECT_LT(text.size(), Transcript::text_octets_max + 8192);
}

TEST(Transcript, IsBoundedWhateverAStoreSends) {
    Transcript transcript;
    transcript.begin(at(0));
    transcript.received(std::string(1'000'000, 'x'), at(0));
    for (int i = 0; i < 100; ++i) {
        transcript.received(std::string(2000, '\n'), at(i));
    }
    EXPECT_LT(transcript.text().size(), Transcript::text_octets_max + 8192);
}

TEST(Transcript, HasNoControlCharacterOfAStranger) {
    Transcript transcript;
    transcript.begin(at(0));
    transcript.received("550 \x1b[2J\a\0x\xff \xc2\x9b\x7f\\\r\n"s, at(0));
    EXPECT_EQ(transcript.text(), "   0.000 S: 550 \\x1b[2J\\x07\\x00x\\xff \\xc2\\x9b\\x7f\\\\\n");
}

}  // namespace
}  // namespace postern::lmtp_client::detail
