// Every key that holds a number, a size, a duration or one of a few words: what it takes, its bounds, and what it
// refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// `section: { key: VALUE }`, or the key at the top, or of the backend.
std::string with(const std::string& section, const std::string& key, const std::string& value) {
    const std::string pair = key + ": " + value;
    if (section.empty()) {
        return pair + '\n' + needed;
    }
    if (section == "backends.stores") {
        return "domains: { example.com: }\nbackends: { stores: { endpoints: ['127.0.0.1:24'], " + pair + " } }\n";
    }
    return section + ": { " + pair + " }\n" + needed;
}

/// Accepted and refused values of a key, and how an accepted one is seen in the snapshot.
struct Bounds {
    std::string section;
    std::string key;
    std::function<std::int64_t(const Config&)> value;
    std::string least;
    std::int64_t least_value;
    std::string most;
    std::int64_t most_value;
    std::vector<std::string> refused;
};

void PrintTo(const Bounds& bounds, std::ostream* out) { *out << bounds.section << '.' << bounds.key; }

std::int64_t as_ms(milliseconds duration) { return duration.count(); }
template <class T>
std::int64_t as_number(T number) {
    return static_cast<std::int64_t>(number);
}
constexpr std::int64_t hours = 3'600'000;

const std::vector<Bounds> all_bounds{
    {"",
     "shutdown_grace",
     [](const Config& c) { return as_ms(c.shutdown_grace); },
     "0",
     0,
     "1h",
     hours,
     {"61m", "-1s"}},
    {"limits",
     "message_size",
     [](const Config& c) { return as_number(c.limits.message_size); },
     "64KiB",
     65536,
     "2GiB",
     2LL << 30,
     {"65535", "3GiB", "0", "-1"}},
    {"limits",
     "recipients_per_message",
     [](const Config& c) { return as_number(c.limits.recipients_per_message); },
     "100",
     100,
     "100000",
     100'000,
     {"99", "100001", "1e3", "0x80"}},
    {"limits",
     "connections",
     [](const Config& c) { return as_number(c.limits.connections); },
     "1",
     1,
     "1000000",
     1'000'000,
     {"0", "1000001", "-5", "4294967297"}},
    {"limits",
     "connections_per_client",
     [](const Config& c) { return as_number(c.limits.connections_per_client); },
     "1",
     1,
     "1000000",
     1'000'000,
     {"0", "1000001"}},
    {"limits",
     "connections_per_minute",
     [](const Config& c) { return as_number(c.limits.connections_per_minute); },
     "0",
     0,
     "1000000",
     1000000,
     {"1000001", "-1"}},
    {"limits",
     "messages_per_minute",
     [](const Config& c) { return as_number(c.limits.messages_per_minute); },
     "0",
     0,
     "1000000",
     1000000,
     {"1000001", "-1"}},
    {"limits",
     "recipients_per_minute",
     [](const Config& c) { return as_number(c.limits.recipients_per_minute); },
     "0",
     0,
     "10000000",
     10000000,
     {"10000001", "-1"}},
    {"limits",
     "errors_per_minute",
     [](const Config& c) { return as_number(c.limits.errors_per_minute); },
     "0",
     0,
     "1000000",
     1000000,
     {"1000001", "-1"}},
    {"limits",
     "commands_without_mail",
     [](const Config& c) { return as_number(c.limits.commands_without_mail); },
     "10",
     10,
     "1000000",
     1000000,
     {"9", "1000001"}},
    {"limits",
     "greeting_delay",
     [](const Config& c) { return as_ms(c.limits.greeting_delay); },
     "0",
     0,
     "30s",
     30000,
     {"31s", "-1s"}},
    {"limits",
     "stress_timeout",
     [](const Config& c) { return as_ms(c.limits.stress_timeout); },
     "0",
     0,
     "5m",
     300000,
     {"6m"}},
    {"limits",
     "errors_per_session",
     [](const Config& c) { return as_number(c.limits.errors_per_session); },
     "1",
     1,
     "100000",
     100'000,
     {"0", "100001"}},
    {"limits",
     "command_timeout",
     [](const Config& c) { return as_ms(c.limits.command_timeout); },
     "100ms",
     100,
     "24h",
     24 * hours,
     {"99ms", "25h", "0"}},
    {"limits",
     "data_timeout",
     [](const Config& c) { return as_ms(c.limits.data_timeout); },
     "100ms",
     100,
     "1d",
     24 * hours,
     {"99ms", "2d", "0"}},
    {"limits",
     "received_headers",
     [](const Config& c) { return as_number(c.limits.received_headers); },
     "1",
     1,
     "10000",
     10'000,
     {"0", "10001"}},
    {"queue",
     "minimum_free_disk",
     [](const Config& c) { return as_number(c.queue.minimum_free_disk); },
     "0",
     0,
     "1024TiB",
     1LL << 50,
     {"1025TiB", "99999999999999999999999", "-1"}},
    {"queue",
     "maximum_messages",
     [](const Config& c) { return as_number(c.queue.maximum_messages); },
     "1",
     1,
     "1000000000000",
     1'000'000'000'000,
     {"0", "1000000000001"}},
    {"queue",
     "history",
     [](const Config& c) { return as_ms(c.queue.history); },
     "0",
     0,
     "3650d",
     3650 * 24 * hours,
     {"3651d"}},
    {"backends.stores",
     "connections",
     [](const Config& c) { return as_number(c.backends.at("stores").connections); },
     "1",
     1,
     "10000",
     10'000,
     {"0", "10001"}},
    {"backends.stores",
     "recipients_per_transaction",
     [](const Config& c) { return as_number(c.backends.at("stores").recipients_per_transaction); },
     "1",
     1,
     "100000",
     100'000,
     {"0", "100001"}},
    {"backends.stores",
     "connect_timeout",
     [](const Config& c) { return as_ms(c.backends.at("stores").connect_timeout); },
     "100ms",
     100,
     "1h",
     hours,
     {"99ms", "2h"}},
    {"backends.stores",
     "reply_timeout",
     [](const Config& c) { return as_ms(c.backends.at("stores").reply_timeout); },
     "100ms",
     100,
     "24h",
     24 * hours,
     {"99ms", "25h"}},
    {"backends.stores",
     "refuse_after_down",
     [](const Config& c) { return as_ms(c.backends.at("stores").refuse_after_down); },
     "0",
     0,
     "30d",
     30 * 24 * hours,
     {"-1s", "31d"}},
    {"backends.stores",
     "refuse_backlog",
     [](const Config& c) { return as_number(c.backends.at("stores").refuse_backlog); },
     "0",
     0,
     "1000000000",
     1'000'000'000,
     {"-1", "1000000001"}},
    {"retry",
     "first",
     [](const Config& c) { return as_ms(c.retry.first); },
     "100ms",
     100,
     "1h",
     hours,
     {"99ms", "25h", "0"}},
    {"retry",
     "maximum",
     [](const Config& c) { return as_ms(c.retry.maximum); },
     "1m",
     60'000,
     "30d",
     30 * 24 * hours,
     {"99ms", "31d"}},
    {"retry",
     "expire",
     [](const Config& c) { return as_ms(c.retry.expire); },
     "1m",
     60'000,
     "365d",
     365 * 24 * hours,
     {"99ms", "366d", "0"}},
    {"retry",
     "delay_notice",
     [](const Config& c) { return as_ms(c.retry.delay_notice); },
     "0",
     0,
     "365d",
     365 * 24 * hours,
     {"-1s", "366d"}},
    {"bounces",
     "port",
     [](const Config& c) { return as_number(c.bounces.port); },
     "1",
     1,
     "65535",
     65'535,
     {"0", "65536"}},
    {"bounces",
     "connections",
     [](const Config& c) { return as_number(c.bounces.connections); },
     "1",
     1,
     "10000",
     10'000,
     {"0", "10001"}},
    {"bounces",
     "connections_per_domain",
     [](const Config& c) { return as_number(c.bounces.connections_per_domain); },
     "1",
     1,
     "1000",
     1000,
     {"0", "1001"}},
    {"dns",
     "timeout",
     [](const Config& c) { return as_ms(c.dns.timeout); },
     "100ms",
     100,
     "1m",
     60'000,
     {"0", "99ms", "61s"}},
    {"bounces",
     "per_domain",
     [](const Config& c) { return as_number(c.bounces.per_domain); },
     "1",
     1,
     "100000",
     100'000,
     {"0", "100001"}},
    {"retry",
     "factor",
     [](const Config& c) { return as_number(c.retry.factor); },
     "1",
     1,
     "100",
     100,
     {"0.99", "100.1", "nan", "inf", "2x", "-2", "0x2"}},
};

