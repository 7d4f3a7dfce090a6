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
    /// `backends`: as the configuration has them.
    OfflineGateway(queue::SqliteStoreOptions options, queue::Reader& reader, const queue::Clock& clock,
                   std::string version, std::vector<BackendStatus> backends = {});
    ~OfflineGateway() override;

    /// Takes the lock, unless that was done. busy: another gateway has it.
    [[nodiscard]] Result<void, Failure> open();

    void apply(Verb verb, std::vector<RecipientRef> recipients, std::string actor, std::string reason,
               std::function<void(ApplyResult)> done) override;
    [[nodiscard]] std::vector<WhyView> explain(const queue::QueuedMessage& message) override;
    void order(BackendVerb verb, std::string backend, std::string actor, std::string reason,
               std::function<void(BackendResult)> done) override;
    /// Without a gateway nobody probes: `done` gets nothing.
    void probe(std::string backend, std::function<void(std::vector<ProbeView>)> done) override;
    [[nodiscard]] GatewaySnapshot snapshot() override;
    [[nodiscard]] ReloadOutcome reload(const std::string& actor) override;

private:
    class Listener;

    queue::SqliteStoreOptions options_;
    queue::Reader& reader_;
    const queue::Clock& clock_;
    std::string version_;
    std::vector<BackendStatus> backends_;
    std::unique_ptr<Listener> listener_;
    std::unique_ptr<queue::SqliteStore> store_;
};

/// What an OpenError means to a command.
[[nodiscard]] Failure failure_of(const queue::OpenError& error);

}  // namespace postern::control
