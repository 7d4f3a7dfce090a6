// A store that sends TLS session tickets without end, which are no data: it must not keep the thread, nor be waited
// for.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "lmtp-client/client.hpp"
#include "tests/unit/lmtp-client/transactions.hpp"

namespace postern::lmtp_client::test {
namespace {

using Words = std::vector<std::string>;

template <auto Free>
struct FreedBy {
    template <class T>
    void operator()(T* object) const {
        Free(object);
    }
};

/// A server's context with a certificate that nobody need believe.
std::unique_ptr<SSL_CTX, FreedBy<::SSL_CTX_free>> server_context() {
    const std::unique_ptr<EVP_PKEY, FreedBy<::EVP_PKEY_free>> key(::EVP_EC_gen("P-256"));
    const std::unique_ptr<X509, FreedBy<::X509_free>> certificate(::X509_new());
    ::X509_gmtime_adj(::X509_getm_notBefore(certificate.get()), -3600);
    ::X509_gmtime_adj(::X509_getm_notAfter(certificate.get()), 3600);
    ::X509_set_pubkey(certificate.get(), key.get());
    EXPECT_GT(::X509_sign(certificate.get(), key.get(), ::EVP_sha256()), 0);
    std::unique_ptr<SSL_CTX, FreedBy<::SSL_CTX_free>> context(::SSL_CTX_new(::TLS_server_method()));
    ::SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    EXPECT_EQ(::SSL_CTX_use_certificate(context.get(), certificate.get()), 1);
    EXPECT_EQ(::SSL_CTX_use_PrivateKey(context.get(), key.get()), 1);
    return context;
}

/// Serves one connection after the other, on a thread of its own, until it goes.
class TicketStore {
public:
    /// When the command `at` has come in TLS it sends `octets` of tickets, and then answers.
    TicketStore(std::string at, std::size_t octets)
        : at_(std::move(at)), octets_(octets), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_, 8), 0);
        socklen_t size = sizeof address;
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        endpoint_.host = "127.0.0.1";
        endpoint_.port = ntohs(address.sin_port);
        thread_ = std::thread([this] {
            for (int peer = ::accept(listener_, nullptr, nullptr); peer >= 0;
                 peer = ::accept(listener_, nullptr, nullptr)) {
                serve(peer);
                ::close(peer);
            }
        });
    }
    ~TicketStore() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    TicketStore(const TicketStore&) = delete;
    TicketStore& operator=(const TicketStore&) = delete;
    [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }

private:
    void serve(int peer) {
        const std::unique_ptr<SSL, FreedBy<::SSL_free>> session(::SSL_new(context_.get()));
        BIO* const in = ::BIO_new(::BIO_s_mem());
        BIO* const out = ::BIO_new(::BIO_s_mem());
        ::SSL_set_bio(session.get(), in, out);
        ::SSL_set_accept_state(session.get());
        std::array<char, 16384> octets{};
        // Each write of the client is a command; it waits for the answer before the next.
        const auto hear = [&]() -> std::string {
            const auto count = ::recv(peer, octets.data(), octets.size(), 0);
            return {octets.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
        };
        const auto say = [&](std::string_view text) {
            return ::send(peer, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
        };
        const auto flush = [&] {
            std::string text(::BIO_ctrl_pending(out), '\0');
            ::BIO_read(out, text.data(), static_cast<int>(text.size()));
            return say(text);
        };
        say("220 store\r\n");
        hear();
        say("250-store\r\n250 STARTTLS\r\n");
        hear();
        say("220 2.0.0 go on\r\n");
        while (::SSL_do_handshake(session.get()) != 1) {
            flush();
            const std::string heard = hear();
            if (heard.empty()) {
                return;
            }
            ::BIO_write(in, heard.data(), static_cast<int>(heard.size()));
        }
        flush();
        bool in_data = false;
        while (true) {
            int count = 0;
            while ((count = ::SSL_read(session.get(), octets.data(), static_cast<int>(octets.size()))) <= 0) {
                const std::string heard = hear();
                if (heard.empty()) {
                    return;
                }
                ::BIO_write(in, heard.data(), static_cast<int>(heard.size()));
            }
            const std::string command(octets.data(), 4);
            if (command == at_) {
                for (std::size_t sent = 0; sent < octets_;) {
                    ::SSL_new_session_ticket(session.get());
                    ::SSL_do_handshake(session.get());
                    sent += ::BIO_ctrl_pending(out);
                    if (!flush()) {
                        return;
                    }
                }
            }
            const std::string answer = in_data             ? "250 2.0.0 taken\r\n"
                                       : command == "DATA" ? "354 go on\r\n"
                                                           : "250 ok\r\n";
            in_data = command == "DATA";
            ::SSL_write(session.get(), answer.data(), static_cast<int>(answer.size()));
            if (!flush()) {
                return;
            }
        }
    }

    const std::string at_;
    const std::size_t octets_;
    const std::unique_ptr<SSL_CTX, FreedBy<::SSL_CTX_free>> context_ = server_context();
    int listener_;
    Endpoint endpoint_;
    std::thread thread_;
};

struct Ran {
    TransactionEnd end;
    Words words;
};

Ran run(const TicketStore& store) {
    boost::asio::io_context io;
    const std::unique_ptr<Client> client = make_client(io.get_executor());
    ClientOptions options;
    options.hostname = "mx.example.com";
    options.security.tls = Security::Tls::opportunistic;
    options.security.context = *TlsContext::make("");
    Recorder recorder(1);
    std::optional<TransactionEnd> end;
    boost::asio::co_spawn(
        io, client->run(store.endpoint(), transaction("s@example.org", {"a@example.com"}), recorder, options),
        [&](const std::exception_ptr&, TransactionEnd ended) { end = std::move(ended); });
    while (!end) {
        io.run_one();
    }
    end->lease.reset();
    return {std::move(*end), recorder.words()};
}

constexpr std::size_t without_end = std::size_t{1} << 40;

TEST(TicketFlood, EndsTheDialogueWhereverItComes) {
    TicketStore at_once("LHLO", without_end);
    Ran ran = run(at_once);
    EXPECT_EQ(ran.end.trouble, Trouble::protocol) << ran.end.detail;
    EXPECT_EQ(ran.words, (Words{"not_tried"}));
    for (const char* const command : {"MAIL", "RCPT", "DATA"}) {
        TicketStore later(command, without_end);
        ran = run(later);
        EXPECT_EQ(ran.end.trouble, Trouble::protocol) << ran.end.detail;
        EXPECT_EQ(ran.words, (Words{"not_tried"}));
    }
    TicketStore last("Subj", without_end);
    ran = run(last);
    EXPECT_EQ(ran.end.trouble, Trouble::protocol) << ran.end.detail;
    EXPECT_EQ(ran.words, (Words{"unknown"}));
}

TEST(TicketFlood, SomeTicketsAreNoFlood) {
    for (const char* const command : {"LHLO", "MAIL", "DATA", "Subj"}) {
        TicketStore store(command, std::size_t{128} << 10);  // more than is read at once
        const Ran ran = run(store);
        EXPECT_EQ(ran.end.trouble, Trouble::none) << ran.end.detail;
        EXPECT_EQ(ran.words, (Words{"250"}));
    }
}

}  // namespace
}  // namespace postern::lmtp_client::test
