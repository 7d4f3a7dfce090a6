#include "gateway/control/metrics.hpp"

#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "gateway/control/detail/exposition.hpp"
#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::control::test {
namespace {

using detail::Exposition;
using detail::MetricType;

/// Samples by name and labels. A line that is none of the format, a sample outside of its family, or one that was told
/// before fails the test.
std::map<std::string, std::string> samples_of(const std::string& text) {
    static const std::regex help(R"(# HELP ([a-z_]+) [^\\\n]+)");
    static const std::regex type(R"(# TYPE ([a-z_]+) (counter|gauge))");
    static const std::regex sample(
        R"re(([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? (-?[0-9.e+]+))re");
    std::map<std::string, std::string> samples;
    std::set<std::string> families;
    std::string helped;
    std::string family;
    std::smatch match;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (std::regex_match(line, match, help)) {
            helped = match[1];
        } else if (std::regex_match(line, match, type)) {
            family = match[1];
            EXPECT_EQ(family, helped);
            EXPECT_TRUE(families.insert(family).second) << "twice: " << line;
            EXPECT_EQ(match[2] == "counter", family.ends_with("_total")) << line;
        } else if (std::regex_match(line, match, sample)) {
            EXPECT_EQ(match[1], family) << line;
            EXPECT_TRUE(samples.emplace(match[1].str() + match[2].str(), match[3]).second) << "twice: " << line;
        } else {
            ADD_FAILURE() << "not of the format: " << line;
        }
    }
    EXPECT_TRUE(text.ends_with('\n'));
    return samples;
}

BackendStatus stores() {
    BackendStatus backend;
    backend.name = "stores";
    backend.paused = BackendDecision{};
    backend.backlog = 12;
    backend.in_flight = 3;
    EndpointStatus well;
    well.address = "127.0.0.1:24";
    well.in_flight = 3;
    well.allowed = 7;
    well.connections = 20;
    well.latency = 250ms;
    EndpointStatus down;
    down.address = "unix:/run/lmtp";
    down.state = "open";
    down.connections = 20;
    backend.endpoints = {well, down};
    return backend;
}

CertificateStatus certificate() {
    CertificateStatus status;
    status.listener = "0.0.0.0:25";
    status.file = "/etc/postern/fullchain.pem";
    status.not_after = noon_ish + std::chrono::hours(24 * 3);
    status.days_left = 3;
    return status;
}

Metrics usual() {
    Metrics metrics;
    metrics.gateway.version = "1.2.3";
    metrics.gateway.uptime_seconds = 60;
    metrics.gateway.sessions = 4;
    metrics.gateway.since_start = {100, 90, 20, 5};
    metrics.gateway.tls = {7, 8, 9};
    metrics.gateway.disk.free_octets = 1ULL << 40;
    metrics.gateway.disk.minimum_free_octets = 512;
    metrics.gateway.certificates = {certificate()};
    metrics.gateway.backends = {stores()};
    metrics.revision = "abc";
    metrics.now = noon_ish;
    metrics.started_at = noon_ish - 60s;
    metrics.clients = {1000, 17};
    metrics.written = {50, 40, 105, 130, 2};
    metrics.store = {queue::Obstacle::none, 1'000'000, 8192, 4096};
    metrics.messages_max = 5'000'000;
    queue::Totals totals;
    totals.recipients[queue::RecipientState::waiting] = 11;
    totals.recipients[queue::RecipientState::parked] = 6;
    totals.oldest = noon_ish - 90s;
    metrics.queue = totals;
    metrics.process = {1.5, 1 << 24, 1 << 26, 12, 40, 1024};
    return metrics;
}

