// deploy/postern.example.yaml: it loads, it says the truth about defaults, and it names every key that the parser
// knows.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <sstream>

#include "gateway/config/detail/problems.hpp"
#include "gateway/config/detail/yaml_reader.hpp"
#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using detail::Node;

std::string example() {
    std::ifstream file(POSTERN_EXAMPLE, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The example with the keys switched on that it shows switched off: `#key:` is one, `# prose` is not.
std::string example_with_all_keys() {
    return std::regex_replace(example(), std::regex("(^|\n)( *)#([a-z_]+:)"), "$1$2$3");
}

/// The keys that the parser names when it meets one that it does not know, at the place that `at` makes of a mapping.
std::vector<std::string> keys_known_at(const std::function<std::string(const std::string&)>& at) {
    static const std::string unknown = "xyzzyxyzzyxyzzy";
    static const std::regex list("unknown key `" + unknown + "`; expected one of (.*)$");
    for (const std::string& error : errors_of(at("{ " + unknown + ": 0 }"))) {
        std::smatch match;
        if (!std::regex_search(error, match, list)) {
            continue;
        }
        std::vector<std::string> keys;
        std::istringstream words(match[1].str());
        for (std::string word; words >> word;) {
            keys.push_back(word.substr(0, word.find(',')));
        }
        return keys;
    }
    return {};
}

/// All keys, as "limits.connections", found by asking the parser. `*` stands for an item of a list and for a name of
/// one's choice.
std::set<std::string> known_keys(const std::string& path, const std::function<std::string(const std::string&)>& at) {
    std::set<std::string> found;
    const auto look_at = [&](const std::string& below, const std::function<std::string(const std::string&)>& place) {
        for (const std::string& key : keys_known_at(place)) {
            const std::string name = below.empty() ? key : below + '.' + key;
            found.insert(name);
            const auto deeper = known_keys(
                name, [&place, &key](const std::string& value) { return place("{ " + key + ": " + value + " }"); });
            found.insert(deeper.begin(), deeper.end());
        }
    };
    look_at(path, at);
    look_at(path + ".*", [&at](const std::string& mapping) { return at("[" + mapping + "]"); });
    look_at(path + ".*", [&at](const std::string& mapping) { return at("{ a.example: " + mapping + " }"); });
    return found;
}

bool names(const Node& node, std::string_view path) {
    const std::size_t dot = path.find('.');
    const std::string_view key = path.substr(0, dot);
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        if (key != "*" && (node.kind != Node::Kind::mapping || node.keys[i].text != key)) {
            continue;
        }
        if (dot == std::string_view::npos || names(node.items[i], path.substr(dot + 1))) {
            return true;
        }
    }
    return false;
}

TEST(Example, LoadsWithoutAWarning) {
    const Loaded loaded = load(example());
    EXPECT_THAT(texts(loaded.problems), testing::IsEmpty());
    EXPECT_THAT(texts(loaded.warnings), testing::IsEmpty());
}

TEST(Example, NamesEveryKeyThatTheParserKnows) {
    detail::Problems problems("postern.example.yaml");
    const auto root = detail::read_yaml(example_with_all_keys(), problems);
    ASSERT_TRUE(root);
    const auto keys = known_keys("", [](const std::string& whole) { return whole; });
    // The search itself: one of each kind of place.
    for (const char* key :
         {"hostname", "limits.connections", "listeners.*.address", "backends.*.endpoints", "domains.*.backend"}) {
        EXPECT_EQ(keys.count(key), 1U) << key;
    }
    for (const std::string& key : keys) {
        EXPECT_TRUE(names(*root, key)) << "deploy/postern.example.yaml does not name `" << key << "`";
    }
}

TEST(Example, WhatItShowsSwitchedOffIsUnderstood) {
    EXPECT_THAT(errors_of(example_with_all_keys()), testing::IsEmpty());
}

TEST(Example, ShowsTheDefaults) {
    const auto shown = good(example());
    const auto defaults = good(needed);
    EXPECT_EQ(shown->sandbox, defaults->sandbox);
    EXPECT_EQ(shown->shutdown_grace, defaults->shutdown_grace);
    ASSERT_EQ(shown->listeners.size(), 1U);
    EXPECT_EQ(shown->listeners[0].address.to_string(), defaults->listeners[0].address.to_string());
    EXPECT_EQ(shown->listeners[0].bare_newline, defaults->listeners[0].bare_newline);
    EXPECT_EQ(shown->listeners[0].early_talk, defaults->listeners[0].early_talk);
    EXPECT_EQ(shown->listeners[0].protocol, defaults->listeners[0].protocol);
    EXPECT_EQ(shown->limits.message_size, defaults->limits.message_size);
    EXPECT_EQ(shown->limits.recipients_per_message, defaults->limits.recipients_per_message);
    EXPECT_EQ(shown->limits.connections, defaults->limits.connections);
    EXPECT_EQ(shown->limits.connections_per_client, defaults->limits.connections_per_client);
    EXPECT_EQ(shown->limits.connections_per_minute, defaults->limits.connections_per_minute);
    EXPECT_EQ(shown->limits.messages_per_minute, defaults->limits.messages_per_minute);
    EXPECT_EQ(shown->limits.recipients_per_minute, defaults->limits.recipients_per_minute);
    EXPECT_EQ(shown->limits.errors_per_minute, defaults->limits.errors_per_minute);
    EXPECT_EQ(shown->limits.unknown_recipients_per_hour, defaults->limits.unknown_recipients_per_hour);
    EXPECT_EQ(shown->limits.errors_per_session, defaults->limits.errors_per_session);
    EXPECT_EQ(shown->limits.commands_without_mail, defaults->limits.commands_without_mail);
    EXPECT_EQ(shown->limits.greeting_delay, defaults->limits.greeting_delay);
    EXPECT_EQ(shown->limits.stress_timeout, defaults->limits.stress_timeout);
    EXPECT_EQ(shown->limits.command_timeout, defaults->limits.command_timeout);
    EXPECT_EQ(shown->limits.data_timeout, defaults->limits.data_timeout);
    EXPECT_EQ(shown->limits.received_headers, defaults->limits.received_headers);
    EXPECT_EQ(shown->screening.reverse_names, defaults->screening.reverse_names);
    EXPECT_EQ(shown->screening.sender_domains, defaults->screening.sender_domains);
    EXPECT_EQ(shown->screening.refuse_at, defaults->screening.refuse_at);
    EXPECT_EQ(shown->screening.suspect_at, defaults->screening.suspect_at);
    EXPECT_EQ(shown->screening.greylist.suspicious, defaults->screening.greylist.suspicious);
    EXPECT_EQ(shown->screening.greylist.delay, defaults->screening.greylist.delay);
    EXPECT_EQ(shown->screening.greylist.retry_within, defaults->screening.greylist.retry_within);
    EXPECT_EQ(shown->screening.greylist.remember, defaults->screening.greylist.remember);
    EXPECT_EQ(shown->screening.greylist.maximum, defaults->screening.greylist.maximum);
    EXPECT_EQ(shown->queue.path, defaults->queue.path);
    EXPECT_EQ(shown->queue.minimum_free_disk, defaults->queue.minimum_free_disk);
    EXPECT_EQ(shown->queue.maximum_messages, defaults->queue.maximum_messages);
    EXPECT_EQ(shown->queue.history, defaults->queue.history);
    const Backend& backend = shown->backends.at("stores");
    const Backend& plain = defaults->backends.at("stores");
    EXPECT_EQ(backend.balance, plain.balance);
    EXPECT_EQ(backend.connections, plain.connections);
    EXPECT_EQ(backend.recipients_per_transaction, plain.recipients_per_transaction);
    EXPECT_EQ(backend.connect_timeout, plain.connect_timeout);
    EXPECT_EQ(backend.reply_timeout, plain.reply_timeout);
    EXPECT_EQ(shown->domains[0].recipients, RecipientCheck());
    EXPECT_EQ(shown->ask.timeout, defaults->ask.timeout);
    EXPECT_EQ(shown->ask.connections, defaults->ask.connections);
    EXPECT_EQ(shown->ask.positive, defaults->ask.positive);
    EXPECT_EQ(shown->ask.refresh, defaults->ask.refresh);
    EXPECT_EQ(shown->ask.negative, defaults->ask.negative);
    EXPECT_EQ(shown->ask.entries, defaults->ask.entries);
    EXPECT_EQ(shown->retry.first, defaults->retry.first);
    EXPECT_EQ(shown->retry.factor, defaults->retry.factor);
    EXPECT_EQ(shown->retry.maximum, defaults->retry.maximum);
    EXPECT_EQ(shown->retry.expire, defaults->retry.expire);
    EXPECT_EQ(shown->retry.delay_notice, defaults->retry.delay_notice);
    EXPECT_EQ(shown->bounces.send, defaults->bounces.send);
    EXPECT_EQ(shown->bounces.from, defaults->bounces.from);
    EXPECT_EQ(shown->bounces.per_domain, defaults->bounces.per_domain);
    EXPECT_EQ(shown->bounces.port, defaults->bounces.port);
    EXPECT_EQ(shown->bounces.connections, defaults->bounces.connections);
    EXPECT_EQ(shown->bounces.connections_per_domain, defaults->bounces.connections_per_domain);
    ASSERT_EQ(shown->bounces.never_to.size(), defaults->bounces.never_to.size());
    for (std::size_t i = 0; i < defaults->bounces.never_to.size(); ++i) {
        EXPECT_EQ(shown->bounces.never_to[i].address, defaults->bounces.never_to[i].address);
        EXPECT_EQ(shown->bounces.never_to[i].bits, defaults->bounces.never_to[i].bits);
    }
    EXPECT_EQ(shown->dns.trust_anchor, defaults->dns.trust_anchor);
    EXPECT_EQ(shown->dns.timeout, defaults->dns.timeout);
    EXPECT_EQ(shown->log.format, defaults->log.format);
    EXPECT_EQ(shown->log.level, defaults->log.level);
}

}  // namespace
}  // namespace postern::config::tests
