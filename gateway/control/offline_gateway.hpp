// Stands in for the gateway when none runs: takes the queue's lock at the first change and makes the change itself.
// Threads: one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/control/failure.hpp"
#include "gateway/control/live_gateway.hpp"
#include "queue/reader.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::control {

class OfflineGateway final : public LiveGateway {
public:
    /// `reader` and `clock` must outlive it. `version`: of this program, for status.
    OfflineGateway(queue::SqliteStoreOptions options, queue::Reader& reader, const queue::Clock& clock,
                   std::string version);
    ~OfflineGateway() override;

    /// Takes the lock, unless that was done. busy: another gateway has it.
    [[nodiscard]] Result<void, Failure> open();

    void apply(Verb verb, std::vector<RecipientRef> recipients, std::string actor,
               std::function<void(ApplyResult)> done) override;
    [[nodiscard]] GatewaySnapshot snapshot() override;
    [[nodiscard]] ReloadOutcome reload(const std::string& actor) override;

private:
    class Listener;

    queue::SqliteStoreOptions options_;
    queue::Reader& reader_;
    const queue::Clock& clock_;
    std::string version_;
    std::unique_ptr<Listener> listener_;
    std::unique_ptr<queue::SqliteStore> store_;
};

/// What an OpenError means to a command.
[[nodiscard]] Failure failure_of(const queue::OpenError& error);

}  // namespace postern::control
