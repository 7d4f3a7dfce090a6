// Files that cannot be read are a problem like any other, and never more than that.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gateway/config/detail/text_check.hpp"
#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Files : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "postern-config.XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path write(const std::string& text) {
        const auto file = folder_ / "postern.yaml";
        std::ofstream(file, std::ios::binary) << text;
        return file;
    }

    std::filesystem::path folder_;
};

TEST_F(Files, AGoodOneIsReadWhole) {
    const auto file = write("hostname: mx3.example.com\n" + needed);
    const Loaded loaded = config::load(file);
    ASSERT_TRUE(loaded.config);
    EXPECT_EQ(loaded.config->hostname, "mx3.example.com");
    EXPECT_EQ(loaded.config->file, file);
}

TEST_F(Files, Missing) {
    const auto file = folder_ / "nothing.yaml";
    EXPECT_THAT(texts(config::load(file).problems), ElementsAre(file.string() + ": No such file or directory"));
}

TEST_F(Files, AFolder) {
    EXPECT_THAT(texts(config::load(folder_).problems), ElementsAre(folder_.string() + ": Is a directory"));
}

TEST_F(Files, Unreadable) {
    if (::geteuid() == 0) {
        GTEST_SKIP() << "root reads everything";
    }
    const auto file = write(needed);
    ASSERT_EQ(::chmod(file.c_str(), 0), 0);
    EXPECT_THAT(texts(config::load(file).problems), ElementsAre(HasSubstr("Permission denied")));
}

TEST_F(Files, Empty) {
    EXPECT_THAT(texts(config::load(write("")).problems),
                ElementsAre(HasSubstr("`domains` is missing"), HasSubstr("`backends`")));
}

TEST_F(Files, TooLarge) {
    const auto file = write(needed + "# " + std::string(detail::file_octets_max, 'x'));
    EXPECT_THAT(texts(config::load(file).problems),
                ElementsAre(HasSubstr("which is all that a configuration may have")));
}

TEST_F(Files, AnEndlessOneIsGivenUp) {
    EXPECT_THAT(texts(config::load("/dev/zero").problems),
                ElementsAre(HasSubstr("which is all that a configuration may have")));
}

TEST_F(Files, ALinkIsFollowed) {
    write(needed);
    std::filesystem::create_symlink("postern.yaml", folder_ / "link.yaml");
    EXPECT_TRUE(config::load(folder_ / "link.yaml").config);
}

}  // namespace
}  // namespace postern::config::tests
