#include "gateway/outgoing/mx_client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <map>

#include "tests/unit/gateway/dns/scripted_resolver.hpp"

namespace postern::outgoing {
namespace {

namespace asio = boost::asio;
using dns::Address;
using dns::DomainName;
using dns::MailExchanger;
using dns::RecordType;
using dns::tests::ScriptedResolver;
using lmtp_client::Fate;
using lmtp_client::Outcome;
using lmtp_client::Trouble;
using testing::ElementsAre;

/// What a server does: the outcome of each recipient (the last for all further ones), and how it ends.
struct Server {
    std::vector<Outcome> outcomes{Outcome()};
    Trouble trouble = Trouble::connect;
    std::string detail = "refused";
    bool reads_content = false;
    std::chrono::minutes takes{0};
};

class ScriptedClient final : public lmtp_client::Client {
public:
    asio::awaitable<lmtp_client::TransactionEnd> run(lmtp_client::Endpoint endpoint,
                                                     lmtp_client::Transaction transaction,
                                                     lmtp_client::OutcomeSink& outcomes,
                                                     lmtp_client::ClientOptions options) override {
        EXPECT_TRUE(options.envelope_first) << "else nobody else could get the content";
        std::string what = endpoint.host;
        for (const auto& recipient : transaction.recipients) {
            what += ' ' + recipient.address.local_part();
        }
        visited.push_back(what);
        const Server server = servers[endpoint.host];
        now += server.takes;
        if (server.reads_content) {
            const lmtp_client::ContentPart part = co_await transaction.content->next();
            EXPECT_TRUE(part.has_value());
        }
        for (std::size_t slot = 0; slot < transaction.recipients.size(); ++slot) {
            outcomes.outcome(slot, server.outcomes[std::min(slot, server.outcomes.size() - 1)]);
        }
        lmtp_client::TransactionEnd end;
        end.trouble = server.trouble;
        end.detail = server.detail;
        co_return end;
    }
    asio::awaitable<lmtp_client::TransactionEnd> probe(lmtp_client::Endpoint, lmtp_client::ClientOptions) override {
        co_return lmtp_client::TransactionEnd();
    }
    using Client::close_idle;
    void close_idle() override {}

    std::map<std::string, Server> servers;  ///< by address; all others refuse
    std::vector<std::string> visited;       ///< address and recipients
    std::chrono::steady_clock::time_point now;
};

class NoContent final : public lmtp_client::ContentSource {
public:
    asio::awaitable<lmtp_client::ContentPart> next() override { co_return lmtp_client::content_part(""); }
};

Outcome replied(std::uint16_t code) { return {Fate::replied, mail::Reply(code, "so")}; }

class MxClientTest : public testing::Test, public lmtp_client::OutcomeSink {
protected:
    MxClientTest() {
        auto made = std::make_shared<Options>();
        made->hostname = "mx.example.com";
        made->is_own = [](const std::string& ip) { return ip == "192.0.2.99"; };
        made->is_forbidden = [](const std::string& ip) { return ip.starts_with("127."); };
        options = made;
        for (int i = 1; i <= 9; ++i) {
            const std::string number = std::to_string(i);
            resolver.found("mx" + number + ".example", RecordType::a, {Address{"192.0.2." + number}});
        }
    }
    void exchanges(const std::vector<std::string>& hosts) {
        std::vector<dns::Record> records;
        for (const std::string& host : hosts) {
            records.emplace_back(MailExchanger{static_cast<std::uint16_t>(records.size()), DomainName{host}});
        }
        resolver.found("example.org", RecordType::mx, records);
    }
    void server(int number, Server does) { inner->servers["192.0.2." + std::to_string(number)] = std::move(does); }
    void deliver(const std::string& domain = "example.org", int recipients = 1) {
        const auto client = make_mx_client(
            std::unique_ptr<lmtp_client::Client>(inner), resolver, [this] { return options; }, 1,
            [this] {
                inner->now += step;
                return inner->now;
            });
        lmtp_client::Transaction transaction;
        transaction.content = std::make_shared<NoContent>();
        for (int i = 0; i < recipients; ++i) {
            const std::string address = std::string(1, static_cast<char>('a' + i)) + "@example.org";
            transaction.recipients.push_back({*mail::Mailbox::parse(address, mail::Utf8::refused), {}});
        }
        lmtp_client::Endpoint endpoint;
        endpoint.host = domain;
        asio::io_context context(1);
        auto task = client->run(endpoint, std::move(transaction), *this, {});
        asio::co_spawn(context, std::move(task),
                       [this](const std::exception_ptr& problem, lmtp_client::TransactionEnd ended) {
                           EXPECT_FALSE(problem);
                           end = std::move(ended);
                           visited = inner->visited;
                       });
        context.run();
    }
    void outcome(std::size_t slot, Outcome outcome) override {
        EXPECT_TRUE(outcomes.emplace(slot, std::move(outcome)).second) << "one for each";
    }
    std::string reply(std::size_t slot = 0) { return outcomes.at(slot).reply.to_string(); }

