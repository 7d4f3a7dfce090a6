// A wrong file is told whole: all that is wrong with it at once, each with file, line, column and what was meant.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(Strictness, AllErrorsAtOnceInTheFilesOrder) {
    const std::string yaml =
        "hostnam: mx1.example.com\n"                           // 1
        "shutdown_grace: 10\n"                                 // 2
        "limits:\n"                                            // 3
        "  connections: many\n"                                // 4
        "  connections: 5\n"                                   // 5
        "listeners:\n"                                         // 6
        "  - address: 127.0.0.1\n"                             // 7
        "    protocol: smpt\n"                                 // 8
        "domains:\n"                                           // 9
        "  example.com: { backend: store, recipient: any }\n"  // 10
        "backends:\n"                                          // 11
        "  stores: { endpoints: ['127.0.0.1:25'] }\n";         // 12
    const Loaded loaded = load(yaml);
    EXPECT_EQ(loaded.config, nullptr);
    EXPECT_THAT(
        texts(loaded.problems),
        ElementsAre(
            "postern.yaml:1:1: unknown key `hostnam`; did you mean `hostname`?",
            "postern.yaml:2:17: `shutdown_grace`: expected a duration from 0 to 1h, found `10`; did you mean `10s`?",
            HasSubstr("postern.yaml:4:16: `connections`: expected a whole number from 1 to 1000000, found `many`"),
            "postern.yaml:5:3: `connections` is given twice; first in line 4",
            HasSubstr("postern.yaml:7:14: `address`: `127.0.0.1`: expected HOST:PORT"),
            HasSubstr("postern.yaml:8:15: `protocol`: expected one of smtp, lmtp, found `smpt`; did you mean `smtp`?"),
            HasSubstr("postern.yaml:10:27: unknown backend `store`; did you mean `stores`?"),
            HasSubstr("postern.yaml:10:34: unknown key `recipient`; did you mean `recipients`?"),
            HasSubstr("postern.yaml:12:25: `endpoints`: `127.0.0.1:25`: LMTP is not spoken on port 25 (RFC 2033")));
}

TEST(Strictness, AKeyThatResemblesNothingHearsWhatThereIs) {
    EXPECT_THAT(errors_of("log: { xyzzyxyzzy: 1 }\n" + needed),
                ElementsAre("postern.yaml:1:8: unknown key `xyzzyxyzzy`; expected one of format, level"));
}

TEST(Strictness, DuplicateKeysAtEveryDepth) {
    EXPECT_THAT(errors_of("log: {}\nlog: {}\n" + needed),
                ElementsAre(HasSubstr("2:1: `log` is given twice; first in line 1")));
    EXPECT_THAT(
        errors_of("domains:\n  example.com: {}\n  example.com: {}\nbackends: { s: { endpoints: ['127.0.0.1:24'] } }\n"),
        ElementsAre(HasSubstr("3:3: `example.com` is given twice; first in line 2")));
    EXPECT_THAT(
        errors_of("domains:\n  example.com: {}\n  Example.COM: {}\nbackends: { s: { endpoints: ['127.0.0.1:24'] } }\n"),
        ElementsAre(HasSubstr("3:3: `example.com` is given twice; first in line 2")));
}

TEST(Strictness, SectionsOfTheWrongShape) {
    for (const char* section : {"limits", "queue", "retry", "control", "log"}) {
        for (const char* value : {"5", "[]", "'text'"}) {
            EXPECT_THAT(errors_of(std::string(section) + ": " + value + "\n" + needed),
                        ElementsAre(HasSubstr("expected a mapping (lines of `key: value`), found")))
                << section << ": " << value;
        }
    }
    EXPECT_THAT(errors_of("listeners: { address: '127.0.0.1:25' }\n" + needed),
                ElementsAre(HasSubstr("`listeners`: expected a list")));
    EXPECT_THAT(errors_of("listeners: ['127.0.0.1:25']\n" + needed), ElementsAre(HasSubstr("expected a mapping")));
}

TEST(Strictness, DomainsAndBackendsHaveNoDefault) {
    EXPECT_THAT(errors_of("hostname: mx.example.com\n"),
                ElementsAre("postern.yaml: `domains` is missing: which domains is this gateway the MX of?",
                            "postern.yaml: `backends` is missing: where does their mail go?"));
    EXPECT_THAT(errors_of("domains:\nbackends: {}\n"),
                ElementsAre(HasSubstr("`domains` is empty"), HasSubstr("`backends` is empty")));
    EXPECT_THAT(errors_of("domains: [example.com]\nbackends: localhost\n"),
                ElementsAre(HasSubstr("`domains`: expected a mapping"), HasSubstr("`backends`: expected a mapping")));
}

TEST(Strictness, BackendsThatDoNotFitTheirDomains) {
    const std::string two = "backends:\n  a: { endpoints: ['127.0.0.1:24'] }\n  b: { endpoints: ['127.0.0.1:2424'] }\n";
    EXPECT_THAT(errors_of("domains: { example.com: }\n" + two),
                ElementsAre(HasSubstr("`example.com` needs a `backend`, as there is more than one")));
    EXPECT_THAT(errors_of("domains: { example.com: { backend: c } }\n" + two),
                ElementsAre(HasSubstr("unknown backend `c`")));
    EXPECT_THAT(warnings_of("domains: { example.com: { backend: a } }\n" + two),
                ElementsAre(HasSubstr("no domain uses the backend `b`")));
    EXPECT_THAT(warnings_of("domains: { example.com: { backend: a }, example.org: { backend: b } }\nbackends:\n"
                            "  a: { endpoints: ['127.0.0.1:24'] }\n  b: { endpoints: ['127.0.0.1:24'] }\n"),
                ElementsAre(HasSubstr("`127.0.0.1:24` is also an endpoint of `a`")));
}

