// The connections of a client: idle ones by endpoint, and the one timer that keeps the limits of them all.
//
// A connection that was found dead leaves nobody in doubt, so idle ones are looked at twice: with each tick, so that a
// store that closes does not wait for us, and again when one is taken.
//
// Threads: that of its executor.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <vector>

#include "lmtp-client/client.hpp"
#include "lmtp-client/detail/connection.hpp"

namespace postern::lmtp_client::detail {

class Pool : public std::enable_shared_from_this<Pool> {
public:
    explicit Pool(boost::asio::any_io_executor executor);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// The idle connection used last, if a living and young enough one is there; else nullptr.
    [[nodiscard]] std::shared_ptr<Connection> take(const Endpoint& endpoint, const ClientOptions& options);
    /// A new connection, not open yet; its deadlines are kept from now on.
    [[nodiscard]] std::shared_ptr<Connection> create(const ClientOptions& options);
    /// Takes back what may serve again.
    void give_back(std::shared_ptr<Connection> connection);
    /// Says QUIT and waits a moment for the store to close, in the background.
    void part_from(std::shared_ptr<Connection> connection);
    void close_idle(const Endpoint* only);

private:
    using Clock = Connection::Clock;
    struct Leaving {
        std::shared_ptr<Connection> connection;
        Clock::time_point until;
    };

    [[nodiscard]] static bool is_spent(const Connection& connection, Clock::time_point now);
    void start_timer();
    void tick();
    void look_at_idle(Clock::time_point now);

    boost::asio::any_io_executor executor_;
    std::shared_ptr<NameLookups> names_;
    boost::asio::steady_timer timer_;
    bool timer_runs_ = false;
    std::chrono::milliseconds interval_;
    std::map<Endpoint, std::vector<std::shared_ptr<Connection>>> idle_;  ///< the one used last at the end
    std::vector<std::weak_ptr<Connection>> all_;                         ///< whose deadlines are kept
    std::vector<Leaving> leaving_;
};

}  // namespace postern::lmtp_client::detail
