// The metrics listener over TCP, with good and hostile clients: each harms itself alone.
#include "gateway/control/metrics_server.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <future>

#include "tests/unit/gateway/control/fakes.hpp"
#include "tests/unit/gateway/control/raw_client.hpp"

namespace postern::control::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class MetricsServerTest : public testing::Test {
protected:
    void start(MetricsServerOptions options = {}) {
        options.host = "127.0.0.1";
        auto opened = MetricsServer::open(options);
        ASSERT_TRUE(opened) << opened.error();
        server_ = std::move(*opened);
        const auto error = server_->start(clock_, {[this] { return metrics_(); }, [this] { return obstacle_; }},
                                          [](const std::string& text) { ADD_FAILURE() << text; });
        ASSERT_FALSE(error) << *error;
    }
    detail::Descriptor client() {
        auto socket = connect_tcp(server_->port());
        EXPECT_TRUE(socket);
        return socket;
    }
    std::string talk(std::string_view text) {
        const auto socket = client();
        send(socket, text);
        return read_all(socket);
    }
    std::string get(const std::string& path) { return talk("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"); }
    void expect_well() { EXPECT_THAT(get("/healthz"), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\nalive\n"))); }

    FixedClock clock_;
    std::function<std::string()> metrics_ = [] { return std::string("x 1\n"); };
    std::string obstacle_;
    std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, AnswersEachPath) {
    start();
    EXPECT_THAT(get("/metrics"), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("\r\n\r\nx 1\n"),
                                       HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
                                       HasSubstr("Content-Length: 4\r\n"), HasSubstr("Connection: close\r\n")));
    EXPECT_THAT(get("/metrics?name[]=x"), EndsWith("\r\n\r\nx 1\n"));
    EXPECT_THAT(get("/readyz"), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(get("/"),
                AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("/metrics"), HasSubstr("/healthz"), HasSubstr("/readyz")));
    EXPECT_THAT(talk("GET /healthz HTTP/1.0\r\n\r\n"), EndsWith("alive\n"));
    expect_well();
}

TEST_F(MetricsServerTest, IsNotReadyForAReason) {
    obstacle_ = "the disk is full";
    start();
    EXPECT_THAT(get("/readyz"), AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\nthe disk is full\n")));
    expect_well();
}

TEST_F(MetricsServerTest, HeadIsAnsweredWithoutTheText) {
    start();
    EXPECT_THAT(talk("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
                AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Length: 4\r\n"), EndsWith("\r\n\r\n")));
    EXPECT_THAT(talk("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n"), AllOf(StartsWith("HTTP/1.1 404 "), EndsWith("\r\n\r\n")));
}

TEST_F(MetricsServerTest, ElseThereIsNothing) {
    start();
    for (const char* path : {"/v1/status", "/metrics/", "//metrics", "/../metrics", "*", "http://x/metrics"}) {
        EXPECT_THAT(get(path), AllOf(StartsWith("HTTP/1.1 404 "), HasSubstr("/metrics, /healthz and /readyz"))) << path;
    }
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "NONSENSE"}) {
        EXPECT_THAT(talk(std::string(method) + " /metrics HTTP/1.1\r\nHost: x\r\n\r\n"),
                    AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Allow: GET, HEAD\r\n"), Not(HasSubstr("x 1"))))
            << method;
    }
}

TEST_F(MetricsServerTest, GarbageIsAnsweredAndForgotten) {
    start();
    EXPECT_THAT(talk("\x16\x03\x01 this is not HTTP\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(talk("EHLO mx.example.org\r\n"), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(talk("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(talk("GET /metrics HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
                StartsWith("HTTP/1.1 400 "));
    expect_well();
}

TEST_F(MetricsServerTest, TooMuchIsRefused) {
    start();
    EXPECT_THAT(talk("GET /metrics HTTP/1.1\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n"),
                StartsWith("HTTP/1.1 431 "));
    EXPECT_THAT(talk("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
    (void)talk("GET /metrics HTTP/1.1\r\nX: " + std::string(5U << 20, 'a') + "\r\n\r\n");  // ends, whatever he hears
    expect_well();
}

TEST_F(MetricsServerTest, NoBodyIsReadNorWaitedFor) {
    MetricsServerOptions options;
    options.request_time_max = std::chrono::hours(1);
    start(options);
    EXPECT_THAT(talk("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
    EXPECT_THAT(talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
    EXPECT_THAT(talk("GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n" + std::string(9000, 'x')),
                AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("x 1\n")));
    expect_well();
}

TEST_F(MetricsServerTest, SilenceEndsAtTheDeadline) {
    MetricsServerOptions options;
    options.request_time_max = 50ms;
    start(options);
    EXPECT_THAT(talk(""), StartsWith("HTTP/1.1 408 "));
    EXPECT_THAT(talk("GET /metrics HTTP/1.1\r\nHo"), StartsWith("HTTP/1.1 408 "));
}

TEST_F(MetricsServerTest, WhoDoesNotReadIsDroppedAtTheDeadline) {
    metrics_ = [] { return std::string(64U << 20, 'x'); };  // more than sockets hold
    MetricsServerOptions options;
    options.answer_time_max = 50ms;
    start(options);
    const auto lazy = client();
    send(lazy, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_LT(read_all(lazy).size(), 64U << 20);
    expect_well();
}

TEST_F(MetricsServerTest, WhoHoldsHisPlaceForNothingLosesItToWhoComes) {
    MetricsServerOptions options;
    options.connections_max = 4;
    options.request_time_max = std::chrono::hours(1);
    start(options);
    std::vector<detail::Descriptor> silent;
    for (int i = 0; i < 20; ++i) {
        silent.push_back(client());
        send(silent.back(), "GET /met");
    }
    expect_well();
    // The last of them may still be there; those before had to go, each for a later one.
    for (std::size_t i = 0; i < 16; ++i) {
        EXPECT_EQ(read_all(silent[i]), "") << i;
    }
}

TEST_F(MetricsServerTest, ClientsThatLeaveAreForgotten) {
    start();
    for (int i = 0; i < 100; ++i) {
        const auto socket = client();
        send(socket, i % 2 == 0 ? "GET /metr" : "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    expect_well();
}

TEST_F(MetricsServerTest, OneScrapeAtATimeAndNobodyWaitsForEver) {
    std::promise<void> begun;
    std::promise<void> released;
    std::atomic<int> scrapes{0};
    metrics_ = [&] {
        if (scrapes++ > 0) {
            return std::string("x 2\n");
        }
        begun.set_value();
        released.get_future().wait();
        return std::string("slow 1\n");
    };
    MetricsServerOptions options;
    options.scrape_wait_max = 20ms;
    start(options);
    const auto slow = client();
    send(slow, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    begun.get_future().wait();
    EXPECT_THAT(get("/metrics"), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("another scrape")));
    EXPECT_THAT(get("/readyz"), StartsWith("HTTP/1.1 200 "));
    released.set_value();
    EXPECT_THAT(read_all(slow), EndsWith("slow 1\n"));
    EXPECT_THAT(get("/metrics"), EndsWith("x 2\n"));
}

TEST_F(MetricsServerTest, AScrapeThatBreaksOffEndsNothingElse) {
    MetricsServerOptions options;
    options.host = "127.0.0.1";
    auto opened = MetricsServer::open(options);
    ASSERT_TRUE(opened);
    server_ = std::move(*opened);
    std::promise<std::string> told;
    ASSERT_FALSE(server_->start(
        clock_, {[]() -> std::string { throw std::runtime_error("no memory"); }, [] { return std::string(); }},
        [&](const std::string& text) { told.set_value(text); }));
    EXPECT_EQ(get("/metrics"), "");
    EXPECT_EQ(told.get_future().get(), "a request broke off: no memory");
    expect_well();
}

TEST_F(MetricsServerTest, TheEndCutsWhoIsThere) {
    MetricsServerOptions options;
    options.request_time_max = std::chrono::hours(1);
    start(options);
    const auto silent = client();
    expect_well();
    server_.reset();
    EXPECT_EQ(read_all(silent), "");
}

TEST_F(MetricsServerTest, AnAddressThatIsTakenIsNamed) {
    start();
    MetricsServerOptions options;
    options.host = "127.0.0.1";
    options.port = server_->port();
    const auto second = MetricsServer::open(options);
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error(), AllOf(StartsWith("127.0.0.1:" + std::to_string(options.port) + ": cannot listen: "),
                                      HasSubstr("in use")));
    options.host = "localhost";
    EXPECT_FALSE(MetricsServer::open(options));
    options.host = "192.0.2.1";
    EXPECT_FALSE(MetricsServer::open(options));
}

}  // namespace
}  // namespace postern::control::test