TEST(Metrics, TellEachNumberOnceWithItsType) {
    const auto samples = samples_of(render_metrics(usual()));
    const std::map<std::string, std::string> expected{
        {R"(postern_build_info{version="1.2.3",revision="abc"})", "1"},
        {"postern_start_time_seconds", "1787306340"},
        {"postern_uptime_seconds", "60"},
        {"postern_ready", "1"},
        {"postern_smtp_sessions", "4"},
        {"postern_smtp_connections_total", "1000"},
        {"postern_smtp_connections_refused_total", "17"},
        {"postern_messages_accepted_total", "100"},
        {R"(postern_recipient_results_total{result="delivered"})", "90"},
        {R"(postern_recipient_results_total{result="deferred"})", "20"},
        {R"(postern_recipient_results_total{result="failed"})", "5"},
        {R"(postern_tls_handshakes_total{result="full"})", "7"},
        {R"(postern_tls_handshakes_total{result="resumed"})", "8"},
        {R"(postern_tls_handshakes_total{result="failed"})", "9"},
        {R"(postern_certificate_not_after_seconds{listener="0.0.0.0:25",file="/etc/postern/fullchain.pem"})",
         "1787565600"},
        {R"(postern_certificate_days_left{listener="0.0.0.0:25",file="/etc/postern/fullchain.pem"})", "3"},
        {"postern_queue_messages", "1000000"},
        {"postern_queue_messages_maximum", "5000000"},
        {R"(postern_queue_recipients{state="ready"})", "0"},
        {R"(postern_queue_recipients{state="waiting"})", "11"},
        {R"(postern_queue_recipients{state="unknown"})", "0"},
        {R"(postern_queue_recipients{state="held"})", "0"},
        {R"(postern_queue_recipients{state="parked"})", "6"},
        {"postern_queue_oldest_message_seconds", "90"},
        {"postern_queue_healthy", "1"},
        {"postern_queue_stored_messages_total", "105"},
        {"postern_queue_recorded_results_total", "130"},
        {"postern_queue_commits_total", "40"},
        {"postern_queue_flushes_total", "50"},
        {"postern_queue_checkpoints_total", "2"},
        {"postern_queue_log_bytes", "8192"},
        {"postern_queue_file_free_bytes", "4096"},
        {"postern_queue_disk_free_bytes", "1099511627776"},
        {"postern_queue_disk_minimum_free_bytes", "512"},
        {R"(postern_backend_backlog_recipients{backend="stores"})", "12"},
        {R"(postern_backend_in_flight{backend="stores"})", "3"},
        {R"(postern_backend_paused{backend="stores"})", "1"},
        {R"(postern_backend_braked{backend="stores"})", "0"},
        {R"(postern_backend_refusing{backend="stores"})", "0"},
        {R"(postern_backend_down{backend="stores"})", "0"},
        {R"(postern_endpoint_circuit{backend="stores",endpoint="127.0.0.1:24",state="closed"})", "1"},
        {R"(postern_endpoint_circuit{backend="stores",endpoint="127.0.0.1:24",state="open"})", "0"},
        {R"(postern_endpoint_circuit{backend="stores",endpoint="127.0.0.1:24",state="probing"})", "0"},
        {R"(postern_endpoint_circuit{backend="stores",endpoint="unix:/run/lmtp",state="closed"})", "0"},
        {R"(postern_endpoint_circuit{backend="stores",endpoint="unix:/run/lmtp",state="open"})", "1"},
        {R"(postern_endpoint_circuit{backend="stores",endpoint="unix:/run/lmtp",state="probing"})", "0"},
        {R"(postern_endpoint_in_flight{backend="stores",endpoint="127.0.0.1:24"})", "3"},
        {R"(postern_endpoint_in_flight{backend="stores",endpoint="unix:/run/lmtp"})", "0"},
        {R"(postern_endpoint_allowed{backend="stores",endpoint="127.0.0.1:24"})", "7"},
        {R"(postern_endpoint_allowed{backend="stores",endpoint="unix:/run/lmtp"})", "0"},
        {R"(postern_endpoint_allowed_maximum{backend="stores",endpoint="127.0.0.1:24"})", "20"},
        {R"(postern_endpoint_allowed_maximum{backend="stores",endpoint="unix:/run/lmtp"})", "20"},
        {R"(postern_endpoint_one_by_one{backend="stores",endpoint="127.0.0.1:24"})", "0"},
        {R"(postern_endpoint_one_by_one{backend="stores",endpoint="unix:/run/lmtp"})", "0"},
        {R"(postern_endpoint_latency_seconds{backend="stores",endpoint="127.0.0.1:24"})", "0.25"},
        {"process_start_time_seconds", "1787306340"},
        {"process_cpu_seconds_total", "1.5"},
        {"process_resident_memory_bytes", "16777216"},
        {"process_virtual_memory_bytes", "67108864"},
        {"process_threads", "12"},
        {"process_open_fds", "40"},
        {"process_max_fds", "1024"},
    };
    EXPECT_EQ(samples, expected);
}

