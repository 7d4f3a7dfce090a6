// A control server on a socket in a temporary folder, over a queue in memory.
#pragma once

#include <gtest/gtest.h>

#include "gateway/control/connect.hpp"
#include "gateway/control/server.hpp"
#include "tests/unit/gateway/control/fakes.hpp"

namespace postern::control::test {

class ServerTest : public ::testing::Test {
protected:
    void start(ServerOptions options = {}) {
        options.socket = socket_;
        auto started = Server::start(
            options, clock_,
            [this]() -> Result<std::unique_ptr<queue::Reader>, queue::OpenError> {
                return std::unique_ptr<queue::Reader>(std::make_unique<FakeReader>(queue_));
            },
            gateway_,
            [this](const std::string& text) {
                const std::lock_guard lock(mutex_);
                errors_.push_back(text);
            });
        ASSERT_TRUE(started) << started.error();
        server_ = std::move(*started);
    }

    std::unique_ptr<Operations> operations() {
        ConnectOptions options;
        options.socket = socket_;
        options.queue.path = folder_.path() / "queue.db";
        options.notice = [](const std::string& text) { ADD_FAILURE() << text; };
        auto connected = connect(options, clock_);
        EXPECT_TRUE(connected) << connected.error().text;
        return connected ? std::move(*connected) : nullptr;
    }

    TempFolder folder_;
    std::filesystem::path socket_ = folder_.path() / "control.sock";
    FixedClock clock_;
    FakeQueue queue_;
    FakeGateway gateway_;
    std::mutex mutex_;
    std::vector<std::string> errors_;
    std::unique_ptr<Server> server_;
};

}  // namespace postern::control::test
