// Clients that send garbage, too much, nothing, or do not read: each harms itself alone.
#include <poll.h>
#include <sys/socket.h>

#include "gateway/control/detail/socket_stream.hpp"
#include "tests/unit/gateway/control/raw_client.hpp"
#include "tests/unit/gateway/control/server_fixture.hpp"

namespace postern::control::test {
namespace {

using queue::MessageId;
using queue::RecipientState;

class HostileClientTest : public ServerTest {
protected:
    detail::Descriptor client() {
        auto connected = detail::connect_unix(socket_);
        EXPECT_TRUE(connected);
        return connected ? std::move(*connected) : detail::Descriptor();
    }

    std::string talk(std::string_view text) {
        const auto socket = client();
        send(socket, text);
        return read_all(socket);
    }

    /// An honest client is served. Asked again on a failure, as on a busy machine even he may miss the short deadlines
    /// set here.
    void expect_well() {
        bool well = false;
        for (int i = 0; i < 20 && !well; ++i) {
            well = operations()->status().has_value();
        }
        EXPECT_TRUE(well);
    }
};

std::string post(const std::string& target, const std::string& body) {
    return "POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
}

TEST_F(HostileClientTest, GarbageIsAnsweredAndForgotten) {
    start();
    EXPECT_TRUE(talk("\x16\x03\x01 this is not HTTP\r\n\r\n").starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(talk(post("/v1/messages:search", "{nonsense")).starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(talk("DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405"));
    EXPECT_TRUE(talk("GET /v2/status HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404"));
    EXPECT_TRUE(talk("GET /v1/messages/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(talk(post("/v1/recipients:bouncy", "{\"filter\":{}}")).starts_with("HTTP/1.1 404"));
    EXPECT_TRUE(talk(post("/v1/recipients:remove", "{}")).starts_with("HTTP/1.1 400"));
    EXPECT_TRUE(gateway_.calls().empty());
    expect_well();
}

TEST_F(HostileClientTest, TooMuchIsRefused) {
    start();
    EXPECT_TRUE(talk(post("/v1/messages:search", std::string(3U << 20, ' '))).starts_with("HTTP/1.1 413"));
    const std::string header(20'000, 'a');
    EXPECT_TRUE(talk("GET /v1/status HTTP/1.1\r\nX: " + header + "\r\n\r\n").starts_with("HTTP/1.1 431"));
    EXPECT_TRUE(talk("POST /v1/messages:search HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" +
                     std::string(0x200000, ' '))
                    .starts_with("HTTP/1.1 413"));
    expect_well();
}

TEST_F(HostileClientTest, SilenceEndsAtTheDeadline) {
    ServerOptions options;
    options.request_time_max = 50ms;
    start(options);
    EXPECT_TRUE(talk("").starts_with("HTTP/1.1 408"));
    EXPECT_TRUE(talk("GET /v1/status HTTP/1.1\r\nHo").starts_with("HTTP/1.1 408"));
    expect_well();
}

TEST_F(HostileClientTest, ClientsThatLeaveAreForgotten) {
    start();
    for (int i = 0; i < 50; ++i) {
        const auto socket = client();
        send(socket, "GET /v1/sta");
    }
    for (int i = 0; i < 50; ++i) {
        const auto socket = client();
        send(socket, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    expect_well();
    EXPECT_TRUE(errors_.empty());
}

TEST_F(HostileClientTest, WhoDoesNotReadHoldsUpNobodyAndStopCutsHimOff) {
    for (std::int64_t id = 1; id <= 20'000; ++id) {
        queue_.messages.push_back(message(id, {recipient("a@example.org", RecipientState::ready)}));
    }
    start();
    const auto lazy = client();
    send(lazy, post("/v1/messages:search", R"({"filter":{}})"));
    char octet = 0;
    pollfd entry{lazy.get(), POLLIN, 0};
    ::poll(&entry, 1, -1);
    ASSERT_EQ(::recv(lazy.get(), &octet, 1, 0), 1);  // the answer has begun, and is more than a socket holds
    expect_well();
    EXPECT_TRUE(operations()->show(MessageId(1)));
    server_->stop();
    EXPECT_FALSE(read_all(lazy).ends_with("0\r\n\r\n"));
}

TEST_F(HostileClientTest, WhoDoesNotReadIsDroppedAtTheDeadline) {
    for (std::int64_t id = 1; id <= 20'000; ++id) {
        queue_.messages.push_back(message(id, {recipient("a@example.org", RecipientState::ready)}));
    }
    ServerOptions options;
    options.connections_max = 1;
    options.write_time_max = 50ms;
    start(options);
    const auto lazy = client();
    send(lazy, post("/v1/messages:search", R"({"filter":{}})"));
    expect_well();  // waits for the only place, which the deadline frees
}

TEST_F(HostileClientTest, MoreClientsThanPlacesWaitTheirTurn) {
    ServerOptions options;
    options.connections_max = 2;
    options.request_time_max = 50ms;
    start(options);
    std::vector<detail::Descriptor> silent;
    for (int i = 0; i < 6; ++i) {
        silent.push_back(client());
    }
    expect_well();
}

TEST_F(HostileClientTest, StopEndsClientsThatSayNothing) {
    start();
    const auto silent = client();
    expect_well();
    server_->stop();
    read_all(silent);
}

}  // namespace
}  // namespace postern::control::test
