// The file of known recipients: what comes back, and what is done about a file that cannot be used.
#include "queue/known_recipients.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace postern::queue {
namespace {

const Instant at{std::chrono::hours(500'000)};

class KnownRecipientsTest : public ::testing::Test {
protected:
    KnownRecipientsTest() {
        std::string pattern = (std::filesystem::temp_directory_path() / "postern-known-XXXXXX").string();
        folder = ::mkdtemp(pattern.data());
        queue = folder / "queue.db";
    }
    ~KnownRecipientsTest() override { std::filesystem::remove_all(folder); }

    std::unique_ptr<KnownRecipientsFile> open() {
        return KnownRecipientsFile::open(queue, [this](const std::string& text) { warnings.push_back(text); });
    }
    static KnownRecipient known(std::string address, Knowledge knowledge, Instant when) {
        KnownRecipient one;
        one.backend = "stores";
        one.address = std::move(address);
        one.knowledge = knowledge;
        one.reply = mail::Reply(550, mail::EnhancedStatus(5, 1, 1), "it's \"gone\"\nfor good");
        one.at = when;
        one.taken_at = when - std::chrono::hours(1);
        one.contradicted_at = when - std::chrono::minutes(1);
        return one;
    }

    std::filesystem::path folder;
    std::filesystem::path queue;
    std::vector<std::string> warnings;
};

TEST_F(KnownRecipientsTest, GivesBackWhatWasWritten) {
    const KnownRecipient ann = known("o'neil@example.com", Knowledge::unknown, at);
    {
        const auto file = open();
        ASSERT_NE(file, nullptr);
        file->write({ann, known("@example.com", Knowledge::catch_all, at + std::chrono::hours(1))});
        file->write({known("bob@example.com", Knowledge::taken, at + std::chrono::hours(2))});
        // Read beside the one that writes, as `postern route` does.
        const auto read = read_known_recipient(queue, "stores", "o'neil@example.com");
        ASSERT_TRUE(read.has_value()) << read.error();
        ASSERT_TRUE(read->has_value());
        EXPECT_EQ((*read)->reply, ann.reply);
    }
    const auto file = open();
    const auto rows = file->load(10);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].address, ann.address);
    EXPECT_EQ(rows[0].backend, "stores");
    EXPECT_EQ(rows[0].knowledge, Knowledge::unknown);
    EXPECT_EQ(rows[0].reply, ann.reply);
    EXPECT_EQ(rows[0].at, ann.at);
    EXPECT_EQ(rows[0].taken_at, ann.taken_at);
    EXPECT_EQ(rows[0].contradicted_at, ann.contradicted_at);
    EXPECT_EQ(rows[1].address, "@example.com");
    const auto youngest = file->load(1);
    ASSERT_EQ(youngest.size(), 1U);
    EXPECT_EQ(youngest[0].address, "bob@example.com");
    EXPECT_TRUE(warnings.empty());
}

TEST_F(KnownRecipientsTest, PutsTheNewInPlaceOfTheOldAndForgets) {
    const auto file = open();
    file->write({known("a@example.com", Knowledge::taken, at), known("b@example.com", Knowledge::taken, at)});
    KnownRecipient forgotten = known("b@example.com", Knowledge::taken, at);
    forgotten.forgotten = true;
    file->write({known("a@example.com", Knowledge::unknown, at), forgotten});
    const auto rows = file->load(10);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(rows[0].knowledge, Knowledge::unknown);
    file->remove_older(at + std::chrono::hours(1));
    EXPECT_TRUE(file->load(10).empty());
}

TEST_F(KnownRecipientsTest, NobodyElseMayReadTheFile) {
    const auto file = open();
    const auto permissions = std::filesystem::status(known_recipients_path(queue)).permissions();
    EXPECT_EQ(permissions & std::filesystem::perms::mask, std::filesystem::perms(0600));
}

TEST_F(KnownRecipientsTest, WhatCannotBeUsedIsSetAsideAndBegunAnew) {
    std::ofstream(known_recipients_path(queue)) << std::string(10'000, 'x');
    const auto file = open();
    ASSERT_NE(file, nullptr);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("-recipients-unusable"), std::string::npos) << warnings[0];
    file->write({known("a@example.com", Knowledge::taken, at)});
    EXPECT_EQ(file->load(10).size(), 1U);
}

TEST_F(KnownRecipientsTest, WithoutAFolderThereIsNone) {
    queue = folder / "nowhere" / "queue.db";
    EXPECT_EQ(open(), nullptr);
    EXPECT_EQ(warnings.size(), 1U);
}

TEST_F(KnownRecipientsTest, WithoutAFileNothingIsKnown) {
    const auto read = read_known_recipient(queue, "stores", "a@example.com");
    ASSERT_TRUE(read.has_value());
    EXPECT_FALSE(read->has_value());
    std::ofstream(known_recipients_path(queue)) << std::string(10'000, 'x');
    EXPECT_TRUE(read_known_recipient(queue, "stores", "a@example.com").has_error());
}

}  // namespace
}  // namespace postern::queue
