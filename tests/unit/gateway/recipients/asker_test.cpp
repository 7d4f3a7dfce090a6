// The asker over real sockets, against stores scripted in the same process.
#include "gateway/recipients/asker.hpp"

#include <gtest/gtest.h>

#include <future>

#include "tests/unit/gateway/recipients/words.hpp"
#include "tests/unit/lmtp-client/scripted_store.hpp"

namespace postern::recipients::tests {
namespace {

using lmtp_client::test::ScriptedStore;
using lmtp_client::test::StoreOptions;

class AskerTest : public ::testing::Test {
protected:
    void configure(std::vector<lmtp_client::Endpoint> endpoints) {
        AskerOptions options;
        options.hostname = "mx.example.com";
        options.backends["stores"].endpoints = std::move(endpoints);
        options.timeout = std::chrono::seconds(60);
        asker.reconfigure(std::move(options));
    }
    std::future<Verdict> put(const std::string& address, const std::vector<mail::Mailbox>& ahead = {}) {
        auto promise = std::make_shared<std::promise<Verdict>>();
        auto future = promise->get_future();
        asker.ask("stores", mailbox(address), ahead, [promise](Verdict verdict) { promise->set_value(verdict); });
        return future;
    }
    int ask(const std::string& address) {
        const Verdict verdict = put(address).get();
        return verdict.refusal ? verdict.refusal->code() : 250;
    }
    /// A port where nobody listens.
    static lmtp_client::Endpoint nowhere() { return *lmtp_client::parse_endpoint("127.0.0.1:1"); }

