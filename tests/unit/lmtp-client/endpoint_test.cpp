#include <gtest/gtest.h>

#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client {
namespace {

TEST(Endpoint, IsReadAndWrittenInTheSameForm) {
    for (const std::string text : {"127.0.0.1:24", "[::1]:24", "store.example:2424", "unix:/run/store/lmtp",
                                   "smtp://relay.example:25", "smtp://[::1]:25"}) {
        const auto endpoint = parse_endpoint(text);
        ASSERT_TRUE(endpoint.has_value()) << text;
        EXPECT_EQ(endpoint->to_string(), text);
    }
    EXPECT_EQ(parse_endpoint("[::1]:24")->host, "::1");
    EXPECT_EQ(parse_endpoint("[::1]:24")->protocol, Protocol::lmtp);
    EXPECT_EQ(parse_endpoint("smtp://relay.example:25")->protocol, Protocol::smtp);
    EXPECT_NE(*parse_endpoint("smtp://host:24"), *parse_endpoint("host:24"));  // no connection serves both
}

TEST(Endpoint, IsLocalWhenNobodyElseCouldAnswerThere) {
    for (const char* text : {"127.0.0.1:24", "127.9.9.9:24", "[::1]:24", "unix:/run/store/lmtp"}) {
        EXPECT_TRUE(parse_endpoint(text)->is_local()) << text;
    }
    for (const char* text : {"192.0.2.1:24", "[2001:db8::1]:24", "localhost:24", "127.example:24"}) {
        EXPECT_FALSE(parse_endpoint(text)->is_local()) << text;
    }
}

TEST(Endpoint, IsNotReadFromAnythingElse) {
    for (const std::string text :
         {"", ":", "host", "host:", ":24", "::1:24", "host:0", "host:65536", "host:2x", "unix:", "[]:24", "smtp://",
          "smtp://host", "lmtp://host:24", "smtp://smtp://host:25"}) {
        EXPECT_FALSE(parse_endpoint(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace postern::lmtp_client