    ScriptedResolver resolver;
    ScriptedClient* inner = new ScriptedClient;  // the client's, from deliver() on
    std::shared_ptr<const Options> options;
    std::map<std::size_t, Outcome> outcomes;
    lmtp_client::TransactionEnd end;
    std::vector<std::string> visited;
    std::chrono::minutes step{0};  ///< from one look at the clock to the next
};

// Shows: RFC 5321 5.1
TEST_F(MxClientTest, GoesOnUntilSomebodyAnswers) {
    exchanges({"mx1.example", "mx2.example", "mx3.example", "mx4.example"});
    server(2, {{Outcome()}, Trouble::greeting, "421 busy", false});
    server(3, {{replied(250)}, Trouble::none, "", false});
    deliver();
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a", "192.0.2.2 a", "192.0.2.3 a"));
    EXPECT_EQ(outcomes.at(0).peer, "mx3.example[192.0.2.3]:25");
    EXPECT_EQ(end.trouble, Trouble::none);
}

TEST_F(MxClientTest, TakesAnAnswerForOneWhateverItSays) {
    exchanges({"mx1.example", "mx2.example"});
    server(1, {{replied(450), replied(550), Outcome()}, Trouble::shutting_down, "421", false});
    server(2, {{replied(250)}, Trouble::none, "", false});
    deliver("example.org", 4);
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a b c d", "192.0.2.2 c d"));
    EXPECT_EQ(outcomes.at(0).reply.code(), 450);
    EXPECT_EQ(outcomes.at(1).reply.code(), 550);
    EXPECT_EQ(outcomes.at(3).reply.code(), 250);
}

// Shows: RFC 5321 4.5.3.1.10
TEST_F(MxClientTest, ChargesNobodyForWhatGoesInAnotherTransaction) {
    exchanges({"mx1.example", "mx2.example"});
    server(1, {{replied(250), Outcome()}, Trouble::none, "", true});
    deliver("example.org", 3);
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a b c"));
    EXPECT_EQ(outcomes.at(0).reply.code(), 250);
    EXPECT_EQ(outcomes.at(1).fate, Fate::not_tried);
    EXPECT_EQ(outcomes.at(2).fate, Fate::not_tried);
    EXPECT_EQ(end.trouble, Trouble::none) << "the domain must not rest for it";
}

TEST_F(MxClientTest, AsksNobodyElseAboutWhatTheServerTakesInAnotherTransaction) {
    exchanges({"mx1.example", "mx2.example", "mx3.example"});
    server(2, {{replied(450), Outcome()}, Trouble::none, "", false});
    deliver("example.org", 2);
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a b", "192.0.2.2 a b"));
    EXPECT_EQ(outcomes.at(0).reply.code(), 450);
    EXPECT_EQ(outcomes.at(1).fate, Fate::not_tried) << "that the first refused is no longer about anybody";
    EXPECT_EQ(end.trouble, Trouble::none);
}

TEST_F(MxClientTest, GivesTheContentToNobodyElseOnceItWasBegun) {
    exchanges({"mx1.example", "mx2.example"});
    server(1, {{Outcome()}, Trouble::broken, "reset", true});
    deliver();
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a"));
    EXPECT_EQ(reply(), "451 4.4.2 mx1.example[192.0.2.1]:25: reset");
    EXPECT_EQ(end.trouble, Trouble::broken);
}

TEST_F(MxClientTest, GivesUpForNowWhenNobodyIsThere) {
    exchanges({"mx1.example", "mx2.example"});
    deliver();
    EXPECT_EQ(outcomes.at(0).fate, Fate::replied);
    EXPECT_EQ(reply(), "451 4.4.1 mx2.example[192.0.2.2]:25: refused");
    EXPECT_EQ(end.trouble, Trouble::connect);
    EXPECT_THAT(end.transcript, testing::HasSubstr("MX of example.org: 0 mx1.example 1 mx2.example"));
}

TEST_F(MxClientTest, TriesSoManyServersAndNoMore) {
    exchanges(
        {"mx1.example", "mx2.example", "mx3.example", "mx4.example", "mx5.example", "mx6.example", "mx7.example"});
    deliver();
    EXPECT_EQ(visited.size(), 6U);
}

TEST_F(MxClientTest, LeavesTheNextServerForTheNextAttemptWhenItTookTooLong) {
    exchanges({"mx1.example", "mx2.example", "mx3.example"});
    for (const int number : {1, 2}) {
        server(number, {{Outcome()}, Trouble::broken, "timed out", false, std::chrono::minutes(5)});
    }
    server(3, {{replied(250)}, Trouble::none, "", false});
    deliver();
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a", "192.0.2.2 a"));
    EXPECT_EQ(reply(), "451 4.4.2 mx2.example[192.0.2.2]:25: timed out");
}

TEST_F(MxClientTest, SaysThatNobodyWasFoundInTimeNotThatNobodyIsThere) {
    exchanges({"nowhere.example", "nowhere.example", "nowhere.example", "mx1.example"});
    step = std::chrono::minutes(4);
    deliver();
    EXPECT_THAT(visited, testing::IsEmpty());
    EXPECT_EQ(outcomes.at(0).fate, Fate::replied);
    EXPECT_EQ(reply(), "451 4.4.3 no server for example.org was found in time");
    EXPECT_EQ(end.trouble, Trouble::connect);
}

TEST_F(MxClientTest, ReturnsWhatNobodyTakesForGood) {
    deliver();
    EXPECT_EQ(outcomes.at(0).fate, Fate::unable);
    EXPECT_EQ(reply(), "550 5.1.2 the domain example.org does not exist");
    EXPECT_EQ(end.trouble, Trouble::none) << "nothing is wrong with the domain's servers";
}

TEST_F(MxClientTest, ReturnsWhatHasNoAddressUnlessThatIsNotKnown) {
    exchanges({"nowhere.example"});
    deliver();
    EXPECT_EQ(reply().substr(0, 9), "550 5.4.4");
}

TEST_F(MxClientTest, WaitsWhenOneOfTheAddressesIsNotKnown) {
    exchanges({"unknown.example", "nowhere.example"});
    resolver.answer("unknown.example", RecordType::a, dns::Status::failed);
    deliver();
    EXPECT_EQ(reply().substr(0, 9), "451 4.4.3");
    EXPECT_EQ(end.trouble, Trouble::connect);
}

TEST_F(MxClientTest, NamesNoServerForWhatIsNoServersFault) {
    exchanges({"mx1.example", "unknown.example"});
    resolver.answer("unknown.example", RecordType::a, dns::Status::failed);
    deliver();
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a"));
    EXPECT_EQ(reply().substr(0, 9), "451 4.4.3");
    EXPECT_EQ(outcomes.at(0).peer, "");
}

// Shows: RFC 5321 5.1
TEST_F(MxClientTest, StopsBeforeItself) {
    resolver.found("own.example", RecordType::a, {Address{"192.0.2.99"}});
    exchanges({"own.example", "mx2.example"});
    deliver();
    EXPECT_THAT(visited, testing::IsEmpty());
    EXPECT_EQ(reply().substr(0, 9), "554 5.4.6");
}

TEST_F(MxClientTest, WaitsForWhoIsBetterThanItself) {
    resolver.found("own.example", RecordType::a, {Address{"192.0.2.99"}});
    exchanges({"mx1.example", "own.example", "mx2.example"});
    deliver();
    EXPECT_THAT(visited, ElementsAre("192.0.2.1 a"));
    EXPECT_EQ(reply().substr(0, 9), "451 4.4.1");
}

// Shows: RFC 5321 4.1.3
TEST_F(MxClientTest, GoesToAnAddressLiteralAsItIs) {
    server(7, {{replied(250)}, Trouble::none, "", false});
    deliver("[192.0.2.7]");
    EXPECT_EQ(outcomes.at(0).peer, "[192.0.2.7]:25");
    EXPECT_THAT(resolver.asked, testing::IsEmpty());
}

TEST_F(MxClientTest, RefusesALiteralThatIsNoAddressOrOneThatNoMailGoesTo) {
    deliver("[x400:somewhere]");
    EXPECT_EQ(reply().substr(0, 9), "550 5.1.2");
    EXPECT_THAT(visited, testing::IsEmpty());
}

TEST_F(MxClientTest, SaysThatItMayNotGoWhereTheAddressesLead) {
    resolver.found("forbidden.example", RecordType::a, {Address{"127.0.0.2"}});
    exchanges({"forbidden.example"});
    deliver();
    EXPECT_THAT(reply(), testing::AllOf(testing::StartsWith("550 5.4.4"), testing::HasSubstr("mail is never sent")));
    EXPECT_THAT(visited, testing::IsEmpty());
}

TEST_F(MxClientTest, RefusesALiteralOfThisMachine) {
    deliver("[127.0.0.1]");
    EXPECT_EQ(reply().substr(0, 9), "550 5.1.2");
    EXPECT_THAT(visited, testing::IsEmpty());
}

}  // namespace
}  // namespace postern::outgoing
