// `control.http`: where the gateway can be watched.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string http_at(const std::string& value) { return "control: { http: " + value + " }\n" + needed; }

TEST(Http, IsAnIpAddressAndAPort) {
    EXPECT_FALSE(good(needed)->control.http);
    EXPECT_EQ(good(http_at("'127.0.0.1:8025'"))->control.http->to_string(), "127.0.0.1:8025");
    EXPECT_EQ(good(http_at("'[0:0::1]:8025'"))->control.http->to_string(), "[::1]:8025");
    for (const char* wrong : {"'localhost:8025'", "'unix:/run/http'"}) {
        EXPECT_THAT(errors_of(http_at(wrong)), ElementsAre(HasSubstr("`http`: expected IP:PORT")));
    }
    EXPECT_THAT(errors_of(http_at("'127.0.0.1'")), ElementsAre(HasSubstr("expected HOST:PORT")));
    EXPECT_THAT(errors_of(http_at("'::1:8025'")), ElementsAre(HasSubstr("stands in brackets")));
    for (const char* wrong : {"'127.0.0.1:0'", "'127.0.0.1:65536'", "'127.0.0.1:x'"}) {
        EXPECT_THAT(errors_of(http_at(wrong)), ElementsAre(HasSubstr("a number from 1 to 65535")));
    }
    for (const char* wrong : {"8025", "[]", "on", "''"}) {
        EXPECT_THAT(errors_of(http_at(wrong)), ElementsAre(HasSubstr("`http`"))) << wrong;
    }
}

TEST(Http, IsNobodyElsesAddress) {
    const auto errors = [](const std::string& listener, const std::string& http) {
        return errors_of("listeners: [ { address: '" + listener + "' } ]\n" + http_at("'" + http + "'"));
    };
    const auto taken = [](const char* http, const char* listener) {
        return ElementsAre(HasSubstr(std::string("`http`: `") + http + "` is taken by the listener `" + listener));
    };
    EXPECT_THAT(errors("127.0.0.1:25", "127.0.0.1:25"), taken("127.0.0.1:25", "127.0.0.1:25"));
    EXPECT_THAT(errors("0.0.0.0:25", "192.0.2.1:25"), taken("192.0.2.1:25", "0.0.0.0:25"));
    EXPECT_THAT(errors("[2001:db8::1]:25", "[::]:25"), taken("[::]:25", "[2001:db8::1]:25"));
    EXPECT_THAT(errors("0.0.0.0:25", "[::1]:25"), IsEmpty());
    EXPECT_THAT(errors("192.0.2.1:25", "192.0.2.2:25"), IsEmpty());
    EXPECT_THAT(errors("0.0.0.0:25", "127.0.0.1:8025"), IsEmpty());
    EXPECT_THAT(errors("unix:/run/smtp", "127.0.0.1:8025"), IsEmpty());
}

TEST(Http, BeyondThisMachineIsWarnedOf) {
    for (const char* near : {"'127.0.0.1:8025'", "'127.8.9.1:8025'", "'[::1]:8025'"}) {
        EXPECT_THAT(warnings_of(http_at(near)), IsEmpty()) << near;
    }
    for (const char* far : {"'0.0.0.0:8025'", "'[::]:8025'", "'192.0.2.1:8025'"}) {
        EXPECT_THAT(warnings_of(http_at(far)),
                    ElementsAre(AllOf(HasSubstr("`http`"), HasSubstr("is no loopback address"))))
            << far;
    }
}

}  // namespace
}  // namespace postern::config::tests
