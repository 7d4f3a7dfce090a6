// The door of the folder: runs transactions against endpoints over pooled connections.
//
// Threads: one executor; all calls and all outcomes on it. Only a lease may be let go of on another thread. Destroy the
// client and all leases before the execution context. While connections are open, idle ones too, one coarse timer runs
// on the executor: it keeps the limits of all of them, late by at most an eighth of the shortest one (and never by more
// than half a second).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lmtp-client/tls.hpp"
#include "lmtp-client/transaction.hpp"

namespace postern::lmtp_client {

struct ClientOptions {
    std::string hostname;  ///< for LHLO, EHLO and HELO
    Security security;
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(30);
    std::chrono::milliseconds reply_timeout = std::chrono::minutes(5);  ///< for one reply, to its last octet
    /// Once the content was sent, in place of reply_timeout; for each reply. RFC 5321 section 4.5.3.2.6: a server may
    /// deliver before it answers, and who hangs up earlier makes duplicates.
    std::chrono::milliseconds final_reply_timeout = std::chrono::minutes(10);
    std::chrono::milliseconds idle_max = std::chrono::seconds(30);  ///< an idle connection is closed after this
    std::chrono::milliseconds age_max = std::chrono::minutes(5);    ///< no new transaction on an older one
    std::size_t bdat_size_max = 1 << 20;  ///< above it DATA is used even when CHUNKING is offered
    std::chrono::milliseconds content_timeout = std::chrono::minutes(10);  ///< for sending all of the content
    std::chrono::milliseconds transaction_timeout =
        std::chrono::hours(1);  ///< for one transaction, whatever trickles in
    /// Read no content before a recipient was accepted, one round trip more: for who has another endpoint to go to when
    /// this one breaks off.
    bool envelope_first = false;
};

class Client {
public:
    virtual ~Client() = default;

    /// Runs one transaction on an idle connection to `endpoint` or on a new one. Every slot's outcome has been given
    /// when it returns. A pooled connection that turns out to be dead before anything was answered is replaced by a new
    /// one, silently and once.
    virtual boost::asio::awaitable<TransactionEnd> run(Endpoint endpoint, Transaction transaction,
                                                       OutcomeSink& outcomes, ClientOptions options) = 0;

    /// Asks about recipients without giving a message: MAIL FROM:<>, a RCPT for each, RSET, in one write when the store
    /// knows PIPELINING; on a connection as run() takes it. `replied` is a recipient only by the reply to its own RCPT;
    /// what MAIL is answered, a 421, or "too many recipients" is nobody's answer (`not_tried`). A client that only
    /// delivers asks nobody, and says so.
    virtual boost::asio::awaitable<TransactionEnd> ask(Endpoint endpoint, std::vector<mail::Mailbox> recipients,
                                                       OutcomeSink& outcomes, ClientOptions options);

    /// Connects, LHLO (EHLO), QUIT: is the store there? For the circuit's probe.
    virtual boost::asio::awaitable<TransactionEnd> probe(Endpoint endpoint, ClientOptions options) = 0;

    /// Closes idle connections (all, or one endpoint's), with a QUIT.
    virtual void close_idle() = 0;
    virtual void close_idle(const Endpoint& endpoint) {
        (void)endpoint;
        close_idle();
    }
};

[[nodiscard]] std::unique_ptr<Client> make_client(boost::asio::any_io_executor executor);

}  // namespace postern::lmtp_client
