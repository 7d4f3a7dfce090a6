#include "gateway/cli/filter_arguments.hpp"

#include <gtest/gtest.h>

namespace postern::cli {
namespace {

using namespace std::chrono_literals;

TEST(FilterArguments, EveryOptionFindsItsPlace) {
    const queue::MessageId id(12345);
    FilterArguments arguments;
    arguments.ids = {id.to_string()};
    arguments.backends = {"stores"};
    arguments.domains = {"*.example.org"};
    arguments.recipients = {"*@example.org"};
    arguments.senders = {"<>"};
    arguments.clients = {"192.0.2.0/24"};
    arguments.states = {"waiting", "held"};
    arguments.older_than = "5m";
    arguments.younger_than = "4h";
    arguments.reply = "full";
    arguments.limit = "50";
    const auto filter = parse_filter(arguments);
    ASSERT_TRUE(filter) << filter.error();
    EXPECT_EQ(filter->ids, std::vector<queue::MessageId>{id});
    EXPECT_EQ(filter->backends, arguments.backends);
    EXPECT_EQ(filter->domains, arguments.domains);
    EXPECT_EQ(filter->recipients, arguments.recipients);
    EXPECT_EQ(filter->senders, arguments.senders);
    EXPECT_EQ(filter->clients, arguments.clients);
    EXPECT_EQ(filter->states, (std::vector{queue::RecipientState::waiting, queue::RecipientState::held}));
    EXPECT_EQ(filter->older_than, std::optional<queue::Duration>(5min));
    EXPECT_EQ(filter->younger_than, std::optional<queue::Duration>(4h));
    EXPECT_EQ(filter->reply, std::optional<std::string>("full"));
    EXPECT_EQ(filter->limit, std::optional<std::uint64_t>(50));
}

TEST(FilterArguments, WhatIsWrongIsNamed) {
    struct Case {
        void (*set)(FilterArguments&);
        const char* text;
    };
    const Case cases[] = {
        {[](FilterArguments& a) { a.ids = {"nonsense"}; },
         "message id `nonsense`: expected 13 letters and digits, as `postern queue list` shows them"},
        {[](FilterArguments& a) { a.states = {"lost"}; },
         "--state `lost`: expected ready, waiting, unknown, held, parked, delivered, removed or returned"},
        {[](FilterArguments& a) { a.clients = {"example.com"}; },
         "--client `example.com`: expected an IP address, or a network such as 192.0.2.0/24"},
        {[](FilterArguments& a) { a.older_than = "soon"; },
         "--older-than `soon`: expected a span of time such as 30s, 5m, 4h or 5d"},
        {[](FilterArguments& a) { a.younger_than.emplace("5"); },
         "--younger-than `5`: expected a span of time such as 30s, 5m, 4h or 5d"},
        {[](FilterArguments& a) { a.limit.emplace("0"); }, "--limit `0`: expected a number of messages, 1 or more"},
        {[](FilterArguments& a) { a.limit.emplace("-1"); }, "--limit `-1`: expected a number of messages, 1 or more"},
        {[](FilterArguments& a) { a.limit.emplace("ten"); }, "--limit `ten`: expected a number of messages, 1 or more"},
        {[](FilterArguments& a) {
             a.all = true;
             a.senders = {"a@example.com"};
         },
         "--all contradicts the other filters: give one or the other"},
    };
    for (const Case& each : cases) {
        FilterArguments arguments;
        each.set(arguments);
        const auto filter = parse_filter(arguments);
        ASSERT_FALSE(filter) << each.text;
        EXPECT_EQ(filter.error(), each.text);
    }
}

TEST(FilterArguments, AllMayBeLimited) {
    FilterArguments arguments;
    arguments.all = true;
    arguments.limit = "5";
    EXPECT_TRUE(parse_filter(arguments));
}

}  // namespace
}  // namespace postern::cli
