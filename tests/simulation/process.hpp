// One life of the gateway's process: the real store, reader, scheduler and ledger, put together as
// gateway/delivery/engine.cpp does it, on the timeline instead of threads. Its end, whatever it was doing, is a crash:
// nothing that it planned happens any more.
//   process.cpp        the engine: the scheduler is run, and what it starts
//   process_store.cpp  the store's thread, and what is asked of it
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client.hpp"
#include "exchangers.hpp"
#include "gateway/bounce/reporter.hpp"
#include "gateway/delivery/results_ledger.hpp"
#include "gateway/delivery/scheduler.hpp"
#include "life.hpp"
#include "queue/sqlite_store.hpp"

namespace postern::simulation {

class Process final : public delivery::Host,
                      public delivery::ResultsLedger::Host,
                      public delivery::Events,
                      public queue::StoreListener,
                      public queue::Reporter {
public:
    /// `way_to`: whether and how reports reach an address; it may be elsewhere.
    Process(Surroundings& around, delivery::Options options, delivery::Route route, delivery::Route way_to);
    ~Process() override;

    /// Opens the queue and takes up what it holds. False: the disk has failed meanwhile, or cannot be used now.
    [[nodiscard]] bool begin();
    /// What the queue holds, each message verified. nullopt: it cannot be read now.
    [[nodiscard]] std::optional<std::vector<queue::QueuedMessage>> read_all();

    void accept(const std::vector<queue::Recipient>& recipients, std::size_t parts, const std::string& body,
                const std::string& from, queue::Origin origin);
    void order(delivery::Order order, queue::MessageId message, queue::Ordinal ordinal);
    void order(delivery::BackendOrder order, const std::string& backend);
    void reconfigure(delivery::Options options, delivery::Route route);
    [[nodiscard]] bool is_recording() const { return ledger_.is_recording() && healthy_; }
    [[nodiscard]] bool has_recorded_all() const { return ledger_.is_idle(); }
    [[nodiscard]] bool is_idle() const { return scheduler_.in_flight() == 0 && ledger_.is_idle(); }
    /// Invariant 11.
    void check_memory();
    [[nodiscard]] Timeline::Milliseconds recording_since() const { return recording_since_; }

    // delivery::Host
    void start(std::shared_ptr<const delivery::Plan> plan) override;
    void probe(const std::string& backend, const lmtp_client::Endpoint& endpoint) override;
    void load(const std::string& backend, queue::Instant until, std::optional<queue::DueKey> after,
              std::size_t limit) override;
    void load_old(const std::string& backend, queue::MessageId before, std::size_t limit) override;
    void record(queue::RecipientUpdate update, std::optional<queue::HistoryEvent> event) override;
    void record_at_end(std::uint64_t plan, queue::RecipientUpdate update, queue::HistoryEvent event) override;
    void load_late(const std::string& backend, queue::MessageId after, queue::MessageId before,
                   std::size_t limit) override;
    void call_waiting(const std::string& backend, const std::string& mailbox, queue::Instant at,
                      std::size_t limit) override;
    void survey() override;
    void reassign(const std::string& from, const queue::DomainMoves& moves) override;
    void mark(queue::BackendMark mark, bool set) override { ledger_.mark(std::move(mark), set); }
    void refuse(const std::map<std::string, std::string>&) override {}
    // delivery::ResultsLedger::Host
    void submit(const std::shared_ptr<delivery::Recording>& recording) override;
    void released(std::uint64_t plan) override {
        around_.lanes.released(plan);
        scheduler_.release(plan);
    }
    // delivery::Events
    void recipient(const delivery::RecipientEvent& event) override;
    void endpoint_down(const std::string& backend, const std::string& endpoint, const std::string& why) override;
    void endpoint_up(const std::string& backend, const std::string& endpoint) override;
    void backend(const delivery::BackendEvent& event) override;
    void damaged(queue::MessageId message, const std::string& detail) override;
    void recounted(const std::string& changes) override;
    void problem(const std::string& text) override;
    // queue::Reporter: the gateway's own, watched
    [[nodiscard]] Answer decide(const Case& about) override;
    [[nodiscard]] std::size_t content_octets_max() const override { return reporter_.content_octets_max(); }
    // queue::StoreListener
    void committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages) override;
    void batch_done() override {}
    void health_changed(const std::string& error) override;
    void put_off() override;

private:
    struct Delivery;
    /// What a client has still to send.
    struct Sending {
        queue::Envelope envelope;
        std::vector<queue::Recipient> recipients;
        std::string content;
    };

    /// On the delivery thread, in the order in which the store's thread has said it.
    void after_store(std::function<void()> what);
    void work_soon();
    void pump_soon();
    void pump();
    [[nodiscard]] delivery::Now now() const { return {around_.timeline.wall(), around_.timeline.steady()}; }

    /// The updates as they are in the file, for those whose state the reporter has decided. nullopt: it cannot be read.
    [[nodiscard]] std::optional<std::vector<queue::RecipientUpdate>> as_recorded(
        const std::vector<queue::RecipientUpdate>& updates);
    void take_marks();
    void append(queue::MessageId id, std::size_t parts, const Sending& rest);
    void read_and_run(std::shared_ptr<const delivery::Plan> plan);
    void run(std::shared_ptr<const delivery::Plan> plan, const queue::Envelope& envelope, std::string content);
    void ended(const delivery::Plan& plan, lmtp_client::TransactionEnd end);
    void refused_by_names(const delivery::Plan& plan, queue::Ordinal ordinal);
    [[nodiscard]] const delivery::BackendOptions* way_out() const;
    void unreadable(const delivery::Plan& plan, delivery::Scheduler::Unreadable why, const std::string& detail);

    Surroundings& around_;
    Life life_;
    delivery::Options options_;
    Client client_;
    Exchangers exchangers_;
    bounce::Reporter reporter_;
    std::unique_ptr<queue::SqliteStore> store_;
    std::unique_ptr<queue::Reader> reader_;
    std::map<std::int64_t, std::unique_ptr<queue::IncomingMessage>> incoming_;  ///< by id
    delivery::Scheduler scheduler_;
    delivery::ResultsLedger ledger_;
    std::set<std::string> braked_;
    bool healthy_ = true;
    bool work_pending_ = false;
    bool pump_pending_ = false;
    Timeline::Milliseconds last_from_store_ = 0;
    std::uint64_t wakes_ = 0;
    Timeline::Milliseconds recording_since_ = 0;
    std::size_t most_in_memory_ = 0;         ///< recipients, since the last check
    std::size_t most_in_memory_before_ = 0;  ///< ... and between it and the one before
    Timeline::Milliseconds run_at_ = 0;      ///< the scheduler, while results could be recorded
};

}  // namespace postern::simulation
