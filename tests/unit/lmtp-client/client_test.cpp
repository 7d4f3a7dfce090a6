// The client over real sockets: contents, connections and their reuse, trouble with opening.
#include "lmtp-client/client.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "tests/unit/lmtp-client/scripted_store.hpp"
#include "tests/unit/lmtp-client/transactions.hpp"

namespace postern::lmtp_client::test {
namespace {

using Words = std::vector<std::string>;
using std::chrono::milliseconds;

struct Ran {
    Words words;
    TransactionEnd end;
};

class ClientTest : public ::testing::Test {
protected:
    ClientTest() { options.hostname = "mx.example.com"; }

    /// Runs the executor until `task` is done; what else is pending stays.
    template <class T>
    T wait_for(boost::asio::awaitable<T> task) {
        std::optional<T> out;
        std::exception_ptr failure;
        boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, T value) {
            failure = error;
            out = std::move(value);
        });
        io.restart();
        while (!out) {
            io.run_one();
        }
        if (failure) {
            std::rethrow_exception(failure);
        }
        return std::move(*out);
    }

    Ran run(const ScriptedStore& store, Transaction sent) { return run(store.endpoint(), std::move(sent)); }
    Ran run(const Endpoint& endpoint, Transaction sent) {
        Recorder recorder(sent.recipients.size());
        TransactionEnd end = wait_for(client->run(endpoint, std::move(sent), recorder, options));
        return {recorder.words(), std::move(end)};
    }
    TransactionEnd probe(const ScriptedStore& store) { return wait_for(client->probe(store.endpoint(), options)); }
    /// Lets the client's own timer go on until `done`.
    void tick_until(const std::function<bool()>& done) {
        io.restart();
        while (!done() && io.run_one() > 0) {}
    }

    boost::asio::io_context io;
    ClientOptions options;
    std::unique_ptr<Client> client = make_client(io.get_executor());
};

TEST_F(ClientTest, DeliversInEachWayOfSending) {
    for (const Mode& mode : modes) {
        StoreOptions store_options;
        store_options.pipelining = mode.pipelining;
        store_options.chunking = mode.chunking;
        ScriptedStore store(store_options);
        const Ran ran = run(store, transaction("s@example.org", recipients(3)));
        EXPECT_EQ(ran.words, (Words{"250", "250", "250"})) << to_string(mode);
        EXPECT_EQ(ran.end.trouble, Trouble::none) << ran.end.detail;
        const auto filed = store.filed();
        ASSERT_EQ(filed.size(), 1u);
        EXPECT_EQ(filed[0].content, plain_content);
        EXPECT_EQ(filed[0].rcpts.size(), 3u);
    }
}

TEST_F(ClientTest, DeliversOverAUnixSocket) {
    char folder[] = "/tmp/postern-lmtp-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    {
        ScriptedStore store({}, std::string(folder) + "/lmtp");
        EXPECT_EQ(run(store, transaction("s@example.org", recipients(1))).words, Words{"250"});
    }
    std::filesystem::remove_all(folder);
}

TEST_F(ClientTest, FindsAStoreByName) {
    ScriptedStore store({});
    Endpoint named = store.endpoint();
    named.host = "localhost";
    EXPECT_EQ(run(named, transaction("s@example.org", recipients(1))).words, Words{"250"});
}

// Shows: RFC 5321 section 4.5.2
TEST_F(ClientTest, FilesTheContentOctetForOctetWhereverItIsCut) {
    const std::string content = "..a\r\n.\r\n\r\n.b.\r\n...\r\nc\r\n.\r\n";
    for (const bool chunking : {false, true}) {
        StoreOptions store_options;
        store_options.chunking = chunking;
        ScriptedStore store(store_options);
        for (std::size_t cut = 1; cut < content.size(); ++cut) {
            Transaction sent = transaction("s@example.org", recipients(1), content);
            sent.content = std::make_shared<PartsSource>(std::vector{content.substr(0, cut), content.substr(cut)});
            EXPECT_EQ(run(store, std::move(sent)).words, Words{"250"});
        }
        const auto filed = store.filed();
        ASSERT_EQ(filed.size(), content.size() - 1);
        for (const auto& one : filed) {
            EXPECT_EQ(one.content, content);
        }
        EXPECT_EQ(store.connections(), 1u);
    }
}

