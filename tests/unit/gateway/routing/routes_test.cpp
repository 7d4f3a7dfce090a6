// Which addresses are ours, and above all which are not.
#include "gateway/routing/routes.hpp"

#include <gtest/gtest.h>

namespace postern::routing {
namespace {

std::shared_ptr<const config::Config> make_config(const std::vector<std::string>& patterns) {
    auto config = std::make_shared<config::Config>();
    for (const std::string& pattern : patterns) {
        config::Domain domain;
        domain.pattern = pattern;
        domain.backend = "to " + pattern;
        config->backends[domain.backend].name = domain.backend;
        config->domains.push_back(domain);
    }
    return config;
}

std::string backend_of(const Routes& routes, const std::string& address) {
    const auto mailbox = mail::Mailbox::parse(address, mail::Utf8::allowed);
    if (!mailbox.has_value()) {
        return "no address";
    }
    const auto route = routes.find(*mailbox);
    return route ? route->backend->name : "none";
}

TEST(Routes, PreferTheExactNameThenTheLongestPattern) {
    const Routes routes(make_config({"*.example.com", "example.com", "*.deep.example.com", "a.deep.example.com"}));
    EXPECT_EQ(backend_of(routes, "u@EXAMPLE.com"), "to example.com");
    EXPECT_EQ(backend_of(routes, "u@a.example.com"), "to *.example.com");
    EXPECT_EQ(backend_of(routes, "u@b.a.example.com"), "to *.example.com");
    EXPECT_EQ(backend_of(routes, "u@x.deep.example.com"), "to *.deep.example.com");
    EXPECT_EQ(backend_of(routes, "u@a.deep.example.com"), "to a.deep.example.com");
}

TEST(Routes, APatternIsNotTheDomainItself) {
    const Routes routes(make_config({"*.example.com"}));
    EXPECT_EQ(backend_of(routes, "u@example.com"), "none");
}

TEST(Routes, TakeNoLookAlike) {
    const Routes routes(make_config({"example.com"}));
    for (const char* address : {"u@example.com.test", "u@xexample.com", "u@sub.example.com", "u@com",
                                "u@example\xE3\x80\x82"
                                "com",
                                "u@example.com\xE2\x80\x8B", "u@example.com.", "u@[192.0.2.1]",
                                "u%example.com@other.test", "\"u@example.com\"@other.test"}) {
        EXPECT_NE(backend_of(routes, address), "to example.com") << address;
    }
}

TEST(Routes, FirstDomainIsNoPattern) {
    EXPECT_EQ(Routes(make_config({"*.example.com", "example.org"})).first_domain(), "example.org");
}

}  // namespace
}  // namespace postern::routing