    Book book{{}};
    AbilityBoard abilities;
    queue::SystemClock clock;
    std::mutex mutex;
    std::vector<std::string> changes;
    Asker asker{book, abilities, clock,
                [this](const std::string&, const std::string&, const std::string& why) {
                    const std::lock_guard lock(mutex);
                    changes.push_back(why);
                },
                1};
};

TEST_F(AskerTest, PassesOnWhatTheStoreSays) {
    ScriptedStore store({});
    configure({store.endpoint()});
    EXPECT_EQ(ask("rcpt-550@example.com"), 550);
    // Of a domain that takes everything nothing more is asked.
    EXPECT_EQ(ask("rcpt-452@b.example.com"), 452);
    EXPECT_EQ(ask("ann@c.example.com"), 250);
    EXPECT_EQ(ask("rcpt-451@d.example.com"), 250) << "no answer about the mailbox";
    EXPECT_EQ(store.connections(), 1u);
    EXPECT_TRUE(store.filed().empty());
}

TEST_F(AskerTest, NoticesADomainThatTakesEverything) {
    ScriptedStore store({});
    configure({store.endpoint()});
    EXPECT_EQ(ask("ann@example.com"), 250);
    EXPECT_TRUE(book.knows("stores", mailbox("whoever@example.com"), clock.wall()));
}

TEST_F(AskerTest, AStoreThatIsDownIsAnsweredForByTheBook) {
    configure({nowhere()});
    EXPECT_EQ(ask("ann@example.com"), 250);
    static_cast<void>(book.heard("stores", mailbox("bob@example.com"), unknown, Book::Source::asked,
                                 clock.wall() - std::chrono::hours(1)));
    EXPECT_EQ(ask("bob@example.com"), 450);
    const std::lock_guard lock(mutex);
    EXPECT_EQ(changes.size(), 1u);
}

// The answer to one of those ahead can come while the question about it alone is still on its way to the asker.
TEST_F(AskerTest, WhatHasBeenAnsweredMeanwhileIsNotAskedAgain) {
    configure({nowhere()});
    static_cast<void>(book.heard("stores", mailbox("bob@example.com"), unknown, Book::Source::asked, clock.wall()));
    EXPECT_EQ(ask("bob@example.com"), 550);
    asker.stop();
    EXPECT_TRUE(changes.empty()) << "the store was asked";
}

TEST_F(AskerTest, TriesAnotherEndpoint) {
    ScriptedStore store({});
    configure({nowhere(), store.endpoint()});
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(ask("rcpt-550@example" + std::to_string(i) + ".com"), 550);
    }
}

TEST_F(AskerTest, AStoreThatHangsUpHasSaidNothingOfTheMailbox) {
    ScriptedStore store({});
    configure({store.endpoint()});
    EXPECT_EQ(ask("rcpt-421@example.com"), 250);
    for (const queue::KnownRecipient& known : book.take_changes()) {
        EXPECT_EQ(known.address, "@example.com");  // that was the name that nobody has
    }
    asker.stop();
    EXPECT_EQ(changes.size(), 1u);
}

TEST_F(AskerTest, AStoreThatCannotBeAskedForANameIsNotToBlame) {
    ScriptedStore store({});  // without SMTPUTF8
    configure({store.endpoint()});
    EXPECT_EQ(ask("ann@example.com"), 250);  // and so the domain's sample was asked for
    EXPECT_EQ(ask("rcpt-550@b.example.com"), 550);
    EXPECT_EQ(ask("\u00e9@b.example.com"), 250);
    EXPECT_EQ(ask("rcpt-550@c.example.com"), 550);
    asker.stop();
    EXPECT_TRUE(changes.empty()) << changes.front();
}

TEST_F(AskerTest, LearnsWhatTheStoreTakes) {
    StoreOptions options;
    options.keywords = "250-SIZE 12345\r\n250-SMTPUTF8\r\n";
    ScriptedStore store(options);
    abilities.reconfigure({{"stores", {store.endpoint()}}});
    configure({store.endpoint()});
    EXPECT_EQ(ask("ann@example.com"), 250);
    asker.stop();  // and so what was asked has ended
    EXPECT_EQ(abilities.of("stores", clock.steady()), (Abilities{true, false, 12345}));
}

TEST_F(AskerTest, AsksForMoreThanATransactionHolds) {
    ScriptedStore store({});
    configure({store.endpoint()});
    std::vector<std::future<Verdict>> answers;
    std::vector<mail::Mailbox> ahead;
    for (std::size_t i = 0; i < 3 * Asker::recipients_max; ++i) {
        ahead.push_back(mailbox("user" + std::to_string(i) + "@example.com"));
    }
    answers.push_back(put("rcpt-550@example.com", ahead));
    for (const mail::Mailbox& address : ahead) {
        answers.push_back(put(address.to_string()));
    }
    EXPECT_TRUE(answers.front().get().refusal);
    for (std::size_t i = 1; i < answers.size(); ++i) {
        EXPECT_FALSE(answers[i].get().refusal);
    }
}

TEST_F(AskerTest, AfterTheEndEverythingIsAnsweredAtOnce) {
    StoreOptions options;
    options.greeting = "";  // never greets
    ScriptedStore store(options);
    configure({store.endpoint()});
    auto waiting = put("ann@example.com");
    asker.stop();
    EXPECT_FALSE(waiting.get().refusal);
    EXPECT_EQ(ask("bob@example.com"), 250);
}

TEST_F(AskerTest, ABackendThatIsLeftAloneIsNotAsked) {
    ScriptedStore store({});
    configure({store.endpoint()});
    asker.leave_alone("stores", true);
    EXPECT_EQ(ask("rcpt-550@example.com"), 250);
    EXPECT_EQ(store.connections(), 0u);
    asker.leave_alone("stores", false);
    EXPECT_EQ(ask("rcpt-550@example.com"), 550);
}

TEST_F(AskerTest, AsksInOrderWhenTold) {
    ScriptedStore first({});
    ScriptedStore second({});
    AskerOptions options;
    options.backends["stores"].endpoints = {first.endpoint(), second.endpoint()};
    options.backends["stores"].in_order = true;
    options.timeout = std::chrono::seconds(60);
    asker.reconfigure(std::move(options));
    for (int i = 0; i < 4; ++i) {
        EXPECT_EQ(ask("rcpt-550@example" + std::to_string(i) + ".com"), 550);
    }
    EXPECT_EQ(first.connections(), 1u);
    EXPECT_EQ(second.connections(), 0u);
}

TEST_F(AskerTest, AnUnknownBackendIsNotAsked) { EXPECT_EQ(ask("ann@example.com"), 250); }

}  // namespace
}  // namespace postern::recipients::tests
