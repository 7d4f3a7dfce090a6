#include "gateway/screening/greylist.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace postern::screening {
namespace {

using namespace std::chrono_literals;

class SetClock final : public queue::Clock {
public:
    [[nodiscard]] queue::Instant wall() const override { return now; }
    [[nodiscard]] queue::SteadyInstant steady() const override { return {}; }
    queue::Instant now{queue::Duration(1'800'000'000'000)};
};

class GreylistTest : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "postern-greylist-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        file_ = folder_ / "queue.db-greylist";
        open();
    }
    void TearDown() override {
        greylist_.reset();
        std::filesystem::remove_all(folder_);
    }
    void open() {
        greylist_.reset();
        greylist_.emplace(file_, clock_, [this](const std::string& text) { problems_.push_back(text); });
    }
    std::optional<queue::Duration> ask(const std::string& sender) {
        return greylist_->ask("192.0.2.7", sender, "u@example.com", rules_);
    }

    std::filesystem::path folder_;
    std::filesystem::path file_;
    SetClock clock_;
    GreylistRules rules_;
    std::vector<std::string> problems_;
    std::optional<Greylist> greylist_;
};

TEST_F(GreylistTest, SurvivesARestart) {
    EXPECT_EQ(ask("a@example.org"), 5min);
    open();
    clock_.now += 5min;
    EXPECT_EQ(ask("a@example.org"), std::nullopt);
    open();
    clock_.now += 24h;
    EXPECT_EQ(ask("a@example.org"), std::nullopt);
    struct stat found {};
    ASSERT_EQ(::stat(file_.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777U, 0600U);
    EXPECT_THAT(problems_, testing::IsEmpty());
}

TEST_F(GreylistTest, MakesNoFileWhenItWasNeverAsked) {
    greylist_.reset();
    EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(GreylistTest, BeginsAnewWithADamagedFileAndSaysSo) {
    EXPECT_EQ(ask("a@example.org"), 5min);
    greylist_.reset();
    std::filesystem::resize_file(file_, std::filesystem::file_size(file_) - 1);
    open();
    EXPECT_THAT(problems_, testing::ElementsAre(testing::HasSubstr("cannot be read")));
    clock_.now += 5min;
    EXPECT_EQ(ask("a@example.org"), 5min);
}

TEST_F(GreylistTest, SaysOnceThatItIsFull) {
    rules_.maximum = 1;
    EXPECT_EQ(ask("a@example.org"), 5min);
    EXPECT_EQ(ask("b@example.org"), std::nullopt);
    EXPECT_EQ(ask("c@example.org"), std::nullopt);
    EXPECT_THAT(problems_, testing::ElementsAre(testing::HasSubstr("it is full")));
}

// Whoever may write to the folder could have another's file read, or written to.
TEST_F(GreylistTest, NoLinkIsFollowed) {
    const auto victim = folder_ / "victim";
    EXPECT_EQ(ask("a@example.org"), 5min);
    greylist_.reset();
    std::filesystem::rename(file_, victim);
    std::filesystem::create_symlink(victim, file_);
    std::filesystem::create_symlink(victim, file_.string() + "-new");
    const auto size = std::filesystem::file_size(victim);
    open();
    EXPECT_THAT(problems_, testing::ElementsAre(testing::HasSubstr("begins anew")));
    clock_.now += 5min;
    EXPECT_EQ(ask("a@example.org"), 5min) << "it was read through the link";
    EXPECT_EQ(ask("b@example.org"), 5min);
    greylist_.reset();
    EXPECT_EQ(std::filesystem::file_size(victim), size);
    EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(file_))) << "it took the link's place";
}

TEST_F(GreylistTest, APipeInItsPlaceDoesNotKeepItWaiting) {
    greylist_.reset();
    ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
    open();
    EXPECT_THAT(problems_, testing::ElementsAre(testing::HasSubstr("begins anew")));
}

TEST_F(GreylistTest, SaysThatItsFileCannotBeWritten) {
    std::filesystem::create_directory(file_.string() + "-new");
    EXPECT_EQ(ask("a@example.org"), 5min);
    greylist_.reset();
    EXPECT_THAT(problems_, testing::ElementsAre(testing::HasSubstr("cannot be written")));
}

}  // namespace
}  // namespace postern::screening
