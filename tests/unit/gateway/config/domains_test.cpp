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
        EXPECT_EQ(rule.recipients.how, RecipientCheck::How::ask);
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
                ElementsAre(HasSubstr("`recipients`: expected ask, any, a list of addresses, ")));
    EXPECT_THAT(errors_of("domains: { example.com: { recipients: asks } }\n" + backends),
                ElementsAre(HasSubstr("did you mean `ask`?")));
}

RecipientCheck recipients_of(const std::string& pattern, const std::string& value) {
    return good("domains: { '" + pattern + "': { recipients: " + value +
                " } }\nbackends: { s: { endpoints: ['127.0.0.1:24'] } }\n")
        ->domains.at(0)
        .recipients;
}

TEST(Recipients, AreKnownInFiveWays) {
    using How = RecipientCheck::How;
    EXPECT_EQ(recipients_of("example.com", "ask").how, How::ask);
    EXPECT_EQ(recipients_of("example.com", "any").how, How::any);
    const RecipientCheck list = recipients_of("*.example.com", "[info, a@b.example.com, '@c.example.com']");
    EXPECT_EQ(list.how, How::list);
    EXPECT_THAT(list.addresses, ElementsAre("info", "a@b.example.com", "@c.example.com"));
    const RecipientCheck file = recipients_of("example.com", "{ file: /etc/postern/recipients }");
    EXPECT_EQ(file.how, How::file);
    EXPECT_EQ(file.path, "/etc/postern/recipients");
    const RecipientCheck sqlite =
        recipients_of("example.com", "{ sqlite: /var/mail.db, query: 'SELECT 1 FROM m WHERE a = ?' }");
    EXPECT_EQ(sqlite.how, How::sqlite);
    EXPECT_EQ(sqlite.path, "/var/mail.db");
    EXPECT_EQ(sqlite.query, "SELECT 1 FROM m WHERE a = ?");
}

TEST(Recipients, EveryWrongFormHearsWhatWasMeant) {
    const std::vector<std::pair<std::string, std::string>> forms{
        {"[]", "is an empty list"},
        {"[a@example.org]", "`a@example.org` is not in `example.com`"},
        {"['@sub.example.com']", "is not in `example.com`"},
        {"['two words']", "expected an address, a local part or \"@domain\""},
        {"[[]]", "expected an address"},
        {"{}", "expected either `file` or `sqlite`"},
        {"{ file: /a, sqlite: /b, query: x }", "expected either `file` or `sqlite`, found both"},
        {"{ file: recipients }", "expected an absolute path"},
        {"{ sqlite: /a }", "`sqlite` needs a `query`"},
        {"{ file: /a, query: x }", "`query` is of use only with `sqlite`"},
        {"{ files: /a }", "unknown key `files`; did you mean `file`?"},
    };
    for (const auto& [written, why] : forms) {
        EXPECT_THAT(errors_of("domains: { example.com: { recipients: " + written +
                              " } }\nbackends: { s: { endpoints: ['127.0.0.1:24'] } }\n"),
                    testing::Contains(HasSubstr(why)))
            << written;
    }
}

TEST(Ask, GivesUpNoAnswerBeforeItIsAskedForAnew) {
    EXPECT_THAT(errors_of("ask: { positive: 1h, refresh: 2h }\n" + domain("example.com")),
                ElementsAre(HasSubstr("`refresh` is longer than `positive`")));
    const auto config =
        good("ask: { timeout: 1s, connections: 2, positive: 2h, refresh: 1h, negative: 0, entries: 500 }\n" +
             domain("example.com"));
    EXPECT_EQ(config->ask.timeout, std::chrono::seconds(1));
    EXPECT_EQ(config->ask.connections, 2U);
    EXPECT_EQ(config->ask.negative, std::chrono::milliseconds(0));
    EXPECT_EQ(config->ask.entries, 500U);
}

}  // namespace
}  // namespace postern::config::tests
