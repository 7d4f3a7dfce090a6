// A store in the same process, on loopback, on a thread of its own: takes LMTP honestly until the addresses tell it to
// misbehave.
//
//   MAIL FROM:<pattern-kfu@...>  plays that pattern after the data, see slot_patterns.hpp
//   MAIL FROM:<mail-550@...>     answers MAIL so; data-451@ answers DATA so
//   RCPT TO:<rcpt-550@...>       answers RCPT so
//   MAIL FROM:<early@...>        says 452 in the middle of the data
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lmtp-client/transaction.hpp"
#include "tests/unit/lmtp-client/slot_patterns.hpp"

namespace postern::lmtp_client::test {

struct StoreOptions {
    bool pipelining = true;
    bool chunking = true;
    std::string keywords = "250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n";  ///< further lines of the answer to LHLO
    std::string greeting = "220 store.example.com LMTP\r\n";
    std::string lhlo;                                ///< answers LHLO instead of the keywords
    std::string later_lhlo;                          ///< answers LHLO on every connection but the first
    bool smtp = false;                               ///< speaks SMTP: EHLO, HELO, and one reply after the data
    std::string ehlo;                                ///< with smtp: answers EHLO instead of the keywords
    std::string helo = "250 store.example.com\r\n";  ///< with smtp: answers HELO
    bool drips = false;                              ///< writes octet by octet
    bool closes_after = false;                       ///< closes after each transaction
    std::chrono::milliseconds verdict_after{};       ///< thinks so long before it answers the data
};

/// One transaction as the store saw it.
struct Filed {
    std::string mail;
    std::vector<std::string> rcpts;  ///< accepted ones
    std::string content;             ///< dots undone
};

class ScriptedStore {
public:
    explicit ScriptedStore(StoreOptions options, std::string unix_path = {}) : options_(std::move(options)) {
        if (unix_path.empty()) {
            tcp_.emplace(io_, boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0), true);
            endpoint_.host = "127.0.0.1";
            endpoint_.port = tcp_->local_endpoint().port();
            spawn(accept(*tcp_));
        } else {
            unix_.emplace(io_, boost::asio::local::stream_protocol::endpoint(unix_path), true);
            endpoint_.unix_path = unix_path;
            spawn(accept(*unix_));
        }
        endpoint_.protocol = options_.smtp ? Protocol::smtp : Protocol::lmtp;
        thread_ = std::thread([this] { io_.run(); });
    }
    ~ScriptedStore() {
        io_.stop();
        thread_.join();
    }
    ScriptedStore(const ScriptedStore&) = delete;
    ScriptedStore& operator=(const ScriptedStore&) = delete;

    [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
    [[nodiscard]] std::size_t connections() const { return connections_; }
    [[nodiscard]] std::size_t quits() const { return quits_; }
    /// Whether anything came behind the end of some data before its recipients were answered.
    [[nodiscard]] bool was_sent_ahead() const { return sent_ahead_; }
    [[nodiscard]] std::vector<Filed> filed() {
        const std::lock_guard lock(mutex_);
        return filed_;
    }
    /// Waits until `count` connections have ended.
    void await_ended(std::size_t count) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return ended_ >= count; });
    }
    /// Closes all connections, and returns once they are.
    void close_all() {
        std::unique_lock lock(mutex_);
        bool done = false;
        boost::asio::post(io_, [&] {
            for (const auto& close : closers_) {
                close();
            }
            closers_.clear();
            const std::lock_guard inner(mutex_);
            done = true;
            changed_.notify_all();
        });
        changed_.wait(lock, [&] { return done; });
    }

