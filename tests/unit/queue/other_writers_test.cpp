// Who else writes to the queue, and with which SQLite that is a danger.
#include "queue/other_writers.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "tests/unit/queue/store_fixture.hpp"

namespace postern::queue {
namespace {

TEST(WalResetBug, IsInTheVersionsThatHaveIt) {
    for (const int affected : {3'007'000, 3'040'001, 3'044'005, 3'045'000, 3'050'006, 3'051'000, 3'051'002}) {
        EXPECT_TRUE(has_wal_reset_bug(affected)) << affected;
    }
    for (const int sound : {3'006'023, 3'044'006, 3'044'009, 3'050'007, 3'051'003, 3'052'000, 4'000'000}) {
        EXPECT_FALSE(has_wal_reset_bug(sound)) << sound;
    }
}

class OtherWritersTest : public StoreFixture {
protected:
    /// Another process with the file open; ends with the test.
    pid_t open_elsewhere(int flags) {
        std::array<int, 2> ready{};
        EXPECT_EQ(::pipe(ready.data()), 0);
        const pid_t child = ::fork();
        if (child == 0) {
            const char byte = ::open(options_.path.c_str(), flags) >= 0 ? 'y' : 'n';
            (void)!::write(ready[1], &byte, 1);
            ::pause();
            ::_exit(0);
        }
        char byte = 0;
        EXPECT_EQ(::read(ready[0], &byte, 1), 1);
        EXPECT_EQ(byte, 'y');
        ::close(ready[0]);
        ::close(ready[1]);
        children_.push_back(child);
        return child;
    }
    ~OtherWritersTest() override {
        for (const pid_t child : children_) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
    }
    std::vector<pid_t> children_;
};

TEST_F(OtherWritersTest, AreNamedAndReadersAreNot) {
    EXPECT_TRUE(other_writers(options_.path).empty()) << "there is no file yet";
    open();
    store_.reset();  // a child must not inherit what this process has open
    EXPECT_TRUE(other_writers(options_.path).empty());
    (void)open_elsewhere(O_RDONLY);
    EXPECT_TRUE(other_writers(options_.path).empty());
    const pid_t writer = open_elsewhere(O_RDWR);
    EXPECT_EQ(other_writers(options_.path), std::vector<long>{writer});
}

}  // namespace
}  // namespace postern::queue
