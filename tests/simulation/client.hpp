// The gateway's client, lmtp-client/client.cpp without sockets: connections, those that are idle, and the real dialogue
// on them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "life.hpp"
#include "lmtp-client/transaction.hpp"

namespace postern::simulation {

/// The content of a transaction. It can be read but once.
struct Content {
    std::string octets;
    bool is_begun = false;
};

struct ClientOptions {
    Timeline::Milliseconds reply_timeout = 60'000;
    Timeline::Milliseconds idle_max = 30'000;
    bool envelope_first = false;
};

class Client {
public:
    using Done = std::function<void(lmtp_client::TransactionEnd)>;

    /// Both outlive it.
    Client(Surroundings& around, const Life& life) : around_(around), life_(life) {}

    /// Each recipient's outcome goes to `outcomes`, which `done` keeps alive.
    void run(const lmtp_client::Endpoint& endpoint, lmtp_client::Transaction transaction,
             std::shared_ptr<Content> content, lmtp_client::OutcomeSink& outcomes, ClientOptions options, Done done);
    void probe(const lmtp_client::Endpoint& endpoint, std::function<void(lmtp_client::Trouble)> done);
    void close_idle() { idle_.clear(); }

private:
    struct Wire;
    struct Flight;
    struct Lease;
    using Connected = std::function<void(std::shared_ptr<Wire>, lmtp_client::Trouble)>;

    void connect(const lmtp_client::Endpoint& endpoint, Connected then);
    void begin_dialogue(const std::shared_ptr<Flight>& flight, bool may_be_dead, bool rested);
    void converse(const std::shared_ptr<Flight>& flight);
    void send_content(const std::shared_ptr<Flight>& flight);
    void transmit(const std::shared_ptr<Wire>& wire, std::string bytes);
    void await_reply(const std::shared_ptr<Flight>& flight);
    void on_a_new_connection(const std::shared_ptr<Flight>& flight);
    void broke(const std::shared_ptr<Flight>& flight);
    void end(const std::shared_ptr<Flight>& flight);

    Surroundings& around_;
    const Life& life_;
    std::map<std::string, std::vector<std::shared_ptr<Wire>>> idle_;
};

}  // namespace postern::simulation
