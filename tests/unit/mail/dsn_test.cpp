#include "queue/mail/dsn.hpp"

#include <gtest/gtest.h>

namespace postern::mail {
namespace {

// Shows: RFC 3461 section 4
TEST(Xtext, DecodesWhatItEncodes) {
    std::string all;
    for (int i = 0; i < 256; ++i) {
        all += static_cast<char>(i);
    }
    EXPECT_EQ(decode_xtext(encode_xtext(all)), all);
    EXPECT_EQ(encode_xtext("a+b=c d"), "a+2Bb+3Dc+20d");
    EXPECT_EQ(encode_xtext("\r\n\xff"), "+0D+0A+FF");
    EXPECT_EQ(decode_xtext(""), "");
}

TEST(Xtext, RefusesWhatIsNoXtext) {
    for (const char* bad : {"+", "a+", "+2", "+2b", "+GG", "+ 2", "a=b", "a b", "a\tb", "\x7f", "\xc3\xbc", "++2B"}) {
        EXPECT_FALSE(decode_xtext(bad).has_value()) << bad;
    }
}

TEST(DsnNotify, NamesItsFlags) {
    EXPECT_EQ(to_string(DsnNotify::unspecified), "");
    EXPECT_EQ(to_string(DsnNotify::never), "NEVER");
    EXPECT_EQ(to_string(DsnNotify::delay | DsnNotify::success), "SUCCESS,DELAY");
    EXPECT_EQ(to_string(DsnNotify::delay | DsnNotify::success | DsnNotify::failure), "SUCCESS,FAILURE,DELAY");
}

}  // namespace
}  // namespace postern::mail
