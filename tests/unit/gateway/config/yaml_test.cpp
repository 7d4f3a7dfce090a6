// The hazards of YAML itself: none of them changes what the file says, and none costs time or memory.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Yaml, AliasesAndAnchorsAreRefusedSoThatNoBombGoesOff) {
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string last = "*a" + std::to_string(i - 1);
        std::string line = "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
        for (int j = 0; j < 9; ++j) {
            line += ", " + last;
        }
        bomb += line + "]\n";
    }
    const auto errors = errors_of(bomb + needed);
    EXPECT_THAT(errors, Contains(HasSubstr("1:5: anchors (&name) are not supported")));
    EXPECT_THAT(errors, Contains(HasSubstr("aliases (*name) are not supported; write the value out")));
}

TEST(Yaml, MergeKeysAreUnknownKeys) {
    EXPECT_THAT(errors_of("log: { <<: { level: debug } }\n" + needed), ElementsAre(HasSubstr("unknown key `<<`")));
}

TEST(Yaml, TagsAreRefused) {
    EXPECT_THAT(errors_of("shutdown_grace: !!str 10s\n" + needed),
                Contains(HasSubstr("the tag `tag:yaml.org,2002:str` is not supported")));
    EXPECT_THAT(errors_of("log: !!python/object:os.system { level: info }\n" + needed),
                Contains(HasSubstr("is not supported; remove it")));
}

TEST(Yaml, NestingIsBounded) {
    for (const std::string& open : {std::string("["), std::string("{a: "), std::string("- ")}) {
        std::string deep;
        for (int i = 0; i < 20'000; ++i) {
            deep += open;
        }
        const auto errors = errors_of(deep);
        ASSERT_EQ(errors.size(), 1U) << open;
        EXPECT_THAT(errors[0], testing::AnyOf(HasSubstr("nested more than 16 deep"), HasSubstr("nested too deep")));
    }
    EXPECT_THAT(errors_of("log: [[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]\n"),
                ElementsAre(HasSubstr("nested more than 16 deep")));
}

TEST(Yaml, OneDocument) {
    EXPECT_THAT(errors_of(needed + "---\n" + needed), ElementsAre(HasSubstr("3:1: a second document begins")));
    (void)good("---\n" + needed + "...\n");
    (void)good("%YAML 1.2\n---\n" + needed);
}

TEST(Yaml, EmptyFilesAreMissingEverything) {
    for (const char* text : {"", "\n\n", "# a comment\n", "---\n", "~\n", "{}\n"}) {
        EXPECT_THAT(errors_of(text), ElementsAre(HasSubstr("`domains` is missing"), HasSubstr("`backends` is missing")))
            << text;
    }
    EXPECT_THAT(errors_of("just text\n"), Contains(HasSubstr("expected a mapping")));
    EXPECT_THAT(errors_of("- a\n- b\n"), Contains(HasSubstr("expected a mapping")));
}

TEST(Yaml, ByteOrderMarkAndCarriageReturnsOfAnEditor) {
    std::string dos = "\xEF\xBB\xBFhostname: mx7.example.com\n" + needed;
    for (std::size_t at = 0; (at = dos.find('\n', at)) != std::string::npos; at += 2) {
        dos.insert(at, "\r");
    }
    EXPECT_EQ(good(dos)->hostname, "mx7.example.com");
    EXPECT_THAT(errors_of("\xEF\xBB\xBFhostnam: x\r\n" + needed),
                ElementsAre(HasSubstr("postern.yaml:1:1: unknown key")));
}

TEST(Yaml, TabsAreToldInTheirPlace) {
    EXPECT_THAT(errors_of("log:\n\tlevel: info\n" + needed), ElementsAre(HasSubstr("postern.yaml:2:")));
}

TEST(Yaml, ControlCharactersAndBadUtf8) {
    EXPECT_THAT(errors_of(needed + std::string("# \0 \n", 5)),
                ElementsAre("postern.yaml:3:3: a control character (octet 00)"));
    EXPECT_THAT(errors_of(needed + "# \x1B[2J\n"), ElementsAre("postern.yaml:3:3: a control character (octet 1B)"));
    EXPECT_THAT(errors_of(needed + "# \xC2\x9B\n"), ElementsAre("postern.yaml:3:3: a control character (octet C2)"));
    for (const char* bad : {"\xFF", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80"}) {
        EXPECT_THAT(errors_of(needed + "# " + bad + "\n"),
                    ElementsAre(HasSubstr("postern.yaml:3:3: not UTF-8: octet ")));
    }
    EXPECT_THAT(errors_of("\xFF\xFEh\0o\0"), ElementsAre(HasSubstr("not UTF-8")));  // UTF-16
}

TEST(Yaml, KeysThatAreNoText) {
    EXPECT_THAT(errors_of("? [a, b]\n: 1\n" + needed), ElementsAre(HasSubstr("expected a key, found a list")));
    EXPECT_THAT(errors_of("? { a: b }\n: 1\n" + needed), ElementsAre(HasSubstr("expected a key, found a mapping")));
    EXPECT_THAT(errors_of("~: 1\n" + needed), ElementsAre(HasSubstr("expected a key, found nothing")));
}

TEST(Yaml, SyntaxErrorsHaveAPlaceAndAnAdvice) {
    EXPECT_THAT(errors_of("log: { level: info\n"),
                ElementsAre(testing::AllOf(HasSubstr("postern.yaml:2:"), HasSubstr("not YAML: "))));
    EXPECT_THAT(errors_of("log: level: info\n"), ElementsAre(HasSubstr("postern.yaml:1:")));
    EXPECT_THAT(errors_of("hostname: @x\n"), ElementsAre(HasSubstr("put it in quotes")));
}

TEST(Yaml, WordsThatYamlOneOneReadsAsBooleans) {
    // `off` is a word of `tls`, and stays one.
    (void)good("domains: { example.com: }\nbackends: { s: { endpoints: ['127.0.0.1:24'], tls: off } }\n");
    EXPECT_THAT(errors_of("domains: { example.com: }\nbackends: { s: { endpoints: ['127.0.0.1:24'], tls: false } }\n"),
                ElementsAre(HasSubstr("found `false`")));
    EXPECT_EQ(good("domains: { no: { backend: yes } }\nbackends: { yes: { endpoints: ['127.0.0.1:24'] } }\n")
                  ->domains.at(0)
                  .pattern,
              "no");
}

TEST(Yaml, BlockTextIsText) {
    EXPECT_THAT(errors_of("hostname: |\n  mx.example.com\n" + needed), ElementsAre(HasSubstr("`hostname`: expected")));
}

TEST(Yaml, ManyKeysAndManyErrorsAreRead) {
    std::string many;
    for (int i = 0; i < 5000; ++i) {
        many += "  d" + std::to_string(i) + ".example: {}\n";
    }
    EXPECT_EQ(good("domains:\n" + many + "backends: { s: { endpoints: ['127.0.0.1:24'] } }\n")->domains.size(), 5000U);
    EXPECT_EQ(errors_of("limits:\n" + many + needed).size(), 5000U);
}

}  // namespace
}  // namespace postern::config::tests
