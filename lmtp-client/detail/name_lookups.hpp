// The addresses of host names. Asio's own resolver has one thread: a name whose DNS is dead would keep all others
// waiting, and so one store another. Here some are looked up at once, and each name only once at a time.
//
// Threads: begin() and the timers of those who wait, the executor's. Names are looked up on threads of its own. These
// begin with the first name, as a process that gives up rights does so before. The destructor waits for those at work.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern::lmtp_client::detail {

class NameLookups : public std::enable_shared_from_this<NameLookups> {
public:
    struct Found {
        boost::system::error_code error;
        std::vector<boost::asio::ip::address> addresses;  ///< in the order in which they are to be tried
    };
    /// Blocks.
    using LookUp = std::function<Found(const std::string& host)>;

    /// Who waits for an answer: on `timer`, which runs until it is cancelled.
    struct Waiting {
        explicit Waiting(const boost::asio::any_io_executor& executor)
            : timer(executor, boost::asio::steady_timer::time_point::max()) {}
        boost::asio::steady_timer timer;
        std::optional<Found> found;  ///< nullopt: there is no answer yet, and who waits has been cancelled
    };

    explicit NameLookups(boost::asio::any_io_executor executor, LookUp look_up = by_the_system);
    ~NameLookups();
    NameLookups(const NameLookups&) = delete;
    NameLookups& operator=(const NameLookups&) = delete;

    /// Looks `host` up, or joins who waits for it. The timer is cancelled once `found` is there.
    [[nodiscard]] std::shared_ptr<Waiting> begin(const std::string& host);

private:
    static Found by_the_system(const std::string& host);
    void end(const std::string& host, const Found& found);

    boost::asio::any_io_executor executor_;
    const LookUp look_up_;
    std::map<std::string, std::vector<std::weak_ptr<Waiting>>> waiting_;  ///< by host: one look-up each
    std::optional<boost::asio::thread_pool> threads_;
};

}  // namespace postern::lmtp_client::detail
