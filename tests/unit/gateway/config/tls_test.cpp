// `tls` of a listener.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string with_tls(const std::string& tls, const std::string& address = "127.0.0.1:2525") {
    return "listeners: [ { address: '" + address + "', tls: " + tls + " } ]\n" + needed;
}

TEST(Tls, IsAbsentByDefault) {
    EXPECT_FALSE(good("listeners: [ { address: '127.0.0.1:25' } ]\n" + needed)->listeners[0].tls);
}

TEST(Tls, NeedsACertificateAndItsKey) {
    const auto config = good(with_tls("{ certificate: /c.pem, key: /k.pem }"));
    ASSERT_TRUE(config->listeners[0].tls);
    const Tls& tls = *config->listeners[0].tls;
    ASSERT_EQ(tls.pairs.size(), 1U);
    EXPECT_EQ(tls.pairs[0].certificate, "/c.pem");
    EXPECT_EQ(tls.pairs[0].key, "/k.pem");
    EXPECT_FALSE(tls.required || tls.implicit || tls.ask_client_certificate);
    EXPECT_THAT(errors_of(with_tls("{ certificate: /c.pem }")), ElementsAre(HasSubstr("`key` is missing")));
    EXPECT_THAT(errors_of(with_tls("{ key: /k.pem }")), ElementsAre(HasSubstr("`certificate` is missing")));
    EXPECT_THAT(errors_of(with_tls("{ certificate: c.pem, key: /k.pem }")), ElementsAre(HasSubstr("an absolute path")));
    EXPECT_THAT(errors_of(with_tls("{ certificate: /c.pem, key: /k.pem, requird: true }")),
                ElementsAre(HasSubstr("did you mean `required`?")));
    EXPECT_THAT(errors_of(with_tls("[]")), ElementsAre(HasSubstr("expected a mapping")));
}

TEST(Tls, TakesFurtherPairs) {
    const auto config =
        good(with_tls("{ certificate: /a.pem, key: /a.key, implicit: true, ask_client_certificate: true, additional: [ "
                      "{ certificate: "
                      "/b.pem, key: /b.key }, { certificate: /c.pem, key: /c.key } ] }"));
    ASSERT_TRUE(config->listeners[0].tls);
    ASSERT_EQ(config->listeners[0].tls->pairs.size(), 3U);
    EXPECT_EQ(config->listeners[0].tls->pairs[2].key, "/c.key");
    EXPECT_TRUE(config->listeners[0].tls->implicit);
    EXPECT_TRUE(config->listeners[0].tls->ask_client_certificate);
    EXPECT_THAT(errors_of(with_tls("{ certificate: /a.pem, key: /a.key, additional: [ { key: /b.key } ] }")),
                ElementsAre(HasSubstr("`certificate` is missing")));
}

// RFC 3207 section 4: a publicly-referenced SMTP server must not require it.
TEST(Tls, RequiredOnPort25IsWarnedOf) {
    const std::string required = "{ certificate: /c.pem, key: /k.pem, required: true }";
    EXPECT_THAT(warnings_of(with_tls(required, "0.0.0.0:25")), ElementsAre(HasSubstr("RFC 3207")));
    EXPECT_THAT(warnings_of(with_tls(required)), IsEmpty());
    EXPECT_THAT(errors_of(with_tls("{ certificate: /c.pem, key: /k.pem, required: 1 }")),
                ElementsAre(HasSubstr("true")));
}

}  // namespace
}  // namespace postern::config::tests