TEST(Metrics, SayWhatIsWrong) {
    Metrics metrics = usual();
    metrics.obstacle = "the queue is closed";
    metrics.store.obstacle = queue::Obstacle::closed;
    metrics.gateway.certificates[0].days_left = -2;
    BackendStatus& backend = metrics.gateway.backends[0];
    backend.brake = BackendDecision{};
    backend.refusing = "down for 4h";
    backend.down_since = noon_ish;
    backend.endpoints[0].one_by_one = true;
    auto samples = samples_of(render_metrics(metrics));
    EXPECT_EQ(samples["postern_ready"], "0");
    EXPECT_EQ(samples["postern_queue_healthy"], "0");
    EXPECT_EQ(samples[R"(postern_certificate_days_left{listener="0.0.0.0:25",file="/etc/postern/fullchain.pem"})"],
              "-2");
    for (const char* name : {"braked", "refusing", "down"}) {
        EXPECT_EQ(samples["postern_backend_" + std::string(name) + R"({backend="stores"})"], "1");
    }
    EXPECT_EQ(samples[R"(postern_endpoint_one_by_one{backend="stores",endpoint="127.0.0.1:24"})"], "1");
}

TEST(Metrics, AFullDiskIsNoIllness) {
    Metrics metrics = usual();
    metrics.obstacle = "the disk is full";
    metrics.store.obstacle = queue::Obstacle::full;
    auto samples = samples_of(render_metrics(metrics));
    EXPECT_EQ(samples["postern_ready"], "0");
    EXPECT_EQ(samples["postern_queue_healthy"], "1");
}

TEST(Metrics, AQueueThatCannotBeReadLeavesOutWhatIsNotKnown) {
    Metrics metrics = usual();
    metrics.queue = std::nullopt;
    const auto samples = samples_of(render_metrics(metrics));
    EXPECT_EQ(samples.count("postern_queue_messages"), 1U);
    EXPECT_EQ(samples.count("postern_queue_oldest_message_seconds"), 0U);
    EXPECT_EQ(samples.count(R"(postern_queue_recipients{state="ready"})"), 0U);
}

TEST(Metrics, AClockThatWasSetBackMakesNoAgeNegative) {
    Metrics metrics = usual();
    metrics.queue->oldest = noon_ish + 5s;
    EXPECT_EQ(samples_of(render_metrics(metrics))["postern_queue_oldest_message_seconds"], "0");
    metrics.queue->oldest = std::nullopt;
    EXPECT_EQ(samples_of(render_metrics(metrics))["postern_queue_oldest_message_seconds"], "0");
}

TEST(Metrics, WhatIsNamedTwiceIsToldOnce) {
    Metrics metrics = usual();
    metrics.gateway.certificates.push_back(certificate());
    metrics.gateway.backends[0].endpoints.push_back(metrics.gateway.backends[0].endpoints[0]);
    EXPECT_EQ(samples_of(render_metrics(metrics)), samples_of(render_metrics(usual())));
}

std::string label_as_told(std::string_view value) {
    Exposition out;
    out.family("x", MetricType::gauge, "X.");
    out.sample(true, {{"l", value}});
    return std::move(out).take();
}

TEST(Metrics, NoTextBreaksOutOfItsLabel) {
    const std::string head = "# HELP x X.\n# TYPE x gauge\nx{l=\"";
    EXPECT_EQ(label_as_told("a\"} 1\nevil 2"), head + R"(a\"} 1\\x0aevil 2"} 1)" + "\n");
    EXPECT_EQ(label_as_told("\\"), head + R"(\\\\"} 1)" + "\n");
    EXPECT_EQ(label_as_told("\\\""), head + R"(\\\\\""} 1)" + "\n");
    EXPECT_EQ(label_as_told("caf\xC3\xA9"), head + "caf\xC3\xA9\"} 1\n");
    EXPECT_EQ(label_as_told("caf\xE9"), head + R"(caf\\xe9"} 1)" + "\n");  // no UTF-8: Prometheus would refuse it all
    EXPECT_EQ(label_as_told(std::string_view("\0\r\x1b", 3)), head + R"(\\x00\\x0d\\x1b"} 1)" + "\n");
    EXPECT_EQ(label_as_told(""), head + "\"} 1\n");
}

TEST(Metrics, StrangeNamesEverywhereAreStillOfTheFormat) {
    Metrics metrics = usual();
    const std::string strange = "a\"b\\c\nd\r\x1b[2J\xff{x=\"1\"} 2 # HELP";
    metrics.gateway.version = strange;
    metrics.revision = strange;
    metrics.gateway.certificates[0].listener = strange;
    metrics.gateway.certificates[0].file = strange;
    metrics.gateway.backends[0].name = strange;
    metrics.gateway.backends[0].endpoints[0].address = strange;
    EXPECT_EQ(samples_of(render_metrics(metrics)).size(), samples_of(render_metrics(usual())).size());
}

}  // namespace
}  // namespace postern::control::test