class EveryBound : public testing::TestWithParam<Bounds> {};

TEST_P(EveryBound, LeastAndMostAreTaken) {
    const Bounds& bounds = GetParam();
    EXPECT_EQ(bounds.value(*good(with(bounds.section, bounds.key, bounds.least))), bounds.least_value);
    EXPECT_EQ(bounds.value(*good(with(bounds.section, bounds.key, bounds.most))), bounds.most_value);
}

TEST_P(EveryBound, WhatLiesOutsideIsRefusedWithTheRangeAndTheKey) {
    const Bounds& bounds = GetParam();
    std::vector<std::string> refused = bounds.refused;
    for (const char* word : {"much", "[1]", "{ a: 1 }", "1 2", "~", "''"}) {
        refused.emplace_back(word);
    }
    for (const std::string& value : refused) {
        const std::string yaml = with(bounds.section, bounds.key, value);
        EXPECT_THAT(errors_of(yaml), ElementsAre(testing::AllOf(HasSubstr("`" + bounds.key + "`: expected a"),
                                                                HasSubstr(" from "), HasSubstr(", found "))))
            << yaml;
    }
}

INSTANTIATE_TEST_SUITE_P(Config, EveryBound, testing::ValuesIn(all_bounds), [](const auto& each) {
    std::string name = each.param.section + "_" + each.param.key;
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
});