TEST_F(ClientTest, StreamsALongContentInParts) {
    std::vector<std::string> parts;
    std::string whole;
    for (int i = 0; i < 40; ++i) {
        std::string part;
        for (int line = 0; line < 1500; ++line) {
            part += (line % 7 == 0 ? "." : "") + std::string(70, static_cast<char>('a' + i % 26)) + "\r\n";
        }
        whole += part;
        parts.push_back(std::move(part));
    }
    for (const bool chunking : {false, true}) {
        StoreOptions store_options;
        store_options.chunking = chunking;
        ScriptedStore store(store_options);
        options.bdat_size_max = whole.size();
        Transaction sent = transaction("s@example.org", recipients(2), whole);
        sent.content = std::make_shared<PartsSource>(parts);
        EXPECT_EQ(run(store, std::move(sent)).words, (Words{"250", "250"}));
        const auto filed = store.filed();
        ASSERT_EQ(filed.size(), 1u);
        EXPECT_TRUE(filed[0].content == whole);
    }
}

TEST_F(ClientTest, DeliversAnEmptyContent) {
    for (const bool chunking : {false, true}) {
        StoreOptions store_options;
        store_options.chunking = chunking;
        ScriptedStore store(store_options);
        EXPECT_EQ(run(store, transaction("", recipients(1), "")).words, Words{"250"});
    }
}

TEST_F(ClientTest, NeverEndsAContentThatCannotBeRead) {
    for (const Mode& mode : modes) {
        StoreOptions store_options;
        store_options.pipelining = mode.pipelining;
        store_options.chunking = mode.chunking;
        ScriptedStore store(store_options);
        Transaction damaged = transaction("s@example.org", recipients(2));
        damaged.content = std::make_shared<PartsSource>(std::vector{plain_content}, "checksum");
        Transaction short_one = transaction("s@example.org", recipients(2));
        short_one.size += 1;
        Transaction long_one = transaction("s@example.org", recipients(2));
        long_one.size -= 1;
        for (Transaction* sent : {&damaged, &short_one, &long_one}) {
            const Ran ran = run(store, std::move(*sent));
            EXPECT_EQ(ran.words, (Words{"not_tried", "not_tried"})) << to_string(mode);
            EXPECT_EQ(ran.end.trouble, Trouble::content);
            EXPECT_EQ(ran.end.lease, nullptr);
        }
        store.await_ended(3);
        EXPECT_TRUE(store.filed().empty());
    }
}

TEST_F(ClientTest, DoesNotCountAReplyThatComesBeforeTheDot) {
    StoreOptions store_options;
    store_options.chunking = false;
    ScriptedStore store(store_options);
    std::vector<std::string> parts(64, std::string(60000, 'x') + "\r\n");
    std::string whole;
    for (const auto& part : parts) {
        whole += part;
    }
    Transaction sent = transaction("early@example.org", recipients(2), whole);
    sent.content = std::make_shared<PartsSource>(std::move(parts));
    const Ran ran = run(store, std::move(sent));
    EXPECT_EQ(ran.words, (Words{"not_tried", "not_tried"}));
    EXPECT_EQ(ran.end.trouble, Trouble::protocol) << ran.end.detail;
}

