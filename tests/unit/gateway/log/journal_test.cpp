// When a line gets the journal's prefix, and which.
#include "gateway/log/journal.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string>

namespace postern::log {
namespace {

TEST(LogJournal, IsWhereTheServiceManagerSaysItIs) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(::pipe(pipe.data()), 0);
    struct stat status {};
    ASSERT_EQ(::fstat(pipe[1], &status), 0);
    const std::string stream = std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
    EXPECT_TRUE(leads_to_journal(pipe[1], stream.c_str()));
    EXPECT_FALSE(leads_to_journal(pipe[1], nullptr));
    EXPECT_FALSE(leads_to_journal(pipe[1], ""));
    EXPECT_FALSE(leads_to_journal(pipe[1], (stream + '0').c_str()));
    ::close(pipe[0]);
    ::close(pipe[1]);
    EXPECT_FALSE(leads_to_journal(pipe[1], stream.c_str()));
}

TEST(LogJournal, HasThePrioritiesOfSyslog) {
    EXPECT_EQ(journal_prefix(Level::error), "<3>");
    EXPECT_EQ(journal_prefix(Level::warn), "<4>");
    EXPECT_EQ(journal_prefix(Level::info), "<6>");
    EXPECT_EQ(journal_prefix(Level::debug), "<7>");
}

}  // namespace
}  // namespace postern::log
