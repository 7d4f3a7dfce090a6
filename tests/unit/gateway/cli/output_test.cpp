#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "gateway/cli/terminal.hpp"

namespace postern::cli {
namespace {

TEST(DescriptorOutput, WritesWhatItWasGiven) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    {
        DescriptorOutput out(ends[1], Buffering::full);
        out.write("one\n");
        out.write("two\n");
    }
    char text[16] = {};
    EXPECT_EQ(::read(ends[0], text, sizeof(text)), 8);
    EXPECT_STREQ(text, "one\ntwo\n");
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST(DescriptorOutput, AReaderThatLeftShowsAsClosed) {
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    DescriptorOutput out(ends[1], Buffering::full);
    out.write("x");
    EXPECT_FALSE(out.closed());
    out.flush();
    EXPECT_TRUE(out.closed());
    EXPECT_EQ(out.error(), EPIPE);
    ::close(ends[1]);
}

TEST(DescriptorOutput, AFullDiskIsToldApart) {
    const int full = ::open("/dev/full", O_WRONLY);
    ASSERT_GE(full, 0);
    DescriptorOutput out(full, Buffering::full);
    out.write(std::string(100'000, 'x'));
    EXPECT_EQ(out.error(), ENOSPC);
    ::close(full);
}

}  // namespace
}  // namespace postern::cli
