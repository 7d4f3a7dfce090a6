// When a change of files is worth telling.
#include "gateway/main/file_watch.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <future>
#include <thread>

namespace postern::gateway {
namespace {

TEST(ChangeFilter, TellsAChangeOnceItIsQuiet) {
    ChangeFilter filter(8);
    filter.seen("a");
    EXPECT_FALSE(filter.is_news("a"));
    EXPECT_FALSE(filter.is_news("b"));
    EXPECT_TRUE(filter.is_news("b"));
    EXPECT_FALSE(filter.is_news("b"));
    EXPECT_FALSE(filter.is_news("c"));
    EXPECT_FALSE(filter.is_news("d"));  // still at it
    EXPECT_TRUE(filter.is_news("d"));
}

TEST(ChangeFilter, WhatIsTakenBackIsNoNews) {
    ChangeFilter filter(8);
    filter.seen("a");
    EXPECT_FALSE(filter.is_news("b"));
    EXPECT_FALSE(filter.is_news("a"));
    EXPECT_FALSE(filter.is_news("b"));
    EXPECT_TRUE(filter.is_news("b"));
}

TEST(ChangeFilter, WhatWasReadMeanwhileIsNoNews) {
    ChangeFilter filter(8);
    filter.seen("a");
    EXPECT_FALSE(filter.is_news("b"));
    filter.seen("b");
    EXPECT_FALSE(filter.is_news("b"));
}

TEST(ChangeFilter, WhatWasRefusedIsNewsAgainAfterGrowingPauses) {
    ChangeFilter filter(4);
    filter.seen("a");
    EXPECT_FALSE(filter.is_news("b"));
    EXPECT_TRUE(filter.is_news("b"));
    for (const int pause : {1, 2, 4, 4}) {
        filter.refused();
        for (int look = 1; look < pause; ++look) {
            EXPECT_FALSE(filter.is_news("b")) << look << " of " << pause;
        }
        EXPECT_TRUE(filter.is_news("b")) << pause;
    }
    EXPECT_FALSE(filter.is_news("b"));  // taken up
    EXPECT_FALSE(filter.is_news("b"));
}

TEST(ChangeFilter, AfterARefusalAChangeIsToldAtOnce) {
    ChangeFilter filter(64);
    filter.seen("a");
    EXPECT_FALSE(filter.is_news("b"));
    for (int tries = 0; tries < 5; ++tries) {
        while (!filter.is_news("b")) {}
        filter.refused();
    }
    EXPECT_FALSE(filter.is_news("c"));
    EXPECT_TRUE(filter.is_news("c"));
    filter.refused();
    EXPECT_TRUE(filter.is_news("c"));  // and its pauses begin anew
    filter.refused();
    filter.seen("c");  // by somebody else
    for (int look = 0; look < 200; ++look) {
        EXPECT_FALSE(filter.is_news("c"));
    }
}

class FileWatchTest : public testing::Test {
protected:
    FileWatchTest() {
        std::string pattern = std::filesystem::temp_directory_path() / "postern-watch-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~FileWatchTest() override { std::filesystem::remove_all(folder_); }
    void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
    std::filesystem::path folder_;
};

TEST_F(FileWatchTest, ALookSeesEveryKindOfChange) {
    const std::vector<std::filesystem::path> files{folder_ / "a", folder_ / "link"};
    const auto absent = look_of(files);
    write("a", "1");
    const auto written = look_of(files);
    EXPECT_NE(written, absent);
    EXPECT_EQ(look_of(files), written);
    write("b", "1");
    std::filesystem::rename(folder_ / "b", folder_ / "a");  // the same size, perhaps the same time: another file
    const auto replaced = look_of(files);
    EXPECT_NE(replaced, written);
    write("one", "1");
    write("two", "2");
    std::filesystem::create_symlink("one", folder_ / "link");
    const auto linked = look_of(files);
    std::filesystem::remove(folder_ / "link");
    std::filesystem::create_symlink("two", folder_ / "link");
    EXPECT_NE(look_of(files), linked);
    const auto before = look_of(files);
    for (int tries = 0; look_of(files) == before && tries < 10'000; ++tries) {  // until the file system's clock ticks
        std::filesystem::permissions(folder_ / "a", std::filesystem::perms::owner_all);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_NE(look_of(files), before);
}

TEST_F(FileWatchTest, CallsOnceForAChange) {
    write("a", "1");
    std::promise<void> changed;
    FileWatch watch(std::chrono::milliseconds(5), {[&changed] { return changed.set_value(), true; }, [] {}});
    watch.seen(look_at({folder_ / "a"}));
    watch.start();
    write("a", "another");
    EXPECT_EQ(changed.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
    watch.stop();
}

TEST_F(FileWatchTest, WhatIsWrittenAfterTheLookIsNews) {
    write("a", "1");
    std::promise<void> changed;
    FileWatch watch(std::chrono::milliseconds(5), {[&changed] { return changed.set_value(), true; }, [] {}});
    auto look = look_at({folder_ / "a"});
    write("a", "written while it was read");
    watch.seen(std::move(look));
    watch.start();
    EXPECT_EQ(changed.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
    watch.stop();
}

TEST_F(FileWatchTest, CallsUntilAChangeIsTakenUp) {
    write("a", "1");
    std::promise<void> taken_up;
    int calls = 0;
    FileWatch watch(std::chrono::milliseconds(5), {[&] {
                                                       if (++calls == 3) {
                                                           taken_up.set_value();
                                                       }
                                                       return calls >= 3;
                                                   },
                                                   [] {}});
    watch.seen(look_at({folder_ / "a"}));
    watch.start();
    write("a", "another");
    EXPECT_EQ(taken_up.get_future().wait_for(std::chrono::minutes(1)), std::future_status::ready);
    watch.stop();
    EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace postern::gateway