TEST_F(ClientTest, TellsRefusedRecipientsApart) {
    for (const Mode& mode : modes) {
        StoreOptions store_options;
        store_options.pipelining = mode.pipelining;
        store_options.chunking = mode.chunking;
        ScriptedStore store(store_options);
        Ran ran = run(store, transaction("pattern-kf@example.org", {"a@example.com", "rcpt-550@example.com",
                                                                    "b@example.com", "rcpt-452@example.com"}));
        EXPECT_EQ(ran.words, (Words{"250", "550", "452", "452"})) << to_string(mode);
        ran.end.lease.reset();
        ran = run(store, transaction("s@example.org", {"rcpt-550@example.com", "rcpt-452@example.com"}));
        EXPECT_EQ(ran.words, (Words{"550", "452"})) << to_string(mode);
        EXPECT_EQ(ran.end.trouble, Trouble::none) << ran.end.detail;
        ran.end.lease.reset();
        ran = run(store, transaction("mail-550@example.org", recipients(2)));
        EXPECT_EQ(ran.words, (Words{"550", "550"})) << to_string(mode);
        ran.end.lease.reset();
        if (!mode.chunking) {
            ran = run(store, transaction("data-451@example.org", recipients(2)));
            EXPECT_EQ(ran.words, (Words{"451", "451"})) << to_string(mode);
            ran.end.lease.reset();
        }
        ran = run(store, transaction("s@example.org", recipients(1)));
        EXPECT_EQ(ran.words, Words{"250"}) << to_string(mode);
        EXPECT_TRUE(ran.end.reused);
        EXPECT_EQ(store.connections(), 1u) << to_string(mode);  // in step all the while
    }
}

TEST_F(ClientTest, KeepsAConnectionFromItsNextTransactionUntilTheLeaseEnds) {
    ScriptedStore store({});
    Ran first = run(store, transaction("s@example.org", recipients(1)));
    ASSERT_NE(first.end.lease, nullptr);
    Ran second = run(store, transaction("s@example.org", recipients(1)));
    EXPECT_FALSE(second.end.reused);
    EXPECT_EQ(store.connections(), 2u);
    first.end.lease.reset();
    const Ran third = run(store, transaction("s@example.org", recipients(1)));
    EXPECT_TRUE(third.end.reused);
    EXPECT_EQ(store.connections(), 2u);
}

TEST_F(ClientTest, TakesBackALeaseThatEndsOnAnotherThread) {
    ScriptedStore store({});
    Ran first = run(store, transaction("s@example.org", recipients(1)));
    std::thread([lease = std::move(first.end.lease)]() mutable { lease.reset(); }).join();
    io.restart();
    io.poll();
    EXPECT_TRUE(run(store, transaction("s@example.org", recipients(1))).end.reused);
}

TEST_F(ClientTest, ReplacesAnIdleConnectionThatTheStoreClosed) {
    ScriptedStore store({});
    run(store, transaction("s@example.org", recipients(1))).end.lease.reset();
    store.close_all();
    const Ran ran = run(store, transaction("s@example.org", recipients(1)));
    EXPECT_EQ(ran.words, Words{"250"});
    EXPECT_FALSE(ran.end.reused);
    EXPECT_EQ(store.connections(), 2u);
}

// A store that was restarted as another version: what it said before counts for nothing.
TEST_F(ClientTest, ReadsAnewWhatAStoreCanDoOnEachConnection) {
    const std::string able = "250-store\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
    const std::string unable = "250 store\r\n";
    for (const bool loses : {false, true}) {
        StoreOptions store_options;
        store_options.lhlo = loses ? able : unable;
        store_options.later_lhlo = loses ? unable : able;
        ScriptedStore store(store_options);
        Transaction utf8 = transaction("s@example.org", recipients(1));
        utf8.smtputf8 = true;
        Ran before = run(store, transaction("s@example.org", recipients(1)));
        EXPECT_EQ(before.words, Words{"250"});
        before.end.lease.reset();
        store.close_all();
        const Ran after = run(store, std::move(utf8));
        EXPECT_EQ(after.words, Words{loses ? "unable 550" : "250"}) << after.end.detail;
        ASSERT_TRUE(after.end.abilities.has_value());
        EXPECT_EQ(after.end.abilities->smtputf8, !loses);
        EXPECT_EQ(store.connections(), 2U);
    }
}

