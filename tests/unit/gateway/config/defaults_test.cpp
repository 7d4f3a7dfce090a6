// What a configuration of two lines means: every default of the contract.
#include <gtest/gtest.h>

#include "tests/unit/gateway/config/loading.hpp"

namespace postern::config::tests {
namespace {

using namespace std::chrono_literals;

TEST(Defaults, AreThoseOfTheContract) {
    const auto config = good(needed);
    EXPECT_EQ(config->file, "postern.yaml");
    EXPECT_EQ(config->hostname, "mx.example.com");
    EXPECT_EQ(config->user, "");
    EXPECT_TRUE(config->sandbox);
    EXPECT_EQ(config->shutdown_grace, 10s);

    EXPECT_EQ(config->limits.message_size, 50ULL << 20);
    EXPECT_EQ(config->limits.recipients_per_message, 1000U);
    EXPECT_EQ(config->limits.connections, 2000U);
    EXPECT_EQ(config->limits.connections_per_client, 50U);
    EXPECT_EQ(config->limits.connections_per_minute, 120U);
    EXPECT_EQ(config->limits.messages_per_minute, 600U);
    EXPECT_EQ(config->limits.recipients_per_minute, 3000U);
    EXPECT_EQ(config->limits.errors_per_minute, 60U);
    EXPECT_EQ(config->limits.errors_per_session, 10U);
    EXPECT_EQ(config->limits.commands_without_mail, 100U);
    EXPECT_EQ(config->limits.greeting_delay, 0s);
    EXPECT_EQ(config->limits.stress_timeout, 10s);
    EXPECT_EQ(config->limits.command_timeout, 5min);
    EXPECT_EQ(config->limits.data_timeout, 10min);
    EXPECT_EQ(config->limits.received_headers, 50U);

    EXPECT_EQ(config->queue.path, "/var/lib/postern/queue.db");
    EXPECT_EQ(config->queue.minimum_free_disk, 512ULL << 20);
    EXPECT_EQ(config->queue.maximum_messages, 5'000'000U);
    EXPECT_EQ(config->queue.history, 24h * 7);
    EXPECT_EQ(config->control.socket, "/var/lib/postern/control.sock");

    EXPECT_EQ(config->retry.first, 1min);
    EXPECT_EQ(config->retry.factor, 2);
    EXPECT_EQ(config->retry.maximum, 1h);
    EXPECT_EQ(config->retry.expire, 24h * 5);

    EXPECT_EQ(config->log.format, Log::Format::logfmt);
    EXPECT_EQ(config->log.level, Log::Level::info);
}

TEST(Defaults, OfTheListener) {
    const auto config = good(needed);
    ASSERT_EQ(config->listeners.size(), 1U);
    EXPECT_EQ(config->listeners[0].address.to_string(), "0.0.0.0:25");
    EXPECT_EQ(config->listeners[0].protocol, Listener::Protocol::smtp);
    EXPECT_EQ(config->listeners[0].bare_newline, Listener::BareNewline::normalize);
    EXPECT_EQ(config->listeners[0].early_talk, Listener::EarlyTalk::refuse);
    EXPECT_TRUE(config->listeners[0].trusted.empty());
    EXPECT_TRUE(config->listeners[0].proxy_protocol.empty());
    EXPECT_FALSE(config->listeners[0].tls);
}

TEST(Defaults, OfABackend) {
    const auto config = good(needed);
    const Backend& backend = config->backends.at("stores");
    EXPECT_EQ(backend.name, "stores");
    EXPECT_EQ(backend.balance, Backend::Balance::least_busy);
    EXPECT_EQ(backend.connections, 20U);
    EXPECT_EQ(backend.recipients_per_transaction, 100U);
    EXPECT_EQ(backend.connect_timeout, 30s);
    EXPECT_EQ(backend.reply_timeout, 5min);
}

TEST(Defaults, StandForSectionsWhoseKeysAreAllCommentedOut) {
    const auto config = good("limits:\nqueue:\nretry: ~\ncontrol:\nlog: {}\nlisteners: []\n" + needed);
    EXPECT_EQ(config->limits.connections, 2000U);
    EXPECT_EQ(config->listeners.size(), 1U);
}

TEST(Defaults, TheOnlyBackendNeedsNoNaming) {
    const auto config = good("domains: { example.com: }\nbackends: { only: { endpoints: ['127.0.0.1:24'] } }\n");
    ASSERT_EQ(config->domains.size(), 1U);
    EXPECT_EQ(config->domains[0].backend, "only");
}

TEST(Defaults, TheControlSocketStandsBesideTheQueue) {
    EXPECT_EQ(good("queue: { path: /srv/mail/q.db }\n" + needed)->control.socket, "/srv/mail/control.sock");
    EXPECT_EQ(good("queue: { path: /srv/mail/q.db }\ncontrol: { socket: /run/p.sock }\n" + needed)->control.socket,
              "/run/p.sock");
}

TEST(Defaults, AMachineWithoutAFullNameIsWarnedOf) {
    const Loaded loaded = load_text(needed, "p.yaml", [] { return std::string("box"); });
    ASSERT_TRUE(loaded.config);
    EXPECT_EQ(loaded.config->hostname, "box");
    EXPECT_THAT(texts(loaded.warnings),
                testing::ElementsAre(testing::HasSubstr("`box`, which is not fully qualified")));
}

TEST(Defaults, TheMachineIsNotAskedWhenTheFileSaysTheName) {
    bool was_asked = false;
    const auto ask = [&was_asked] {
        was_asked = true;
        return std::string("box");
    };
    EXPECT_EQ(load_text("hostname: MX2.example.com\n" + needed, "p.yaml", ask).config->hostname, "MX2.example.com");
    EXPECT_FALSE(was_asked);
}

}  // namespace
}  // namespace postern::config::tests
