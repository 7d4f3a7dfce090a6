// Runs the scheduler: fresh messages and due recipients in, transactions out over the LMTP client, results into the
// store.
//
// Threads: one executor, the delivery thread's, on which everything happens. The functions below may be called from any
// thread, the StoreListener's part (committed(), batch_done(), health_changed()) from the store's writer. Destroy it
// after the delivery thread has ended and before its context.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gateway/delivery/content.hpp"
#include "gateway/delivery/events.hpp"
#include "gateway/delivery/options.hpp"
#include "gateway/delivery/scheduler.hpp"
#include "lmtp-client/client.hpp"
#include "queue/store.hpp"
#include "queue/time.hpp"

namespace postern::delivery {

struct RecipientKey {
    queue::MessageId message;
    queue::Ordinal ordinal = 0;
};

struct OrderResult {
    queue::StoreStatus status = queue::StoreStatus::failed;
    std::size_t changed = 0;
};

struct BackendOrderResult {
    Scheduler::Ordered ordered = Scheduler::Ordered::unknown_backend;
    queue::StoreStatus status = queue::StoreStatus::failed;  ///< with `done`: whether it will hold after a restart
};

/// What a probe of an endpoint found.
struct ProbeResult {
    std::string endpoint;
    bool well = false;
    std::string detail;  ///< why not. A stranger's text, perhaps.
};

class Engine {
public:
    /// The references outlive it. `elsewhere`: knows the way to the servers of a domain; for the backends that are by
    /// domain. Nothing is delivered before start().
    Engine(boost::asio::any_io_executor executor, queue::Store& store, Loader::OpenReader open_reader,
           const queue::Clock& clock, Events& events, Options options, Route route,
           std::unique_ptr<lmtp_client::Client> elsewhere);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Takes up what the queue holds.
    void start();
    void reconfigure(Options options, Route route);

    // The store's writer thread tells:
    void committed(std::vector<std::shared_ptr<const queue::CommittedMessage>> messages);
    void batch_done();
    void health_changed(const std::string& error);
    void put_off();

    /// Carries out an operator's order on recipients, in flight or not. `done` runs on the delivery thread once it is
    /// durable.
    void order(Order order, std::vector<RecipientKey> recipients, std::string actor, std::string reason,
               std::function<void(OrderResult)> done);
    /// Carries out an operator's order on a backend: it holds at once, and after a restart once `done` says `stored`.
    /// `done` runs on the delivery thread.
    void order(BackendOrder order, std::string backend, std::string actor, std::string reason,
               std::function<void(BackendOrderResult)> done);
    /// Connects to every endpoint of `backend` now; a circuit that is open closes when its endpoint is well. `done`
    /// runs on the delivery thread, with nothing when there is no such backend.
    void probe(std::string backend, std::function<void(std::vector<ProbeResult>)> done);

    // Block for a moment; not from the delivery thread.
    [[nodiscard]] std::vector<BackendState> backends();
    /// What the recipients of a message, as the queue has it, wait for: one each, by ordinal.
    [[nodiscard]] std::vector<Explanation> explain(const queue::QueuedMessage& message);

    /// Which backends' mail is not taken now. Any thread, at any time.
    [[nodiscard]] const RefusalBoard& refusals() const;

    /// Starts nothing more. `done` runs on the delivery thread when the transactions in flight have ended and their
    /// results are recorded, or after `grace`: then those are tried again after the next start.
    void stop(std::chrono::milliseconds grace, std::function<void()> done);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace postern::delivery