TEST_F(ClientTest, TakesNoNewTransactionToAnOldConnection) {
    ScriptedStore store({});
    options.age_max = milliseconds(0);
    run(store, transaction("s@example.org", recipients(1))).end.lease.reset();
    EXPECT_FALSE(run(store, transaction("s@example.org", recipients(1))).end.reused);
    store.await_ended(1);
    EXPECT_GE(store.quits(), 1u);
}

TEST_F(ClientTest, ClosesConnectionsThatStayIdle) {
    ScriptedStore store({});
    options.idle_max = milliseconds(16);
    run(store, transaction("s@example.org", recipients(1))).end.lease.reset();
    tick_until([&] { return store.quits() == 1; });
    EXPECT_EQ(store.quits(), 1u);
}

TEST_F(ClientTest, ClosesIdleConnectionsWhenTold) {
    ScriptedStore store({});
    run(store, transaction("s@example.org", recipients(1))).end.lease.reset();
    io.restart();
    io.poll();  // the connection goes back to the pool
    client->close_idle();
    store.await_ended(1);
    EXPECT_EQ(store.quits(), 1u);
    EXPECT_FALSE(run(store, transaction("s@example.org", recipients(1))).end.reused);
}

TEST_F(ClientTest, SaysQuitWhenItGoes) {
    ScriptedStore store({});
    run(store, transaction("s@example.org", recipients(1))).end.lease.reset();
    io.restart();
    io.poll();  // the connection goes back to the pool
    client.reset();
    store.await_ended(1);
    EXPECT_EQ(store.quits(), 1u);
}

TEST_F(ClientTest, LetsALeaseOutliveIt) {
    ScriptedStore store({});
    Ran ran = run(store, transaction("s@example.org", recipients(1)));
    client.reset();
    ran.end.lease.reset();
    io.restart();
    io.poll();
    store.await_ended(1);
}

TEST_F(ClientTest, TellsWhyAConnectionCannotBeOpened) {
    Endpoint nobody;
    {
        ScriptedStore store({});
        nobody = store.endpoint();
    }
    Ran ran = run(nobody, transaction("s@example.org", recipients(2)));
    EXPECT_EQ(ran.end.trouble, Trouble::connect);
    EXPECT_EQ(ran.end.detail, "Connection refused");
    EXPECT_EQ(ran.words, (Words{"not_tried", "not_tried"}));

    nobody = Endpoint();
    nobody.unix_path = std::string(200, 'x');
    EXPECT_EQ(run(nobody, transaction("s@example.org", recipients(1))).end.trouble, Trouble::connect);
    nobody.unix_path = "/nonexistent/lmtp";
    EXPECT_EQ(run(nobody, transaction("s@example.org", recipients(1))).end.trouble, Trouble::connect);
}

TEST_F(ClientTest, ChargesABadGreetingToTheEndpoint) {
    const std::vector<std::pair<std::string, Trouble>> greetings{{"554 5.3.2 no service\r\n", Trouble::greeting},
                                                                 {"250 hm\r\n", Trouble::greeting},
                                                                 {"421 4.3.2 down\r\n", Trouble::shutting_down},
                                                                 {"SSH-2.0-x\r\n", Trouble::protocol},
                                                                 {"220 a\r\n250 b\r\n", Trouble::protocol}};
    for (const auto& [greeting, trouble] : greetings) {
        StoreOptions store_options;
        store_options.greeting = greeting;
        ScriptedStore store(store_options);
        const Ran ran = run(store, transaction("s@example.org", recipients(1)));
        EXPECT_EQ(ran.end.trouble, trouble) << greeting;
        EXPECT_EQ(ran.words, Words{"not_tried"});
        EXPECT_EQ(probe(store).trouble, trouble) << greeting;
    }
}