TEST(Strictness, ABackendNeedsItsEndpointsOnce) {
    const auto with = [](const std::string& backend) {
        return "domains: { example.com: }\nbackends:\n  s: " + backend + "\n";
    };
    EXPECT_THAT(errors_of(with("{}")), ElementsAre(HasSubstr("backend `s` needs `endpoints`")));
    EXPECT_THAT(errors_of(with("{ endpoints: [] }")), ElementsAre(HasSubstr("expected 1 to 1000 of them, found 0")));
    EXPECT_THAT(errors_of(with("{ endpoints: '127.0.0.1:24' }")),
                ElementsAre(HasSubstr("`endpoints`: expected a list")));
    EXPECT_THAT(errors_of(with("{ endpoints: [['127.0.0.1:24']] }")), ElementsAre(HasSubstr("found a list")));
    EXPECT_THAT(errors_of(with("{ endpoints: ['[::1]:24', '[0:0::1]:24'] }")),
                ElementsAre(HasSubstr("`[::1]:24` is given twice; first in line 3")));
    EXPECT_THAT(errors_of("domains: { example.com: }\nbackends:\n  'a b': { endpoints: ['127.0.0.1:24'] }\n"),
                ElementsAre(HasSubstr("`a b`: the name of a backend has 1 to 64 letters")));
}

TEST(Strictness, MailInACircle) {
    for (const char* pair : {"0.0.0.0:2525 127.0.0.1:2525", "[::]:2525 [::1]:2525", "127.0.0.1:2525 127.0.0.1:2525",
                             "unix:/run/a unix:/run/a", "0.0.0.0:2525 localhost:2525"}) {
        const std::string text = pair;
        const std::size_t space = text.find(' ');
        EXPECT_THAT(
            errors_of("listeners: [ { address: '" + text.substr(0, space) + "' } ]\ndomains: { example.com: }\n" +
                      "backends: { s: { endpoints: ['" + text.substr(space + 1) + "'] } }\n"),
            testing::Contains(HasSubstr("is this gateway's own listener: mail would go in a circle")))
            << pair;
    }
}

TEST(Strictness, ListenersInEachOthersWay) {
    EXPECT_THAT(errors_of("listeners:\n  - address: '127.0.0.1:26'\n  - address: '127.0.0.1:26'\n" + needed),
                ElementsAre(HasSubstr("3:14: `address`: `127.0.0.1:26` is given twice; first in line 2")));
    EXPECT_THAT(errors_of("listeners:\n  - address: '127.0.0.1:0'\n  - address: '127.0.0.1:0'\n" + needed), IsEmpty());
    EXPECT_THAT(errors_of("listeners: [ { address: '0.0.0.0:25', protocol: lmtp } ]\n" + needed),
                ElementsAre(HasSubstr("an lmtp listener is not on port 25 (RFC 2033 section 5)")));
    EXPECT_THAT(errors_of("listeners: [ { protocol: smtp } ]\n" + needed),
                ElementsAre(HasSubstr("a listener needs an `address`")));
}

TEST(Strictness, AnOpenRelayIsWarnedOf) {
    for (const char* everybody : {"0.0.0.0/0", "::/0"}) {
        EXPECT_THAT(warnings_of("listeners: [ { address: '127.0.0.1:25', trusted: ['" + std::string(everybody) +
                                "'] } ]\n" + needed),
                    testing::Contains(HasSubstr("is everybody: an open relay")));
    }
}

TEST(Strictness, HostileTextNeverReachesTheTerminalRaw) {
    // Escapes of YAML make any octet out of plain ASCII; the messages must not.
    const std::string hostile = R"("\e[2J\x07\r\nx\u202e\u009b")";
    for (const std::string& yaml :
         {hostile + ": 1\n" + needed, "hostname: " + hostile + "\n" + needed, "user: " + hostile + "\n" + needed,
          "log: { level: " + hostile + " }\n" + needed, "queue: { path: " + hostile + " }\n" + needed,
          "listeners: [ { address: " + hostile + ", trusted: [" + hostile + "] } ]\n" + needed,
          "domains: { " + hostile + ": { backend: " + hostile + " } }\nbackends: { " + hostile + ": { endpoints: [" +
              hostile + "], balance: " + hostile + " } }\n",
          "retry: { first: " + hostile + " }\n" + needed, "log: !<" + std::string("tag:x%1B[2J") + "> {}\n" + needed}) {
        const Loaded loaded = load(yaml);
        EXPECT_FALSE(loaded.problems.empty()) << yaml;
        for (const std::string& text : texts(loaded.problems)) {
            for (const char c : text) {
                EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << text;
            }
            EXPECT_EQ(text.find("\xE2\x80\xAE"), std::string::npos) << "a right-to-left override: " << text;
            EXPECT_EQ(text.find("\xC2\x9B"), std::string::npos) << "a C1 control: " << text;
            EXPECT_LT(text.size(), 2000U);
        }
    }
    const Loaded named = load_text("x", "evil\x1B[2J.yaml", [] { return std::string("mx.example.com"); });
    for (const std::string& text : texts(named.problems)) {
        EXPECT_EQ(text.find('\x1B'), std::string::npos);
    }
}

TEST(Strictness, LongTextIsCutInMessages) {
    const auto errors = errors_of("log: { level: " + std::string(100'000, 'x') + " }\n" + needed);
    ASSERT_THAT(errors, SizeIs(1));
    EXPECT_LT(errors[0].size(), 500U);
}

}  // namespace
}  // namespace postern::config::tests
