// The examination of a store, against good and bad ones that answer by the book or not.
#include "lmtp-client/conformance.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

namespace postern::lmtp_client {
namespace {

using Result = ConformanceCheck::Result;
using testing::HasSubstr;

/// A store in a thread: `answer` makes of a command line what is sent; empty: nothing; it closes after "221".
class Store {
public:
    using Answer = std::function<std::string(const std::string&)>;
    Store(std::string greeting, Answer answer) : greeting_(std::move(greeting)), answer_(std::move(answer)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size), 0);
        EXPECT_EQ(::listen(listener_, 5), 0);
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        endpoint_.host = "127.0.0.1";
        endpoint_.port = ntohs(address.sin_port);
        thread_ = std::thread([this] { run(); });
    }
    ~Store() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
    [[nodiscard]] const std::vector<std::string>& heard() const { return heard_; }

private:
    void run() {
        while (true) {
            const int client = ::accept(listener_, nullptr, nullptr);
            if (client < 0) {
                return;
            }
            serve(client);
            ::close(client);
        }
    }
    void serve(int client) {
        say(client, greeting_ + "\r\n");
        std::string input;
        char buffer[4096];
        for (ssize_t count = 0; (count = ::recv(client, buffer, sizeof buffer, 0)) > 0;) {
            input.append(buffer, static_cast<std::size_t>(count));
            for (std::size_t end = 0; (end = input.find("\r\n")) != std::string::npos; input.erase(0, end + 2)) {
                const std::string line = input.substr(0, end);
                heard_.push_back(line);
                const std::string reply = answer_(line);
                say(client, reply);
                if (reply.starts_with("221")) {
                    return;
                }
            }
        }
    }
    static void say(int client, const std::string& text) {
        (void)!::send(client, text.data(), text.size(), MSG_NOSIGNAL);
    }

    std::string greeting_;
    Answer answer_;
    int listener_ = -1;
    Endpoint endpoint_;
    std::vector<std::string> heard_;
    std::thread thread_;
};

std::string by_the_book(const std::string& line) {
    if (line.starts_with("LHLO")) {
        return "250-store\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n";
    }
    if (line.starts_with("RCPT")) {
        return line.find("no-such") == std::string::npos ? "250 2.1.5 ok\r\n" : "550 5.1.1 unknown\r\n";
    }
    if (line == "DATA") {
        return "503 5.5.1 no recipients\r\n";
    }
    if (line == "QUIT") {
        return "221 2.0.0 bye\r\n";
    }
    if (line.starts_with("MAIL") || line == "RSET" || line == "NOOP") {
        return "250 2.0.0 ok\r\n";
    }
    return "500 5.5.1 what\r\n";
}

ConformanceOptions quick() {
    ConformanceOptions options;
    options.hostname = "mx.example.com";
    options.reply_timeout = std::chrono::seconds(20);
    return options;
}

const ConformanceCheck* find(const std::vector<ConformanceCheck>& checks, const std::string& what) {
    for (const ConformanceCheck& check : checks) {
        if (check.what.find(what) != std::string::npos) {
            return &check;
        }
    }
    ADD_FAILURE() << "no check: " << what;
    return nullptr;
}

// Shows: RFC 2033 4.1, 4.2, 5
TEST(Conformance, AStoreByTheBookPassesEveryCheck) {
    Store store("220 store LMTP", by_the_book);
    ConformanceOptions options = quick();
    options.recipient = *mail::Mailbox::parse("bob@example.com", mail::Utf8::refused);
    const auto checks = check_conformance(store.endpoint(), options);
    EXPECT_GT(checks.size(), 15U);
    for (const ConformanceCheck& check : checks) {
        EXPECT_EQ(check.result, Result::pass) << check.what << ": " << check.seen;
    }
}

/// The name of the check that fails when the answer to `command` is `reply` instead.
struct Fault {
    std::string command;
    std::string reply;
    std::string check;
};

class ConformanceFaults : public testing::TestWithParam<Fault> {};

TEST_P(ConformanceFaults, IsFoundAndHasItsConsequence) {
    const Fault fault = GetParam();
    Store store("220 store LMTP", [&fault](const std::string& line) {
        return line.starts_with(fault.command) ? fault.reply : by_the_book(line);
    });
    const auto checks = check_conformance(store.endpoint(), quick());
    const ConformanceCheck* check = find(checks, fault.check);
    ASSERT_NE(check, nullptr);
    EXPECT_EQ(check->result, Result::fail) << check->seen;
    EXPECT_FALSE(check->clause.empty());
    for (const std::string& line : store.heard()) {
        EXPECT_NE(line, ".") << "content was ended";
    }
}

