// How the running gateway knows its recipients: the parts of gateway/recipients, built from the configuration,
// connected with acceptance and with the deliveries, and kept up to date.
//
// Threads: make(), use(), start() and stop() one at a time; the rest any.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "gateway/acceptance/policy.hpp"
#include "gateway/config/config.hpp"
#include "gateway/delivery/options.hpp"
#include "gateway/log/log.hpp"
#include "gateway/main/event_log.hpp"
#include "gateway/main/file_watch.hpp"
#include "gateway/recipients/asker.hpp"
#include "gateway/recipients/book.hpp"
#include "gateway/recipients/database.hpp"
#include "gateway/recipients/keeper.hpp"
#include "gateway/recipients/listed.hpp"
#include "gateway/routing/routes.hpp"
#include "queue/mail/snapshot.hpp"

namespace postern::gateway {

/// What of `recipients` cannot be used: a file that cannot be read, a query that is none. For `postern check`.
[[nodiscard]] std::vector<std::string> recipient_faults(const config::Config& config);

/// For `postern route`: how it is known whether there is such a recipient, and what is known. Reads what the gateway
/// keeps beside its queue; runs with and without it.
[[nodiscard]] std::string describe_recipient(const config::Config& config, const routing::RouteFound& route,
                                             const mail::Mailbox& address);

class RecipientParts {
public:
    /// By the rule that a route finds; without one: `any`.
    using Checks = std::unordered_map<const config::Domain*, std::shared_ptr<recipients::Check>>;

    /// Both outlive it.
    RecipientParts(log::Log& log, const queue::Clock& clock);
    ~RecipientParts() { stop(); }
    RecipientParts(const RecipientParts&) = delete;
    RecipientParts& operator=(const RecipientParts&) = delete;

    /// Reads the files that `config` names. The error is for the operator; nothing has changed then.
    [[nodiscard]] Result<std::shared_ptr<const Checks>, std::string> make(const config::Config& config);
    /// `config` is in force from now on, with the checks that were made of it last.
    void use(const config::Config& config, const delivery::Options& delivery, const Checks& checks);
    /// Takes up what is remembered beside the queue, and begins to watch files. After the first use().
    void start(const std::filesystem::path& queue);
    /// Once no session is left that could wait for an answer.
    void stop();

    /// What RCPT asks. `checks` are those of the configuration of `routes`.
    void complete(acceptance::Policy& policy, std::shared_ptr<const routing::Routes> routes,
                  std::shared_ptr<const Checks> checks);
    /// What deliveries tell.
    [[nodiscard]] EventLog::StoreNews news();

private:
    using Source = recipients::DatabaseCheck::Source;
    struct WatchedFile {
        std::filesystem::path path;
        std::shared_ptr<recipients::ListCheck> check;
        std::string look;     ///< of what is in use; empty: it was read by make()
        std::string problem;  ///< told last; empty: what is in use is what the file says
    };

    [[nodiscard]] Result<std::shared_ptr<recipients::Check>, std::string> check_of(const config::Domain& domain);
    [[nodiscard]] bool read_again();

    log::Log& log_;
    const queue::Clock& clock_;
    recipients::Book book_;
    recipients::AbilityBoard abilities_;
    recipients::HarvestBrake harvest_brake_;
    recipients::Keeper keeper_;
    recipients::Asker asker_;
    std::size_t entries_ = 0;
    queue::Duration keep_{};
    Snapshot<std::set<std::string>> asked_backends_;
    std::mutex files_mutex_;
    std::vector<WatchedFile> files_;
    Look made_of_;  ///< what the last make() has read, for use()
    /// Every one that ever was: one that a reload has left behind may still be asked by a session.
    std::map<Source, std::shared_ptr<recipients::DatabaseCheck>> databases_;
    FileWatch watch_;  // last: its thread uses the above
};

}  // namespace postern::gateway
