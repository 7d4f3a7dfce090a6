// Which patterns `domains` takes, and what it says to those that look like one.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string domain(const std::string& pattern) {
    return "domains: { " + pattern + ": { recipients: any } }\nbackends: { s: { endpoints: ['127.0.0.1:24'] } }\n";
}

TEST(Domains, AreTakenInLowerCaseAndTheFilesOrder) {
    const auto config = good(
        "domains:\n  Example.COM: {}\n  \"*.Example.com\":\n  \"[192.0.2.1]\":\n  \"[IPv6:2001:db8::1]\":\n  b\xC3\xBC"
        "cher.example:\nbackends: { s: { endpoints: ['127.0.0.1:24'] } }\n");
    std::vector<std::string> patterns;
    for (const Domain& rule : config->domains) {
        patterns.push_back(rule.pattern);
        EXPECT_EQ(rule.backend, "s");
        EXPECT_EQ(rule.recipients, RecipientCheck::any);
    }
    EXPECT_THAT(patterns, ElementsAre("example.com", "*.example.com", "[192.0.2.1]", "[ipv6:2001:db8::1]",
                                      "b\xC3\xBC"
                                      "cher.example"));
}

TEST(Domains, EveryWrongFormHearsWhatWasMeant) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"'*'", "would take mail for every domain there is"},
        {"'user@example.com'", "expected a domain, found an address; did you mean `example.com`?"},
        {"'@example.com'", "did you mean `example.com`?"},
        {"example.com.", "no dot at its end; did you mean `example.com`?"},
        {"'*.example.com.'", "no dot at its end; did you mean `*.example.com`?"},
        {".example.com", "no dot at its front; did you mean `*.example.com`?"},
        {"'mail*.example.com'", "`*` stands alone in front"},
        {"'*example.com'", "`*` stands alone in front"},
        {"'*.*.example.com'", "`*` stands alone in front"},
        {"exa_mple.com", "expected a domain"},
        {"-example.com", "expected a domain"},
        {"example..com", "expected a domain"},
        {"'[192.0.2]'", "expected a domain"},
        {"'[2001:db8::1]'", "expected a domain"},
        {"'*.[192.0.2.1]'", "`*` stands alone in front"},
        {"'exam ple.com'", "expected a domain"},
        {"''", "expected a domain"},
        {std::string(64, 'a') + ".example", "expected a domain"},
    };
    for (const auto& [written, why] : forms) {
        EXPECT_THAT(errors_of(domain(written)), testing::Contains(HasSubstr(why))) << written;
    }
}

TEST(Domains, AWholeTopLevelIsWarnedOf) {
    EXPECT_THAT(warnings_of(domain("'*.com'")), ElementsAre(HasSubstr("takes mail for a whole top-level domain")));
}

TEST(Domains, APatternWithoutQuotesIsAnAliasAndIsToldSo) {
    EXPECT_THAT(errors_of("domains:\n  *.example.com: {}\n"),
                ElementsAre(HasSubstr("2:3: not YAML: `*` begins an alias there; put a pattern in quotes")));
}

TEST(Domains, KeysOfARule) {
    const std::string backends = "backends: { s: { endpoints: ['127.0.0.1:24'] } }\n";
    EXPECT_THAT(errors_of("domains: { example.com: { backend: [s] } }\n" + backends),
                ElementsAre(HasSubstr("`backend`: expected the name of a backend, found a list")));
    EXPECT_THAT(errors_of("domains: { example.com: stores }\n" + backends),
                ElementsAre(HasSubstr("expected a mapping")));
    EXPECT_THAT(errors_of("domains: { example.com: { recipients: all } }\n" + backends),
                ElementsAre(HasSubstr("`recipients`: expected any, found `all`")));
}

}  // namespace
}  // namespace postern::config::tests
