// A real Server on a free port with hooks that remember, and a client that speaks octets: conversations as data.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "smtp-server/server.hpp"

namespace postern::smtp_server {

inline const std::string ehlo = "EHLO c.example.org\r\n";
inline const std::string envelope = "MAIL FROM:<a@example.org>\r\nRCPT TO:<u@example.com>\r\n";

struct TakenMessage {
    std::string sender;
    std::vector<std::string> recipients;
    std::string content;
    friend bool operator==(const TakenMessage&, const TakenMessage&) = default;
};

/// Takes what is for example.com. Some local parts say who refuses: of a sender "unwelcome" mail(); of a recipient
/// "nobegin" begin(), "nowrite" write(), "full" and "late" finish(), with 452 and 550.
class RememberingHooks final : public Hooks {
public:
    Refusal connected(const SessionInfo& session) override {
        const std::lock_guard lock(mutex_);
        client_ = session.client_address + ' ' + std::to_string(session.client_port);
        return std::nullopt;
    }
    boost::asio::awaitable<Refusal> mail(SessionInfo&, const MailCommand& command) override {
        Refusal refusal;
        if (command.sender.to_string().starts_with("unwelcome@")) {
            refusal = mail::Reply(550, mail::EnhancedStatus(5, 7, 1), "Not from you");
        }
        co_return refusal;
    }
    boost::asio::awaitable<Refusal> rcpt(const SessionInfo& session, const MailCommand&,
                                         const RcptCommand& command) override {
        {
            const std::lock_guard lock(mutex_);
            ahead_.clear();
            for (const mail::Mailbox& next : session.recipients_ahead()) {
                ahead_.push_back(next.to_string());
            }
        }
        if (command.address.local_part() == "throws") {
            throw std::runtime_error("a hook that breaks");
        }
        Refusal refusal;
        if (command.address.domain_key() != "example.com" && !command.bare_postmaster) {
            refusal = mail::Reply(550, mail::EnhancedStatus(5, 7, 1), "Relaying denied");
        }
        if (command.address.local_part() == "later") {
            refusal = mail::Reply(450, mail::EnhancedStatus(4, 2, 0), "Not now");
        }
        if (command.address.local_part() == "enough") {
            refusal = mail::Reply(421, mail::EnhancedStatus(4, 7, 1), "Enough of you");
        }
        co_return refusal;
    }
    boost::asio::awaitable<Begun> begin(const SessionInfo& session, const MailCommand& mail,
                                        const std::vector<RcptCommand>& recipients) override {
        auto sink = std::make_unique<Sink>(*this, session.protocol);
        sink->message_.sender = mail.sender.to_string();
        {
            const std::lock_guard lock(mutex_);
            tls_ = session.tls;
        }
        for (const RcptCommand& recipient : recipients) {
            sink->message_.recipients.push_back(recipient.address.to_string());
        }
        Begun begun;
        if (sink->is_for("nobegin")) {
            begun.refusal = mail::Reply(452, mail::EnhancedStatus(4, 3, 1), "No room");
        } else {
            begun.sink = std::move(sink);
        }
        co_return begun;
    }
    void content_refused(const SessionInfo&, const Envelope& about, const mail::Reply& reply) override {
        const std::lock_guard lock(mutex_);
        refused_.push_back(reply.to_string());
        refused_envelopes_.push_back(about.mail == nullptr ? "?" : about.mail->sender.to_string());
        for (const RcptCommand& recipient : about.recipients) {
            refused_envelopes_.back() += ' ' + recipient.address.to_string();
        }
    }
    void disconnected(const SessionInfo&, std::string_view reason, std::uint32_t) override {
        const std::lock_guard lock(mutex_);
        reasons_.emplace_back(reason);
        changed_.notify_all();
    }

    /// What the log would hear of.
    std::vector<std::string> refused() {
        const std::lock_guard lock(mutex_);
        return refused_;
    }
    /// ... of which mail: "sender recipient recipient".
    std::vector<std::string> refused_envelopes() {
        const std::lock_guard lock(mutex_);
        return refused_envelopes_;
    }
    std::vector<TakenMessage> taken() {
        const std::lock_guard lock(mutex_);
        return taken_;
    }
    std::string await_reason() {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !reasons_.empty(); });
        return reasons_.empty() ? "none" : reasons_.back();
    }
    /// SessionInfo::tls of the last message.
    std::string tls() {
        const std::lock_guard lock(mutex_);
        return tls_;
    }
    /// SessionInfo::recipients_ahead() at the last RCPT.
    std::vector<std::string> ahead() {
        const std::lock_guard lock(mutex_);
        return ahead_;
    }
    /// Address and port of the last client that was greeted.
    std::string client() {
        const std::lock_guard lock(mutex_);
        return client_;
    }
    int dropped() {
        const std::lock_guard lock(mutex_);
        return dropped_;
    }

