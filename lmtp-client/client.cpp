#include "lmtp-client/client.hpp"

#include <boost/asio/dispatch.hpp>
#include <utility>

#include "lmtp-client/detail/connection.hpp"
#include "lmtp-client/detail/pool.hpp"

namespace postern::lmtp_client {

namespace asio = boost::asio;
using detail::Connection;
using detail::Pool;

namespace {

/// A connection that has been idle for longer is asked about the envelope before it gets the content: should it have
/// died unnoticed (a cut cable, a forgetful firewall), nobody is left in doubt, and a new connection takes over without
/// a word.
constexpr std::chrono::milliseconds trusted_idle_max{250};

/// TransactionEnd::lease. Its end gives the connection back, on the connection's own thread.
class Lease {
public:
    Lease(std::weak_ptr<Pool> pool, std::shared_ptr<Connection> connection)
        : pool_(std::move(pool)), connection_(std::move(connection)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        const auto executor = connection_->executor();
        asio::dispatch(executor, [pool = std::move(pool_), connection = std::move(connection_)]() mutable {
            if (const auto alive = pool.lock()) {
                alive->give_back(std::move(connection));
            }
        });
    }

private:
    std::weak_ptr<Pool> pool_;
    std::shared_ptr<Connection> connection_;
};

TransactionEnd to_end(Connection::Ended ended, bool reused) {
    TransactionEnd end;
    end.trouble = ended.trouble;
    end.detail = std::move(ended.detail);
    end.reused = reused;
    end.transcript = std::move(ended.transcript);
    return end;
}

void settle_not_tried(const Transaction& transaction, OutcomeSink& outcomes) {
    for (std::size_t slot = 0; slot < transaction.recipients.size(); ++slot) {
        outcomes.outcome(slot, Outcome());
    }
}

class PooledClient final : public Client {
public:
    explicit PooledClient(asio::any_io_executor executor) : pool_(std::make_shared<Pool>(std::move(executor))) {}

    asio::awaitable<TransactionEnd> run(Endpoint endpoint, Transaction transaction, OutcomeSink& outcomes,
                                        ClientOptions options) override {
        return carry_out(std::move(endpoint), std::move(transaction), Purpose::deliver, outcomes, std::move(options));
    }

    asio::awaitable<TransactionEnd> ask(Endpoint endpoint, std::vector<mail::Mailbox> recipients, OutcomeSink& outcomes,
                                        ClientOptions options) override {
        Transaction transaction;
        transaction.recipients.reserve(recipients.size());
        for (mail::Mailbox& recipient : recipients) {
            transaction.recipients.push_back({std::move(recipient), {}});
        }
        return carry_out(std::move(endpoint), std::move(transaction), Purpose::ask, outcomes, std::move(options));
    }

    asio::awaitable<TransactionEnd> probe(Endpoint endpoint, ClientOptions options) override {
        const std::shared_ptr<Pool> pool = pool_;
        const std::shared_ptr<Connection> connection = pool->create(options);
        std::optional<Connection::Ended> refused = co_await connection->open(endpoint, options);
        if (refused) {
            co_return to_end(std::move(*refused), false);
        }
        pool->part_from(connection);
        TransactionEnd end;
        end.abilities = connection->abilities();
        co_return end;
    }

    void close_idle() override { pool_->close_idle(nullptr); }
    void close_idle(const Endpoint& endpoint) override { pool_->close_idle(&endpoint); }

private:
    enum class Purpose : std::uint8_t { deliver, ask };

    asio::awaitable<TransactionEnd> carry_out(Endpoint endpoint, Transaction transaction, Purpose purpose,
                                              OutcomeSink& outcomes, ClientOptions options) {
        const std::shared_ptr<Pool> pool = pool_;
        detail::DialogueOptions dialogue;
        dialogue.protocol = endpoint.protocol;
        dialogue.bdat_size_max = options.bdat_size_max;
        dialogue.ask_only = purpose == Purpose::ask;
        std::shared_ptr<Connection> connection = pool->take(endpoint, options);
        const bool reused = connection != nullptr;
        if (reused) {
            const auto idle = Connection::Clock::now() - connection->idle_since;
            dialogue.envelope_first = options.envelope_first || idle > trusted_idle_max;
            outcomes.begins(connection->encryption());
            Connection::Ended ended = co_await connection->run(transaction, dialogue, true, outcomes, options);
            if (!ended.was_dead) {
                co_return concluded(pool, std::move(connection), std::move(ended), true);
            }
        }
        connection = pool->create(options);
        std::optional<Connection::Ended> refused = co_await connection->open(endpoint, options);
        if (refused) {
            settle_not_tried(transaction, outcomes);
            co_return to_end(std::move(*refused), false);
        }
        dialogue.envelope_first = options.envelope_first;
        outcomes.begins(connection->encryption());
        Connection::Ended ended = co_await connection->run(transaction, dialogue, false, outcomes, options);
        co_return concluded(pool, std::move(connection), std::move(ended), false);
    }

    static TransactionEnd concluded(const std::shared_ptr<Pool>& pool, std::shared_ptr<Connection> connection,
                                    Connection::Ended ended, bool reused) {
        const bool reusable = ended.reusable;
        TransactionEnd end = to_end(std::move(ended), reused);
        end.abilities = connection->abilities();
        if (reusable) {
            end.lease = std::make_shared<Lease>(pool, std::move(connection));
        } else {
            connection->close();
        }
        return end;
    }

    std::shared_ptr<Pool> pool_;
};

}  // namespace

asio::awaitable<TransactionEnd> Client::ask(Endpoint, std::vector<mail::Mailbox> recipients, OutcomeSink& outcomes,
                                            ClientOptions) {
    for (std::size_t slot = 0; slot < recipients.size(); ++slot) {
        outcomes.outcome(slot, Outcome());
    }
    TransactionEnd end;
    end.trouble = Trouble::connect;
    end.detail = "nobody is asked here";
    co_return end;
}

std::unique_ptr<Client> make_client(asio::any_io_executor executor) {
    return std::make_unique<PooledClient>(std::move(executor));
}

}  // namespace postern::lmtp_client
