// Lists and files of addresses.
#include "gateway/recipients/listed.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/gateway/recipients/words.hpp"

namespace postern::recipients::tests {
namespace {

TEST(AddressSet, HoldsAddressesLocalPartsAndDomains) {
    AddressSet set;
    EXPECT_TRUE(set.add("Ann@Example.com"));
    EXPECT_TRUE(set.add("info"));
    EXPECT_TRUE(set.add("@all.example.com"));
    EXPECT_TRUE(set.add("\"two words\"@example.com"));
    EXPECT_TRUE(set.add("x"));
    for (const char* in : {"ann@example.com", "ANN@EXAMPLE.COM", "info@example.com", "Info@elsewhere.example",
                           "whoever@all.example.com", "\"two words\"@example.com", "x@example.com"}) {
        EXPECT_TRUE(set.contains(mailbox(in))) << in;
    }
    for (const char* out : {"ann@example.org", "bob@example.com", "whoever@sub.all.example.com", "an@example.com",
                            "\"info \"@example.com", "ann@example.co"}) {
        EXPECT_FALSE(set.contains(mailbox(out))) << out;
    }
}

TEST(AddressSet, TakesNothingElse) {
    AddressSet set;
    for (const char* wrong : {"", "@", "a b", "a@b@c", "a@", "<ann@example.com>", "ann@example.com,bob@example.com",
                              "ann@exa mple.com", "*@example.com x"}) {
        EXPECT_FALSE(set.add(wrong)) << wrong;
    }
    EXPECT_EQ(set.size(), 0U);
}

TEST(ReadAddresses, PassesOverCommentsAndNamesTheLineThatIsWrong) {
    const auto read = read_addresses("# people\r\n\n  ann@example.com \r\n\tinfo\n#@example.com\nbob@example.com", "f");
    ASSERT_TRUE(read.has_value()) << read.error();
    EXPECT_EQ((*read)->size(), 3U);
    const auto wrong = read_addresses("ann\nbob bobson\n", "/etc/list");
    ASSERT_TRUE(wrong.has_error());
    EXPECT_TRUE(wrong.error().starts_with("/etc/list:2: expected an address")) << wrong.error();
}

TEST(ReadAddresses, AListOfNobodyIsAMistake) {
    for (const char* text : {"", "\n\n", "# only a comment\n"}) {
        const auto read = read_addresses(text, "f");
        ASSERT_TRUE(read.has_error());
        EXPECT_EQ(read.error(), "f: lists nobody: all mail of the domain would be refused for good");
    }
}

TEST(ReadAddresses, SaysWhatIsWrongWithAFile) {
    const std::filesystem::path folder = std::filesystem::temp_directory_path();
    EXPECT_TRUE(read_address_file(folder / "postern-no-such-file").has_error());
    EXPECT_TRUE(read_address_file(folder).has_error());
    const std::filesystem::path file = folder / ("postern-list-" + std::to_string(::getpid()));
    std::ofstream(file) << "ann@example.com\n";
    const auto read = read_address_file(file);
    std::filesystem::remove(file);
    ASSERT_TRUE(read.has_value()) << read.error();
}

TEST(ListCheck, AnswersAtOnceAndFollowsTheNewList) {
    const auto before = read_addresses("ann", "f");
    const auto after = read_addresses("bob", "f");
    ListCheck check(*before);
    EXPECT_FALSE(check.look(mailbox("ann@example.com"))->refusal);
    const auto refused = check.look(mailbox("bob@example.com"));
    ASSERT_TRUE(refused->refusal);
    EXPECT_TRUE(refused->is_unknown);
    EXPECT_EQ(refused->refusal->to_string(), "550 5.1.1 <bob@example.com>: no such mailbox here");
    check.replace(*after);
    EXPECT_FALSE(check.look(mailbox("bob@example.com"))->refusal);
}

TEST(Postmaster, IsOneInAnyCaseAndQuoted) {
    for (const char* name : {"postmaster@example.com", "PostMaster@example.com", "\"postmaster\"@example.com"}) {
        EXPECT_TRUE(is_postmaster(mailbox(name))) << name;
    }
    EXPECT_FALSE(is_postmaster(mailbox("postmaster2@example.com")));
}

}  // namespace
}  // namespace postern::recipients::tests