INSTANTIATE_TEST_SUITE_P(All, ConformanceFaults,
                         testing::Values(Fault{"HELO", "250 hello\r\n", "HELO is refused"},
                                         Fault{"EHLO", "250 hello\r\n", "EHLO is refused"},
                                         Fault{"LHLO", "250-s\r\n250 ENHANCEDSTATUSCODES\r\n", "PIPELINING"},
                                         Fault{"LHLO", "250-s\r\n250 PIPELINING\r\n", "ENHANCEDSTATUSCODES"},
                                         Fault{"LHLO", "500 5.5.1 no\r\n", "LHLO is accepted"},
                                         Fault{"DATA", "354 go\r\n", "DATA without a recipient"},
                                         Fault{"DATA", "554 5.5.1 no\r\n", "DATA without a sender"},
                                         Fault{"NOOP", "250 2.0.0 ok\r\n250 2.0.0 ok\r\n", "in one write"},
                                         Fault{"NOOP", "250 ok\r\n", "enhanced code"},
                                         Fault{"XNONSENSE", "250 2.0.0 ok\r\n", "unknown command"},
                                         Fault{"QUIT", "250 2.0.0 bye\r\n", "QUIT is 221"}));

TEST(Conformance, WithoutTheNullSenderWhatComesBehindItIsNotJudged) {
    Store store("220 store LMTP", [](const std::string& line) {
        return line.starts_with("MAIL") ? std::string("550 5.7.1 no\r\n") : by_the_book(line);
    });
    const auto checks = check_conformance(store.endpoint(), quick());
    for (const ConformanceCheck& check : checks) {
        EXPECT_EQ(check.result, check.what == "the null sender is accepted" ? Result::fail : Result::pass)
            << check.what << ": " << check.seen;
        EXPECT_EQ(check.what.find("one write"), std::string::npos);
    }
    EXPECT_EQ(checks.back().what, "the store closes after QUIT");
}

class ConformanceTls : public testing::TestWithParam<Security::Tls> {
protected:
    std::vector<ConformanceCheck> check(const Endpoint& endpoint) {
        ConformanceOptions options = quick();
        options.security.tls = GetParam();
        options.security.context = *TlsContext::make("");
        return check_conformance(endpoint, options);
    }
    [[nodiscard]] static bool is_needed() { return GetParam() != Security::Tls::opportunistic; }
};

INSTANTIATE_TEST_SUITE_P(All, ConformanceTls,
                         testing::Values(Security::Tls::opportunistic, Security::Tls::encrypted,
                                         Security::Tls::required));

TEST_P(ConformanceTls, AStoreThatDoesNotOfferItIsExaminedInClearOrNot) {
    Store store("220 store LMTP", by_the_book);
    const auto checks = check(store.endpoint());
    EXPECT_EQ(find(checks, "STARTTLS")->result, is_needed() ? Result::fail : Result::cannot_tell);
    EXPECT_EQ(checks.back().what, is_needed() ? "STARTTLS is offered" : "the store closes after QUIT");
}

// Shows: RFC 3207 4.1
TEST_P(ConformanceTls, AStoreWhoseTlsDoesNotWorkIsExaminedInClearOrNot) {
    for (const std::string answer : {"454 4.7.0 not now\r\n", "220 go\r\n250 injected\r\n"}) {
        Store store("220 store LMTP", [&answer](const std::string& line) {
            if (line.starts_with("LHLO")) {
                return std::string("250-store\r\n250-STARTTLS\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n");
            }
            if (line == "STARTTLS") {
                return answer;
            }
            return by_the_book(line);
        });
        const auto checks = check(store.endpoint());
        EXPECT_EQ(find(checks, "TLS begins")->result, Result::fail) << answer;
        EXPECT_EQ(checks.back().what, is_needed() ? "TLS begins" : "the store closes after QUIT") << answer;
    }
}

TEST(Conformance, WhoTakesAnybodyIsNoFault) {
    Store store("220 store LMTP", [](const std::string& line) {
        return line.starts_with("RCPT") ? std::string("250 2.1.5 ok\r\n") : by_the_book(line);
    });
    const auto checks = check_conformance(store.endpoint(), quick());
    EXPECT_EQ(find(checks, "cannot be")->result, Result::cannot_tell);
    EXPECT_EQ(find(checks, "in one write")->result, Result::pass);
}

TEST(Conformance, NobodyThereIsOneFailedCheck) {
    Endpoint endpoint;
    {
        Store store("220 store", by_the_book);
        endpoint = store.endpoint();
    }
    const auto checks = check_conformance(endpoint, quick());
    ASSERT_EQ(checks.size(), 1U);
    EXPECT_EQ(checks[0].result, Result::fail);
    EXPECT_THAT(checks[0].seen, HasSubstr("refused"));
}

}  // namespace
}  // namespace postern::lmtp_client
