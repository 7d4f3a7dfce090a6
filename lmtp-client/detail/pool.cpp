#include "lmtp-client/detail/pool.hpp"

#include <algorithm>
#include <utility>

namespace postern::lmtp_client::detail {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds interval_max{500};
constexpr milliseconds interval_min{2};
constexpr milliseconds parting_max{1000};  ///< for the store to close after QUIT

}  // namespace

Pool::Pool(boost::asio::any_io_executor executor)
    : executor_(std::move(executor)),
      names_(std::make_shared<NameLookups>(executor_)),
      timer_(executor_),
      interval_(interval_max) {}

Pool::~Pool() {
    for (auto& [endpoint, connections] : idle_) {
        for (const auto& connection : connections) {
            connection->quit();
        }
    }
}

bool Pool::is_spent(const Connection& connection, Clock::time_point now) {
    return now - connection.born() >= connection.age_max || now - connection.idle_since >= connection.idle_max;
}

std::shared_ptr<Connection> Pool::take(const Endpoint& endpoint, const ClientOptions& options) {
    const auto found = idle_.find(endpoint);
    if (found == idle_.end()) {
        return nullptr;
    }
    const auto now = Clock::now();
    auto& connections = found->second;
    while (!connections.empty()) {
        auto connection = std::move(connections.back());
        connections.pop_back();
        connection->idle_max = options.idle_max;
        connection->age_max = options.age_max;
        if (!connection->is_quiet()) {
            continue;  // closed, or saying what nobody asked for
        }
        if (!is_spent(*connection, now) && connection->security == options.security) {
            return connection;
        }
        part_from(std::move(connection));
    }
    return nullptr;
}

std::shared_ptr<Connection> Pool::create(const ClientOptions& options) {
    auto connection = std::make_shared<Connection>(executor_, names_);
    connection->idle_max = options.idle_max;
    connection->age_max = options.age_max;
    all_.push_back(connection);
    const auto shortest =
        std::min({options.connect_timeout, options.reply_timeout, options.final_reply_timeout, options.content_timeout,
                  options.transaction_timeout, options.idle_max, options.age_max});
    const auto wanted = std::clamp(shortest / 8, interval_min, interval_max);
    if (wanted < interval_) {
        interval_ = wanted;
        timer_runs_ = false;  // the new wait replaces the longer one
    }
    start_timer();
    return connection;
}

void Pool::give_back(std::shared_ptr<Connection> connection) {
    const auto now = Clock::now();
    connection->idle_since = now;
    if (is_spent(*connection, now)) {
        return part_from(std::move(connection));
    }
    auto& connections = idle_[connection->endpoint];
    connections.push_back(std::move(connection));
}

void Pool::part_from(std::shared_ptr<Connection> connection) {
    connection->quit();
    leaving_.push_back({std::move(connection), Clock::now() + parting_max});
}

void Pool::close_idle(const Endpoint* only) {
    for (auto& [endpoint, connections] : idle_) {
        if (only != nullptr && endpoint != *only) {
            continue;
        }
        for (auto& connection : std::exchange(connections, {})) {
            part_from(std::move(connection));
        }
    }
}

// ---- The timer ----

void Pool::start_timer() {
    if (timer_runs_) {
        return;
    }
    timer_runs_ = true;
    timer_.expires_after(interval_);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (self && !error) {
            self->tick();
        }
    });
}

void Pool::tick() {
    const auto now = Clock::now();
    look_at_idle(now);
    std::erase_if(leaving_, [now](const Leaving& leaving) {
        return now >= leaving.until || leaving.connection->is_closed_by_store();
    });
    std::erase_if(all_, [now](const std::weak_ptr<Connection>& weak) {
        const auto connection = weak.lock();
        if (connection) {
            connection->expire(now);
        }
        return !connection;
    });
    timer_runs_ = false;
    if (!all_.empty()) {
        start_timer();
    }
}

void Pool::look_at_idle(Clock::time_point now) {
    for (auto at = idle_.begin(); at != idle_.end();) {
        auto& connections = at->second;
        std::erase_if(connections, [this, now](std::shared_ptr<Connection>& connection) {
            if (!connection->is_quiet()) {
                return true;
            }
            if (!is_spent(*connection, now)) {
                return false;
            }
            part_from(std::move(connection));
            return true;
        });
        at = connections.empty() ? idle_.erase(at) : std::next(at);
    }
}

}  // namespace postern::lmtp_client::detail
