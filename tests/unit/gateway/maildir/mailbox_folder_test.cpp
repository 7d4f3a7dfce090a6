#include "gateway/maildir/mailbox_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

namespace postern::maildir {
namespace {

namespace fs = std::filesystem;

mail::Mailbox mailbox(std::string_view text) {
    auto parsed = mail::Mailbox::parse(text, mail::Utf8::allowed);
    EXPECT_TRUE(parsed.has_value()) << text;
    return *parsed;
}

TEST(FolderOf, IsTheMailboxInLowerCase) {
    EXPECT_EQ(folder_of("/root", mailbox("User.Name+x@Example.COM")), fs::path("/root/example.com/user.name+x"));
}

// faults.md: path traversal by addresses
TEST(FolderOf, NeverLeavesTheRoot) {
    for (const char* address :
         {"\"..\"@example.com", "\".\"@example.com", "\"../x\"@example.com", "\"a/b\"@example.com",
          "\"/etc/passwd\"@example.com", "\".hidden\"@example.com", "\"\"@example.com", "/etc/passwd@example.com",
          "a/../../b@example.com", "user@[127.0.0.1]/..", "\"a\\\\b/c\"@example.com"}) {
        const auto parsed = mail::Mailbox::parse(address, mail::Utf8::allowed);
        EXPECT_FALSE(parsed && folder_of("/root", *parsed)) << address;
    }
}

class FileMessageTest : public testing::Test {
protected:
    FileMessageTest() {
        std::string pattern = fs::temp_directory_path() / "postern-maildir-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        EXPECT_TRUE(make_folder(root_ / "box").has_value());
    }
    ~FileMessageTest() override { fs::remove_all(root_); }
    static std::string content_of(const fs::path& file) {
        std::ifstream in(file);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    fs::path root_;
};

TEST_F(FileMessageTest, IsWholeInNewAndNowhereElse) {
    ASSERT_TRUE(file_message(root_ / "box", "one", "H: x\r\n", "\r\nbody\r\n").has_value());
    EXPECT_EQ(content_of(root_ / "box/new/one"), "H: x\r\n\r\nbody\r\n");
    EXPECT_TRUE(fs::is_empty(root_ / "box/tmp"));
}

TEST_F(FileMessageTest, DoesNotWriteThroughAPlantedLink) {
    std::ofstream(root_ / "precious") << "precious";
    fs::create_symlink(root_ / "precious", root_ / "box/tmp/one");
    fs::create_symlink(root_ / "precious", root_ / "box/new/one");
    (void)file_message(root_ / "box", "one", "H: x\r\n", "\r\nbody\r\n");
    EXPECT_EQ(content_of(root_ / "precious"), "precious");
}

}  // namespace
}  // namespace postern::maildir
