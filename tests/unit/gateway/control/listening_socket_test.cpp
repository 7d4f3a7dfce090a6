#include "gateway/control/detail/listening_socket.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::control::detail {
namespace {

namespace fs = std::filesystem;

class ListeningSocketTest : public ::testing::Test {
protected:
    test::TempFolder folder_;
    fs::path path_ = folder_.path() / "control.sock";
};

TEST_F(ListeningSocketTest, IsForOwnerAndGroupWhateverTheUmask) {
    const mode_t before = ::umask(0);
    const auto open = ListeningSocket::open(path_);
    ::umask(before);
    ASSERT_TRUE(open);
    EXPECT_EQ(fs::status(path_).permissions(), fs::perms(0660));
    const mode_t strict = ::umask(077);
    const auto other = ListeningSocket::open(folder_.path() / "other.sock");
    ::umask(strict);
    ASSERT_TRUE(other);
    EXPECT_EQ(fs::status(folder_.path() / "other.sock").permissions(), fs::perms(0660));
}

TEST_F(ListeningSocketTest, IsRemovedAtTheEnd) {
    {
        const auto open = ListeningSocket::open(path_);
        ASSERT_TRUE(open);
        EXPECT_TRUE(fs::exists(path_));
    }
    EXPECT_FALSE(fs::exists(path_));
}

TEST_F(ListeningSocketTest, ReplacesAStaleOne) {
    const fs::path kept = folder_.path() / "kept.sock";
    {
        const auto open = ListeningSocket::open(path_);
        ASSERT_TRUE(open);
        fs::rename(path_, kept);  // so that its end does not remove it, as a kill would not
    }
    fs::rename(kept, path_);
    EXPECT_TRUE(fs::exists(path_));
    const auto again = ListeningSocket::open(path_);
    ASSERT_TRUE(again) << again.error();
    EXPECT_TRUE(connect_unix(path_));
}

TEST_F(ListeningSocketTest, LeavesALiveOneAlone) {
    const auto first = ListeningSocket::open(path_);
    ASSERT_TRUE(first);
    const auto second = ListeningSocket::open(path_);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().find("another process listens"), std::string::npos) << second.error();
    EXPECT_TRUE(connect_unix(path_));
}

TEST_F(ListeningSocketTest, NeverRemovesAFileOfAnotherKind) {
    std::ofstream(path_) << "precious";
    EXPECT_FALSE(ListeningSocket::open(path_));
    EXPECT_EQ(fs::file_size(path_), 8U);
}

TEST_F(ListeningSocketTest, LeavesItsSuccessorsSocketAlone) {
    const fs::path away = folder_.path() / "away.sock";
    {
        const auto first = ListeningSocket::open(path_);
        ASSERT_TRUE(first);
        fs::rename(path_, away);
        std::ofstream(path_) << "another's";
    }
    EXPECT_TRUE(fs::exists(path_));
}

TEST_F(ListeningSocketTest, SaysWhenThePathIsTooLongOrItsFolderMissing) {
    EXPECT_FALSE(ListeningSocket::open(folder_.path() / std::string(120, 'x')));
    const auto lost = ListeningSocket::open(folder_.path() / "no" / "control.sock");
    ASSERT_FALSE(lost);
    EXPECT_NE(lost.error().find("No such file"), std::string::npos) << lost.error();
}

}  // namespace
}  // namespace postern::control::detail
