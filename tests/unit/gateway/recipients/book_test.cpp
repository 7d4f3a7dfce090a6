// What the book remembers, for how long, and what it then has RCPT say. Numbers as in the head of book.hpp.
#include "gateway/recipients/book.hpp"

#include <gtest/gtest.h>

#include "tests/unit/gateway/recipients/words.hpp"

namespace postern::recipients::tests {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using Source = Book::Source;

class BookTest : public ::testing::Test {
protected:
    /// "250", "550 5.1.1", ..., "ask".
    std::string look(std::string_view address) {
        const Book::Found found = book.look("stores", mailbox(address), now);
        refresh = found.refresh;
        return found.verdict ? word_of(*found.verdict) : "ask";
    }
    std::string heard(std::string_view address, const mail::Reply& reply, Source source = Source::asked) {
        const auto verdict = book.heard("stores", mailbox(address), reply, source, now);
        return verdict ? word_of(*verdict) : "nothing";
    }
    static std::string word_of(const Verdict& verdict) {
        if (!verdict.refusal) {
            return "250";
        }
        const std::string text = verdict.refusal->to_string();
        return text.substr(0, text.find(' ', 4));
    }

    std::vector<std::string> doubts;
    Book book{{hours(24 * 7), hours(1), minutes(10), 1600}, [this](const std::string& backend, bool on, std::size_t) {
                  doubts.push_back((on ? "+" : "-") + backend);
              }};
    queue::Instant now = start;
    bool refresh = false;
};

TEST_F(BookTest, BelievesEachAnswerForItsTime) {  // 1
    EXPECT_EQ(look("ann@example.com"), "ask");
    EXPECT_EQ(heard("ann@example.com", taken), "250");
    EXPECT_EQ(heard("bob@example.com", unknown), "550 5.1.1");
    EXPECT_EQ(heard("eve@example.com", full), "452 4.2.2");
    EXPECT_EQ(look("ann@EXAMPLE.com"), "250");
    EXPECT_FALSE(refresh);
    EXPECT_EQ(look("bob@example.com"), "550 5.1.1");
    EXPECT_EQ(look("eve@example.com"), "452 4.2.2");
    now += minutes(6);
    EXPECT_EQ(look("eve@example.com"), "ask");
    now += minutes(5);
    EXPECT_EQ(look("bob@example.com"), "ask");
    now += hours(1);
    EXPECT_EQ(look("ann@example.com"), "250");
    EXPECT_TRUE(refresh);
    EXPECT_EQ(look("ann@example.com"), "250");
    EXPECT_FALSE(refresh) << "once a minute is enough";
    now += hours(24 * 7);
    EXPECT_EQ(look("ann@example.com"), "ask");
}

TEST_F(BookTest, AClockThatWasSetBackMakesNothingYoung) {
    heard("ann@example.com", taken);
    heard("bob@example.com", unknown);
    now -= hours(24);
    EXPECT_EQ(look("ann@example.com"), "ask");
    EXPECT_EQ(look("bob@example.com"), "ask");
}

TEST_F(BookTest, BackendsDoNotMix) {
    heard("ann@example.com", unknown);
    EXPECT_FALSE(book.look("others", mailbox("ann@example.com"), now).verdict);
}

TEST_F(BookTest, WithoutAnAnswerOldRefusalsAreTemporaryAndTheRestIsTaken) {
    heard("ann@example.com", taken);
    heard("bob@example.com", unknown);
    heard("eve@example.com", full);
    now += hours(1);
    EXPECT_EQ(word_of(book.without_answer("stores", mailbox("ann@example.com"))), "250");
    EXPECT_EQ(word_of(book.without_answer("stores", mailbox("bob@example.com"))), "450 4.4.1");
    EXPECT_EQ(word_of(book.without_answer("stores", mailbox("eve@example.com"))), "250");
    EXPECT_EQ(word_of(book.without_answer("stores", mailbox("new@example.com"))), "250");
}

TEST_F(BookTest, WhatSaysNothingOfTheMailboxChangesNothing) {
    heard("ann@example.com", taken);
    EXPECT_EQ(heard("ann@example.com", mail::Reply(451, mail::EnhancedStatus(4, 3, 0), "down")), "nothing");
    EXPECT_EQ(heard("ann@example.com", mail::Reply(550, mail::EnhancedStatus(5, 7, 1), "policy")), "nothing");
    EXPECT_EQ(look("ann@example.com"), "250");
}

TEST_F(BookTest, AMailboxThatTookMailIsNotRefusedForGoodAtOnce) {  // 2
    heard("ann@example.com", taken);
    now += hours(2);
    EXPECT_EQ(heard("ann@example.com", unknown), "450 4.1.1");
    EXPECT_EQ(look("ann@example.com"), "450 4.1.1");
    now += minutes(59);
    EXPECT_EQ(heard("ann@example.com", unknown, Source::delivery), "450 4.1.1");
    now += minutes(2);
    EXPECT_EQ(heard("ann@example.com", unknown), "550 5.1.1");
    EXPECT_EQ(heard("ann@example.com", taken), "250");
    EXPECT_EQ(heard("ann@example.com", unknown), "450 4.1.1") << "it is a new contradiction";
    EXPECT_TRUE(doubts.empty());
}

TEST_F(BookTest, ABackendThatForgetsManyMailboxesIsDoubted) {  // 2
    const auto user = [](std::size_t number) { return "user" + std::to_string(number) + "@example.com"; };
    for (std::size_t i = 0; i < Book::doubt_count; ++i) {
        heard(user(i), taken);
    }
    heard("never@example.com", unknown);
    EXPECT_EQ(look("never@example.com"), "550 5.1.1");
    now += minutes(5);
    for (std::size_t i = 0; i < Book::doubt_count; ++i) {
        heard(user(i), unknown);
    }
    EXPECT_EQ(doubts, std::vector<std::string>{"+stores"});
    EXPECT_EQ(look("never@example.com"), "450 4.1.1");
    EXPECT_EQ(heard("another@example.com", unknown), "450 4.1.1");
    now += hours(5);
    EXPECT_EQ(heard(user(0), unknown), "450 4.1.1") << "also when an hour is over";
    heard(user(1), taken);
    EXPECT_EQ(doubts, (std::vector<std::string>{"+stores", "-stores"}));
    EXPECT_EQ(heard("another@example.com", unknown), "550 5.1.1");
}

TEST_F(BookTest, DoubtEndsAfterADay) {  // 2
    for (std::size_t i = 0; i < Book::doubt_count; ++i) {
        const std::string user = "user" + std::to_string(i) + "@example.com";
        heard(user, taken);
        heard(user, unknown);
    }
    now += hours(25);
    EXPECT_EQ(heard("user0@example.com", unknown), "550 5.1.1");
    EXPECT_EQ(heard("never@example.com", unknown), "550 5.1.1");
    EXPECT_EQ(doubts, (std::vector<std::string>{"+stores", "-stores"}));
}

TEST_F(BookTest, ABackendCanBeDistrusted) {
    heard("bob@example.com", unknown);
    book.distrust("stores", true);
    EXPECT_EQ(look("bob@example.com"), "450 4.1.1");
    book.distrust("stores", false);
    EXPECT_EQ(look("bob@example.com"), "550 5.1.1");
}

TEST_F(BookTest, KeepsItsBoundAndTheNamesThatExist) {  // 3
    for (int i = 0; i < 500; ++i) {
        heard("user" + std::to_string(i) + "@example.com", taken);
    }
    for (int i = 0; i < 20'000; ++i) {
        heard("guess" + std::to_string(i) + "@example.com", unknown);
    }
    for (int i = 0; i < 20'000; ++i) {
        book.heard_of_sample("stores", "guess" + std::to_string(i) + ".example.com", unknown, now);
    }
    EXPECT_LE(book.size(), 1600U);
    int known = 0;
    for (int i = 0; i < 500; ++i) {
        known += look("user" + std::to_string(i) + "@example.com") == "250" ? 1 : 0;
    }
    EXPECT_EQ(known, 500);
    for (int i = 0; i < 20'000; ++i) {
        heard("more" + std::to_string(i) + "@example.com", taken);
    }
    EXPECT_LE(book.size(), 1600U);
}

TEST_F(BookTest, ADomainThatTakesEverythingIsNotAskedForEach) {  // 1, 4
    EXPECT_TRUE(book.wants_sample("stores", "example.com", now));
    book.heard_of_sample("stores", "example.com", taken, now);
    EXPECT_FALSE(book.wants_sample("stores", "example.com", now));
    EXPECT_EQ(look("whoever@example.com"), "250");
    EXPECT_FALSE(refresh);
    EXPECT_EQ(look("whoever@example.org"), "ask");
    const std::size_t before = book.size();
    heard("whoever@example.com", taken, Source::delivery);
    EXPECT_EQ(book.size(), before);
    heard("eve@example.com", full, Source::delivery);
    EXPECT_EQ(look("eve@example.com"), "452 4.2.2");
    now += hours(2);
    EXPECT_EQ(look("whoever@example.com"), "250");
    EXPECT_TRUE(refresh);
    EXPECT_TRUE(book.wants_sample("stores", "example.com", now));
    now += hours(23);
    EXPECT_EQ(look("whoever@example.com"), "ask");
}

TEST_F(BookTest, ADeliveryThatFailsShowsThatADomainDoesNotTakeEverything) {
    book.heard_of_sample("stores", "example.com", taken, now);
    EXPECT_EQ(heard("gone@example.com", unknown, Source::delivery), "550 5.1.1");
    EXPECT_EQ(look("whoever@example.com"), "ask");
    EXPECT_TRUE(book.wants_sample("stores", "example.com", now));
}

TEST_F(BookTest, ASelectiveDomainIsProbedOnceADay) {
    book.heard_of_sample("stores", "example.com", unknown, now);
    now += hours(23);
    EXPECT_FALSE(book.wants_sample("stores", "example.com", now));
    now += hours(2);
    EXPECT_TRUE(book.wants_sample("stores", "example.com", now));
    book.heard_of_sample("stores", "example.com", mail::Reply(451, "later"), now);
    EXPECT_TRUE(book.wants_sample("stores", "example.com", now)) << "that was no answer";
}

TEST_F(BookTest, AMessageThatDoesNotFitDoesNotRefuseTheNextForGood) {
    const mail::Reply too_full(552, mail::EnhancedStatus(5, 2, 2), "quota");
    EXPECT_EQ(heard("eve@example.com", too_full, Source::delivery), "452 4.2.2");
    EXPECT_EQ(heard("bob@example.com", too_full, Source::asked), "552 5.2.2");
}

TEST_F(BookTest, RepliesNameTheRecipientOnce) {
    const mail::Reply with_address(550, mail::EnhancedStatus(5, 1, 1), "<bob@example.com> User doesn't exist");
    heard("bob@example.com", with_address);
    EXPECT_EQ(book.look("stores", mailbox("bob@example.com"), now).verdict->refusal->to_string(),
              "550 5.1.1 <bob@example.com> User doesn't exist");
    heard("eve@example.com", mail::Reply(550, "no"));
    EXPECT_EQ(book.look("stores", mailbox("eve@example.com"), now).verdict->refusal->to_string(),
              "550 5.1.1 <eve@example.com>: no");
}

TEST_F(BookTest, TellsWhatIsToBeKeptAndTakesItBack) {
    heard("ann@example.com", taken);
    heard("bob@example.com", unknown);
    book.heard_of_sample("stores", "example.com", unknown, now);
    const auto changes = book.take_changes();
    ASSERT_EQ(changes.size(), 3U);
    EXPECT_EQ(changes[0].address, "ann@example.com");
    EXPECT_TRUE(book.take_changes().empty());
    now += minutes(5);
    heard("ann@example.com", taken, Source::delivery);
    EXPECT_TRUE(book.take_changes().empty()) << "nothing new, and written lately";
    now += minutes(6);
    heard("ann@example.com", taken, Source::delivery);
    EXPECT_EQ(book.take_changes().size(), 1U);

    Book second({hours(24), hours(1), minutes(30), 1600});
    second.restore(changes, now);
    EXPECT_TRUE(second.take_changes().empty());
    EXPECT_FALSE(second.look("stores", mailbox("ann@example.com"), now).verdict->refusal);
    EXPECT_TRUE(second.look("stores", mailbox("bob@example.com"), now).verdict->refusal);
    EXPECT_FALSE(second.wants_sample("stores", "example.com", now));
    Book late({hours(24), hours(1), minutes(30), 1600});
    late.restore(changes, now + hours(48));
    EXPECT_EQ(late.size(), 0U);
}

TEST_F(BookTest, DoubtOutlivesARestart) {
    for (std::size_t i = 0; i < Book::doubt_count; ++i) {
        const std::string user = "user" + std::to_string(i) + "@example.com";
        heard(user, taken);
        heard(user, unknown);
    }
    Book second({hours(24), hours(1), minutes(30), 1600});
    second.restore(book.take_changes(), now);
    const auto verdict = second.heard("stores", mailbox("never@example.com"), unknown, Source::asked, now);
    EXPECT_EQ(word_of(*verdict), "450 4.1.1");
}

}  // namespace
}  // namespace postern::recipients::tests
