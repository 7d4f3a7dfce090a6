#include "gateway/main/process_usage.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <thread>
#include <vector>

namespace postern::gateway {
namespace {

TEST(ProcessUsage, IsThatOfThisProcess) {
    const control::ProcessUsage usage = process_usage();
    EXPECT_GT(usage.resident_octets, 1U << 20);
    EXPECT_GE(usage.virtual_octets, usage.resident_octets);
    EXPECT_GE(usage.threads, 1U);
    EXPECT_GE(usage.open_files_max, usage.open_files);
}

TEST(ProcessUsage, CountsDescriptorsAndThreads) {
    const control::ProcessUsage before = process_usage();
    std::vector<int> open;
    for (int i = 0; i < 10; ++i) {
        open.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
    std::promise<void> end;
    std::thread another([&] { end.get_future().wait(); });
    const control::ProcessUsage usage = process_usage();
    EXPECT_EQ(usage.open_files, before.open_files + 10);
    EXPECT_EQ(usage.threads, before.threads + 1);
    end.set_value();
    another.join();
    for (const int descriptor : open) {
        ::close(descriptor);
    }
}

TEST(ProcessUsage, TimeOnlyGrows) {
    const double before = process_usage().cpu_seconds;
    double after = before;
    while (after == before) {  // works until the clock has seen it
        after = process_usage().cpu_seconds;
    }
    EXPECT_GT(after, before);
}

}  // namespace
}  // namespace postern::gateway
