#include "gateway/dns/unbound_resolver.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <vector>

#include "tests/unit/gateway/dns/small_server.hpp"

namespace postern::dns {
namespace {

namespace asio = boost::asio;
using tests::SmallServer;

SmallServer::Answers answers() {
    return {{{"a.example", 1}, std::string("\x7f\x00\x01\x02", 4)},
            {{"b.example", 1}, std::string("\x7f\x00\x01\x03", 4)}};
}

std::unique_ptr<Resolver> resolver_of(const SmallServer& server, std::chrono::milliseconds timeout) {
    UnboundOptions options;
    options.servers = {server.address()};
    options.timeout = timeout;
    auto made = make_unbound_resolver(options);
    EXPECT_TRUE(made.has_value()) << made.error();
    return std::move(*made);
}

class UnboundResolverTest : public testing::Test {
protected:
    void ask(Resolver& resolver, std::string name) {
        auto task = resolver.lookup(std::move(name), RecordType::a);
        asio::co_spawn(context_, std::move(task), [this](const std::exception_ptr& problem, Answer answer) {
            EXPECT_FALSE(problem);
            got_.push_back(std::move(answer));
        });
    }
    asio::io_context context_{1};
    std::vector<Answer> got_;
};

TEST_F(UnboundResolverTest, AnswersManyAtOnce) {
    const SmallServer server(answers());
    const auto resolver = resolver_of(server, std::chrono::seconds(60));
    for (int i = 0; i < 50; ++i) {
        ask(*resolver, i % 2 == 0 ? "a.example" : "B.Example.");
    }
    context_.run();
    ASSERT_EQ(got_.size(), 50U);
    for (const Answer& answer : got_) {
        ASSERT_EQ(answer.status, Status::found) << answer.why;
        EXPECT_FALSE(answer.secure);
        EXPECT_TRUE(answer.all<Address>().front().text.starts_with("127.0.1."));
    }
}

TEST_F(UnboundResolverTest, KeepsAnswersForTheNext) {
    const SmallServer server(answers());
    const auto resolver = resolver_of(server, std::chrono::seconds(60));
    ask(*resolver, "a.example");
    context_.run();
    const int asked = server.questions();
    context_.restart();
    ask(*resolver, "a.example");
    context_.run();
    ASSERT_EQ(got_.size(), 2U);
    EXPECT_EQ(got_.back().status, Status::found);
    EXPECT_EQ(server.questions(), asked);
}

TEST_F(UnboundResolverTest, TellsWhatDoesNotExist) {
    const SmallServer server(answers());
    const auto resolver = resolver_of(server, std::chrono::seconds(60));
    ask(*resolver, "c.example");
    ask(*resolver, "not a name");
    ask(*resolver, "9.9.9.127.in-addr.arpa");
    context_.run();
    ASSERT_EQ(got_.size(), 3U);
    for (const Answer& answer : got_) {
        EXPECT_EQ(answer.status, Status::no_such_name) << answer.why;
    }
}

TEST_F(UnboundResolverTest, GivesUpInTime) {
    const SmallServer server(answers());
    const auto resolver = resolver_of(server, std::chrono::milliseconds(50));
    ask(*resolver, "silent.example");
    context_.run();
    ASSERT_EQ(got_.size(), 1U);
    EXPECT_EQ(got_.front().status, Status::failed);
    EXPECT_EQ(got_.front().why, "no answer from the DNS servers in time");
}

TEST_F(UnboundResolverTest, CanBeCancelled) {
    using namespace asio::experimental::awaitable_operators;
    const SmallServer server(answers());
    const auto resolver = resolver_of(server, std::chrono::hours(1));
    asio::steady_timer timer(context_, std::chrono::milliseconds(20));
    auto task = resolver->lookup("silent.example", RecordType::a) || timer.async_wait(asio::use_awaitable);
    bool timer_first = false;
    asio::co_spawn(context_, std::move(task),
                   [&](const std::exception_ptr&, const auto& first) { timer_first = first.index() == 1; });
    context_.run();
    EXPECT_TRUE(timer_first);
}

TEST_F(UnboundResolverTest, MayGoBeforeItsLookups) {
    const SmallServer server(answers());
    auto resolver = resolver_of(server, std::chrono::hours(1));
    ask(*resolver, "silent.example");
    context_.poll();
    resolver.reset();
    context_.run();
    ASSERT_EQ(got_.size(), 1U);
    EXPECT_EQ(got_.front().why, "the resolver has ended");
}

TEST_F(UnboundResolverTest, OutlivesWhoAsks) {
    const SmallServer server(answers());
    const auto resolver = resolver_of(server, std::chrono::hours(1));
    {
        asio::io_context gone(1);
        for (int i = 0; i < 20; ++i) {
            auto task = resolver->lookup(i % 2 == 0 ? "a.example" : "silent.example", RecordType::a);
            asio::co_spawn(gone, std::move(task), [](const std::exception_ptr&, const Answer&) {});
        }
        gone.poll();
    }
    ask(*resolver, "b.example");
    context_.run();
    EXPECT_EQ(got_.front().status, Status::found);
}

TEST_F(UnboundResolverTest, HasABoundOfLookups) {
    const SmallServer server(answers());
    UnboundOptions options;
    options.servers = {server.address()};
    options.timeout = std::chrono::milliseconds(50);
    options.lookups_max = 2;
    const auto resolver = make_unbound_resolver(options);
    ASSERT_TRUE(resolver.has_value());
    for (const char* name : {"silent1.example", "silent2.example", "silent3.example"}) {
        ask(**resolver, name);
    }
    context_.run();
    ASSERT_EQ(got_.size(), 3U);
    EXPECT_EQ(got_.front().why, "too many DNS lookups at once");
}

TEST(UnboundResolverOptions, ThatAreWrongAreSaid) {
    UnboundOptions options;
    options.servers = {"nowhere"};
    EXPECT_TRUE(make_unbound_resolver(options).has_error());
    options.servers = {"127.0.0.1@5353"};
    options.trust_anchor = "/nonexistent/root.key";
    EXPECT_EQ(make_unbound_resolver(options).error(), "dns: /nonexistent/root.key cannot be read");
    const std::string broken = testing::TempDir() + "broken-anchor";
    std::ofstream(broken) << "example. IN DS nonsense\n";
    options.trust_anchor = broken;
    EXPECT_TRUE(make_unbound_resolver(options).has_error());
    options.trust_anchor.clear();
    options.servers.clear();
    options.resolv_conf = "/nonexistent/resolv.conf";
    EXPECT_TRUE(make_unbound_resolver(options).has_error());
}

}  // namespace
}  // namespace postern::dns
