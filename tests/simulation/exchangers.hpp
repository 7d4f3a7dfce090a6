// The way to the exchangers of a domain, gateway/outgoing/mx_client.cpp without sockets: DNS tells of them, and each is
// tried in turn until all recipients have their answer.
#pragma once

#include <memory>
#include <string>

#include "client.hpp"

namespace postern::simulation {

class Exchangers {
public:
    /// All outlive it.
    Exchangers(Surroundings& around, const Life& life, Client& client)
        : around_(around), life_(life), client_(client) {}

    /// As Client::run().
    void run(const std::string& domain, lmtp_client::Transaction transaction, std::shared_ptr<Content> content,
             lmtp_client::OutcomeSink& outcomes, ClientOptions options, Client::Done done);

private:
    struct Walk;
    void look_up(const std::shared_ptr<Walk>& walk);
    void visit(const std::shared_ptr<Walk>& walk);
    void conclude(const std::shared_ptr<Walk>& walk);

    Surroundings& around_;
    const Life& life_;
    Client& client_;
};

}  // namespace postern::simulation