struct Choice {
    std::string section;
    std::string key;
    std::vector<std::string> words;
};
void PrintTo(const Choice& choice, std::ostream* out) { *out << choice.section << '.' << choice.key; }

class EveryChoice : public testing::TestWithParam<Choice> {};

TEST_P(EveryChoice, TakesItsWordsAndNamesThemWhenItRefuses) {
    const Choice& choice = GetParam();
    for (const std::string& word : choice.words) {
        (void)good(with(choice.section, choice.key, word));
    }
    for (const char* word : {"zzz", "[]", "1", "~", "''"}) {
        const auto errors = errors_of(with(choice.section, choice.key, word));
        ASSERT_EQ(errors.size(), 1U) << choice.key << ": " << word;
        for (const std::string& known : choice.words) {
            EXPECT_THAT(errors[0], HasSubstr(known));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Config, EveryChoice,
                         testing::Values(Choice{"log", "format", {"logfmt", "json"}},
                                         Choice{"log", "level", {"debug", "info", "warn", "error"}},
                                         Choice{"backends.stores", "balance", {"least_busy", "failover", "sticky"}},
                                         Choice{"backends.stores", "tls", {"off", "opportunistic", "required"}},
                                         Choice{"bounces", "send", {"always", "verified", "never"}}),
                         [](const auto& each) { return each.param.key; });

TEST(Choices, ASlipIsCorrected) {
    EXPECT_THAT(errors_of(with("log", "level", "wran")), ElementsAre(HasSubstr("did you mean `warn`?")));
    EXPECT_THAT(errors_of(with("log", "level", "INFO")), ElementsAre(HasSubstr("did you mean `info`?")));
    EXPECT_THAT(errors_of(with("backends.stores", "balance", "least-busy")),
                ElementsAre(HasSubstr("did you mean `least_busy`?")));
}

TEST(Choices, AreSeenInTheSnapshot) {
    EXPECT_EQ(good(with("log", "format", "json"))->log.format, Log::Format::json);
    EXPECT_EQ(good(with("log", "level", "error"))->log.level, Log::Level::error);
    EXPECT_EQ(good(with("backends.stores", "balance", "failover"))->backends.at("stores").balance,
              Backend::Balance::failover);
    const auto config = good(
        "listeners: [ { address: '127.0.0.1:24', protocol: lmtp, bare_newline: reject, trusted: [10.0.0.0/8] } ]\n"
        "domains: { example.com: }\nbackends: { s: { endpoints: ['127.0.0.1:25024'] } }\n");
    ASSERT_EQ(config->listeners.size(), 1U);
    EXPECT_EQ(config->listeners[0].protocol, Listener::Protocol::lmtp);
    EXPECT_EQ(config->listeners[0].bare_newline, Listener::BareNewline::reject);
    EXPECT_TRUE(config->listeners[0].trusted.at(0).contains("10.1.2.3"));
}

TEST(Numbers, InQuotesAreText) {
    EXPECT_THAT(errors_of(with("limits", "connections", "\"20\"")),
                ElementsAre(HasSubstr("found the text \"20\"; take the quotes off")));
    EXPECT_THAT(errors_of(with("retry", "factor", "'2'")), ElementsAre(HasSubstr("take the quotes off")));
}

TEST(Numbers, AreDecimalWithoutSpareZeros) {
    for (const char* value : {"020", "1_000", "+5", "0o24", "2.0", "1,000"}) {
        EXPECT_EQ(errors_of("limits:\n  connections: " + std::string(value) + "\n" + needed).size(), 1U) << value;
    }
    EXPECT_DOUBLE_EQ(good(with("retry", "factor", "1.5"))->retry.factor, 1.5);
}

TEST(Retry, TheCurveMustFit) {
    EXPECT_THAT(errors_of("retry: { first: 2h }\n" + needed),
                ElementsAre(HasSubstr("`first` (2h) is longer than `maximum` (1h, the default)")));
    EXPECT_THAT(errors_of("retry: { maximum: 30s }\n" + needed),
                ElementsAre(HasSubstr("`first` (1m, the default) is longer than `maximum` (30s)")));
    EXPECT_THAT(errors_of("retry: { expire: 30s }\n" + needed),
                ElementsAre(HasSubstr("`first` (1m, the default) is longer than `expire` (30s)")));
}

TEST(Paths, AreAbsoluteFiles) {
    EXPECT_THAT(errors_of(with("queue", "path", "queue.db")),
                ElementsAre(HasSubstr("`path`: expected an absolute path")));
    EXPECT_THAT(errors_of(with("queue", "path", "/var/lib/postern/")),
                ElementsAre(HasSubstr("expected a file, found the folder `/var/lib/postern/`")));
    EXPECT_THAT(errors_of(with("queue", "path", "[]")),
                ElementsAre(HasSubstr("expected an absolute path, found a list")));
    EXPECT_THAT(errors_of(with("control", "socket", "./c.sock")), ElementsAre(HasSubstr("expected an absolute path")));
    EXPECT_THAT(errors_of(with("control", "socket", "/" + std::string(107, 'x'))),
                ElementsAre(HasSubstr("at most 107 octets, this one 108")));
    EXPECT_EQ(good(with("control", "socket", "/" + std::string(106, 'x')))->control.socket.native().size(), 107U);
    EXPECT_THAT(errors_of(with("queue", "path", "/" + std::string(100, 'x') + "/queue.db")),
                ElementsAre(HasSubstr("`control.socket` is not given, and beside the queue its path would have")));
}

TEST(Hostname, IsANameOfAMachine) {
    for (const char* bad : {"mx_1.example.com", "'-mx.example.com'", "mx..example.com", "192.0.2.1", "'[::1]'",
                            "'a b.example'", "mx1.example.com.", "[]", "''"}) {
        EXPECT_THAT(errors_of("hostname: " + std::string(bad) + "\n" + needed),
                    ElementsAre(HasSubstr("`hostname`: expected the machine's name")))
            << bad;
    }
    EXPECT_THAT(warnings_of("hostname: box\n" + needed), ElementsAre(HasSubstr("`box` is not fully qualified")));
}

TEST(User, IsAName) {
    EXPECT_EQ(good("user: postern\n" + needed)->user, "postern");
    for (const char* bad : {"'a:b'", "'a b'", "/etc", "-r", "[]"}) {
        EXPECT_THAT(errors_of("user: " + std::string(bad) + "\n" + needed),
                    ElementsAre(HasSubstr("`user`: expected the name of a user")))
            << bad;
    }
}

TEST(Limits, OneClientThatMayTakeAllIsWarnedOf) {
    EXPECT_THAT(warnings_of("limits: { connections: 10, connections_per_client: 20 }\n" + needed),
                ElementsAre(HasSubstr("one client can take them all")));
}

}  // namespace
}  // namespace postern::config::tests