// Shows: RFC 2033 section 4.1
TEST_F(ClientTest, DoesNotFallBackToEhlo) {
    StoreOptions store_options;
    store_options.lhlo = "500 5.5.1 what\r\n";
    ScriptedStore store(store_options);
    EXPECT_EQ(run(store, transaction("s@example.org", recipients(1))).end.trouble, Trouble::greeting);
    store_options.lhlo = "421 4.3.2 down\r\n";
    ScriptedStore another(store_options);
    EXPECT_EQ(run(another, transaction("s@example.org", recipients(1))).end.trouble, Trouble::shutting_down);
}

TEST_F(ClientTest, GivesUpOnASilentGreeting) {
    StoreOptions store_options;
    store_options.greeting.clear();
    ScriptedStore store(store_options);
    options.reply_timeout = milliseconds(16);
    EXPECT_EQ(run(store, transaction("s@example.org", recipients(1))).end.trouble, Trouble::connect);
    store_options.greeting = "220-";
    ScriptedStore another(store_options);
    EXPECT_EQ(run(another, transaction("s@example.org", recipients(1))).end.trouble, Trouble::connect);
}

TEST_F(ClientTest, ProbesAStore) {
    ScriptedStore store({});
    const TransactionEnd end = probe(store);
    EXPECT_EQ(end.trouble, Trouble::none);
    store.await_ended(1);
    EXPECT_EQ(store.quits(), 1u);
}

TEST_F(ClientTest, ReadsNoContentBeforeARecipientIsAcceptedWhenTold) {
    options.envelope_first = true;
    for (const Mode& mode : modes) {
        StoreOptions store_options;
        store_options.pipelining = mode.pipelining;
        store_options.chunking = mode.chunking;
        store_options.smtp = true;
        ScriptedStore store(store_options);
        for (const char* const recipient : {"rcpt-421@example.com", "rcpt-550@example.com"}) {
            Transaction sent = transaction("s@example.org", {recipient});
            const auto content = std::make_shared<PartsSource>(std::vector<std::string>{plain_content});
            sent.content = content;
            EXPECT_NE(run(store, std::move(sent)).words, Words{"250"});
            EXPECT_FALSE(content->was_read()) << to_string(mode) << ' ' << recipient;
        }
        EXPECT_EQ(run(store, transaction("s@example.org", recipients(2))).words, (Words{"250", "250"}));
        EXPECT_EQ(run(store, transaction("mail-421@example.org", recipients(1))).words, Words{"not_tried"});
    }
}

TEST_F(ClientTest, ReadsNoContentThatTheStoreCannotTake) {
    StoreOptions store_options;
    store_options.keywords.clear();
    ScriptedStore store(store_options);
    Transaction sent = transaction("s@example.org", recipients(2));
    sent.body_8bit = true;
    const auto content = std::make_shared<PartsSource>(std::vector{plain_content});
    sent.content = content;
    const Ran ran = run(store, std::move(sent));
    EXPECT_EQ(ran.words, (Words{"unable 554", "unable 554"}));
    EXPECT_FALSE(content->was_read());
    EXPECT_NE(ran.end.lease, nullptr);
}

TEST_F(ClientTest, RunsTransactionsSideBySide) {
    ScriptedStore store({});
    std::vector<Recorder> recorders(50, Recorder(2));
    std::size_t left = recorders.size();
    for (auto& recorder : recorders) {
        boost::asio::co_spawn(
            io, client->run(store.endpoint(), transaction("s@example.org", recipients(2)), recorder, options),
            [&](std::exception_ptr, const TransactionEnd& end) {
                EXPECT_EQ(end.trouble, Trouble::none) << end.detail;
                --left;
            });
    }
    tick_until([&] { return left == 0; });
    for (const auto& recorder : recorders) {
        EXPECT_EQ(recorder.words(), (Words{"250", "250"}));
    }
    EXPECT_EQ(store.filed().size(), 50u);
}

}  // namespace
}  // namespace postern::lmtp_client::test