private:
    class Sink final : public MessageSink {
    public:
        Sink(RememberingHooks& hooks, Protocol protocol) : hooks_(hooks), protocol_(protocol) {}
        ~Sink() override {
            const std::lock_guard lock(hooks_.mutex_);
            hooks_.dropped_ += finished_ ? 0 : 1;
        }
        boost::asio::awaitable<Refusal> write(std::string part) override {
            message_.content += part;
            Refusal refusal;
            if (is_for("nowrite")) {
                refusal = mail::Reply(452, mail::EnhancedStatus(4, 3, 1), "Disk full");
            }
            co_return refusal;
        }
        boost::asio::awaitable<std::vector<mail::Reply>> finish(std::string last_part, bool) override {
            message_.content += last_part;
            finished_ = true;
            std::vector<mail::Reply> replies;
            for (const std::string& recipient : message_.recipients) {
                if (recipient.starts_with("doubtful@")) {
                    co_return std::vector<mail::Reply>();
                }
                if (recipient.starts_with("full@")) {
                    replies.emplace_back(std::uint16_t{452}, mail::EnhancedStatus(4, 2, 2), "Full");
                } else if (recipient.starts_with("late@")) {
                    replies.emplace_back(std::uint16_t{550}, mail::EnhancedStatus(5, 7, 1), "Not this");
                } else {
                    replies.emplace_back(std::uint16_t{250}, mail::EnhancedStatus(2, 0, 0), "Taken " + recipient);
                }
            }
            if (protocol_ == Protocol::smtp) {
                replies.resize(1);
            }
            if (std::any_of(replies.begin(), replies.end(),
                            [](const mail::Reply& each) { return each.is_success(); })) {
                const std::lock_guard lock(hooks_.mutex_);
                hooks_.taken_.push_back(message_);
            }
            co_return replies;
        }
        [[nodiscard]] bool is_for(const std::string& local_part) const {
            return std::any_of(message_.recipients.begin(), message_.recipients.end(),
                               [&](const std::string& each) { return each.starts_with(local_part + '@'); });
        }
        TakenMessage message_;

    private:
        RememberingHooks& hooks_;
        const Protocol protocol_;
        bool finished_ = false;
    };

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<TakenMessage> taken_;
    std::vector<std::string> reasons_;
    std::vector<std::string> refused_;
    std::vector<std::string> refused_envelopes_;
    std::string tls_;
    std::string client_;
    std::vector<std::string> ahead_;
    int dropped_ = 0;
};

class Client {
public:
    explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    ~Client() { close(); }
    Client(Client&& other) noexcept : socket_(std::exchange(other.socket_, -1)), pending_(std::move(other.pending_)) {}
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void close() {
        if (socket_ >= 0) {
            ::close(std::exchange(socket_, -1));
        }
    }
    /// Sends all of it; false when the server has closed.
    bool send(std::string_view octets) const {
        while (!octets.empty()) {
            const ssize_t count = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
            if (count <= 0) {
                return false;
            }
            octets.remove_prefix(static_cast<std::size_t>(count));
        }
        return true;
    }
    [[nodiscard]] int descriptor() const { return socket_; }
    /// One read of what is there or comes; empty at the end.
    std::string read() const {
        pollfd waiting{socket_, POLLIN, 0};
        if (::poll(&waiting, 1, 60'000) != 1) {
            ADD_FAILURE() << "no answer within a minute";
            return {};
        }
        std::string part(256 * 1024, '\0');
        const ssize_t count = ::recv(socket_, part.data(), part.size(), 0);
        part.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
        return part;
    }
    /// The next whole replies, lines joined as they came: "250 2.1.0", multi-line ones as their last line.
    std::vector<std::string> replies(std::size_t count) {
        std::vector<std::string> found;
        while (found.size() < count) {
            const std::size_t end = pending_.find("\r\n");
            if (end == std::string::npos) {
                const std::string part = read();
                if (part.empty()) {
                    break;
                }
                pending_ += part;
                continue;
            }
            if (end < 4 || pending_[3] != '-') {
                found.push_back(pending_.substr(0, end));
            }
            pending_.erase(0, end + 2);
        }
        return found;
    }
    /// Code and status of each reply.
    std::vector<std::string> codes(std::size_t count) {
        std::vector<std::string> short_ones;
        for (const std::string& reply : replies(count)) {
            const bool enhanced = reply.size() > 6 && reply[5] == '.';
            short_ones.push_back(enhanced ? reply.substr(0, reply.find(' ', 4)) : reply.substr(0, 3));
        }
        return short_ones;
    }
    /// Everything up to the end of the connection.
    std::string rest() {
        for (std::string part = read(); !part.empty(); part = read()) {
            pending_ += part;
        }
        return std::exchange(pending_, {});
    }

private:
    int socket_;
    std::string pending_;
};

class ConversationTest : public testing::Test {
protected:
    ~ConversationTest() override {
        if (server_) {
            server_->stop(std::chrono::milliseconds(0));
            server_->wait();
        }
    }
    Client connect() {
        if (!server_) {
            ServerOptions server_options;
            server_options.threads = 1;
            server_options.session_id_prefix = "t";
            server_ = std::make_unique<Server>(hooks_, server_options);
            options_.hostname = "mx.example.com";
            ListenerOptions listener;
            listener.name = "test";
            listener.host = "127.0.0.1";
            listener.session = std::make_shared<const SessionOptions>(options_);
            EXPECT_EQ(server_->open({listener}), std::nullopt);
            server_->start();
        }
        return Client(server_->port(0));
    }
    using Codes = std::vector<std::string>;

    RememberingHooks hooks_;
    SessionOptions options_;
    std::unique_ptr<Server> server_;
};

}  // namespace postern::smtp_server