private:
    template <class T>
    using awaitable = boost::asio::awaitable<T>;

    void spawn(awaitable<void> task) { boost::asio::co_spawn(io_, std::move(task), boost::asio::detached); }

    template <class Acceptor>
    awaitable<void> accept(Acceptor& acceptor) {
        while (true) {
            auto socket = co_await acceptor.async_accept(boost::asio::use_awaitable);
            ++connections_;
            using Socket = decltype(socket);
            auto session = std::make_shared<Session<Socket>>(*this, std::move(socket));
            closers_.push_back([session] { session->close(); });
            auto task = serve(session);
            spawn(std::move(task));
        }
    }

    template <class SessionPointer>
    awaitable<void> serve(SessionPointer session) {
        try {
            co_await session->run();
        } catch (const std::exception&) {
            // The client went away.
        }
        session->close();
        const std::lock_guard lock(mutex_);
        ++ended_;
        changed_.notify_all();
    }

    template <class Socket>
    class Session {
    public:
        Session(ScriptedStore& store, Socket socket) : store_(store), socket_(std::move(socket)) {}

        void close() {
            boost::system::error_code ignored;
            socket_.close(ignored);
        }

        awaitable<void> run() {
            co_await say(store_.options_.greeting);
            while (socket_.is_open()) {
                const std::string line = co_await read_line();
                const std::string verb = line.substr(0, 4);
                if (verb == "QUIT") {
                    ++store_.quits_;
                    co_return;
                }
                if (verb == "DATA" || verb == "BDAT") {
                    co_await take_data(line);
                } else {
                    const std::string reply = answer(verb, line);
                    co_await say(reply);
                    if (reply.substr(0, 3) == "421") {
                        co_return;
                    }
                }
            }
        }

    private:
        std::string answer(const std::string& verb, const std::string& line) {
            const StoreOptions& options = store_.options_;
            if (options.smtp && verb == "HELO") {
                return options.helo;
            }
            if (verb == (options.smtp ? "EHLO" : "LHLO")) {
                const bool later = !options.later_lhlo.empty() && store_.connections() > 1;
                const std::string& told = later ? options.later_lhlo : options.smtp ? options.ehlo : options.lhlo;
                return told.empty()
                           ? "250-store.example.com\r\n" + std::string(options.pipelining ? "250-PIPELINING\r\n" : "") +
                                 (options.chunking ? "250-CHUNKING\r\n" : "") + options.keywords + "250 X-LAST\r\n"
                           : told;
            }
            if (verb == "MAIL") {
                begun_ = Filed();
                begun_.mail = line;
                in_transaction_ = word_behind(line, "<mail-").empty();
                return in_transaction_ ? "250 2.1.0 ok\r\n" : word_behind(line, "<mail-") + " as told\r\n";
            }
            if (verb == "RCPT") {
                const std::string told = word_behind(line, "<rcpt-");
                if (!in_transaction_) {
                    return "503 5.5.1 MAIL first\r\n";
                }
                if (!told.empty()) {
                    return told + " as told\r\n";
                }
                begun_.rcpts.push_back(line);
                return "250 2.1.5 ok\r\n";
            }
            if (verb == "LHLO" || verb == "EHLO" || verb == "HELO") {
                return "500 5.5.1 another protocol is spoken here\r\n";
            }
            in_transaction_ = false;
            return "250 2.0.0 ok\r\n";
        }

        awaitable<void> take_data(const std::string& line) {
            const std::string no_recipients = "503 5.5.1 RCPT first\r\n";
            if (line[0] == 'B') {
                const std::size_t size = std::stoul(line.substr(5));
                begun_.content = co_await read_octets(size);
            } else {
                const std::string told = word_behind(begun_.mail, "<data-");
                if (begun_.rcpts.empty() || !told.empty()) {
                    std::string refusal = no_recipients;
                    if (!told.empty()) {
                        refusal = told + " as told\r\n";
                    }
                    co_await say(refusal);
                    co_return;
                }
                const std::string go_ahead = "354 go ahead\r\n";
                co_await say(go_ahead);
                if (begun_.mail.find("<early@") != std::string::npos) {
                    const std::string early = "452 4.3.1 too early\r\n";
                    co_await say(early);
                }
                co_await read_dotted();
            }
            if (begun_.rcpts.empty()) {
                co_await say(no_recipients);
                co_return;
            }
            boost::system::error_code ignored;
            store_.sent_ahead_ = store_.sent_ahead_ || !input_.empty() || socket_.available(ignored) > 0;
            co_await answer_data();
        }

        awaitable<void> answer_data() {
            in_transaction_ = false;
            {
                const std::lock_guard lock(store_.mutex_);
                store_.filed_.push_back(begun_);
            }
            const std::string pattern = word_behind(begun_.mail, "<pattern-");
            const std::size_t replies = store_.options_.smtp ? 1 : begun_.rcpts.size();
            if (store_.options_.verdict_after.count() > 0) {
                boost::asio::steady_timer thought(store_.io_, store_.options_.verdict_after);
                co_await thought.async_wait(boost::asio::use_awaitable);
            }
            const SlotScript script = script_of(pattern.empty() ? std::string(replies, 'k') : pattern);
            co_await say(script.bytes);
            if (script.closes || store_.options_.closes_after) {
                close();
            }
        }

        /// "451" of "MAIL FROM:<data-451@example.org>".
        static std::string word_behind(const std::string& line, const std::string& prefix) {
            const auto at = line.find(prefix);
            return at == std::string::npos ? "" : line.substr(at + prefix.size(), line.find('@') - at - prefix.size());
        }

        awaitable<void> say(const std::string& bytes) {
            const std::size_t piece = store_.options_.drips ? 1 : bytes.size();
            for (std::size_t at = 0; at < bytes.size(); at += piece) {
                const auto buffer = boost::asio::buffer(bytes.data() + at, std::min(piece, bytes.size() - at));
                co_await boost::asio::async_write(socket_, buffer, boost::asio::use_awaitable);
            }
        }

        awaitable<void> fill() {
            char octets[4096];
            const auto buffer = boost::asio::buffer(octets);
            const std::size_t count = co_await socket_.async_read_some(buffer, boost::asio::use_awaitable);
            input_.append(octets, count);
        }

        awaitable<std::string> read_line() {
            std::size_t end = input_.find("\r\n");
            while (end == std::string::npos) {
                co_await fill();
                end = input_.find("\r\n");
            }
            std::string line = input_.substr(0, end);
            input_.erase(0, end + 2);
            co_return line;
        }

        awaitable<std::string> read_octets(std::size_t count) {
            while (input_.size() < count) {
                co_await fill();
            }
            std::string out = input_.substr(0, count);
            input_.erase(0, count);
            co_return out;
        }

        awaitable<void> read_dotted() {
            while (true) {
                const std::string line = co_await read_line();
                if (line == ".") {
                    co_return;
                }
                begun_.content += (line[0] == '.' ? line.substr(1) : line) + "\r\n";
            }
        }

        ScriptedStore& store_;
        Socket socket_;
        std::string input_;
        Filed begun_;
        bool in_transaction_ = false;
    };

    StoreOptions options_;
    boost::asio::io_context io_;
    std::optional<boost::asio::ip::tcp::acceptor> tcp_;
    std::optional<boost::asio::local::stream_protocol::acceptor> unix_;
    Endpoint endpoint_;
    std::vector<std::function<void()>> closers_;
    std::atomic<std::size_t> connections_ = 0;
    std::atomic<std::size_t> quits_ = 0;
    std::atomic<bool> sent_ahead_ = false;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t ended_ = 0;
    std::vector<Filed> filed_;
    std::thread thread_;
};

}  // namespace postern::lmtp_client::test
