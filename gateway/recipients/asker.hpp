// Asks the stores about recipients, over LMTP, while a sender is on the line: MAIL, RCPT, RSET on a warm session.
//
// What always holds:
//  1. Every question is answered, within `timeout` of being put: by the store, or else by what the book remembers
//     (Book::without_answer()). A store that is down or slow costs one sender one timeout; then it is left alone for a
//     while, which grows, and questions about it are answered at once.
//  2. The same recipient is asked about once, however many wait for it.
//  3. At most `connections` transactions at a time to a backend, each about many recipients if many wait; at most
//     `waiting_max` recipients wait.
//  4. Every answer goes into the book, also one that comes when nobody waits any more.
//
// Threads: all functions from any; one thread of its own does the work.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gateway/recipients/ability_board.hpp"
#include "gateway/recipients/book.hpp"
#include "gateway/recipients/check.hpp"
#include "lmtp-client/client.hpp"
#include "queue/time.hpp"

namespace postern::recipients {

struct AskedBackend {
    std::vector<lmtp_client::Endpoint> endpoints;
    bool in_order = false;  ///< the first that answers is asked, and the others only while it does not
    lmtp_client::Security security;
    std::chrono::milliseconds connect_timeout = std::chrono::seconds(30);
    std::chrono::milliseconds reply_timeout = std::chrono::minutes(5);
};

struct AskerOptions {
    std::string hostname;  ///< for LHLO
    std::map<std::string, AskedBackend> backends;
    std::chrono::milliseconds timeout = std::chrono::seconds(3);
    std::uint32_t connections = 4;  ///< to one backend
};

class Asker {
public:
    static constexpr std::size_t waiting_max = 2000;      ///< recipients, of one backend
    static constexpr std::size_t recipients_max = 50;     ///< in one transaction
    static constexpr std::chrono::seconds rest_first{2};  ///< of an endpoint that gave no answer; doubles
    static constexpr std::chrono::seconds rest_max{60};

    /// An endpoint has stopped answering (`why` says how) or does again (`why` is empty). May be empty; must not block.
    using OnChange =
        std::function<void(const std::string& backend, const std::string& endpoint, const std::string& why)>;

    /// The references outlive it. `seed`: for the names that nobody can have.
    Asker(Book& book, AbilityBoard& abilities, const queue::Clock& clock, OnChange on_change, std::uint64_t seed);
    /// As stop().
    ~Asker();
    Asker(const Asker&) = delete;
    Asker& operator=(const Asker&) = delete;

    void reconfigure(AskerOptions options);
    /// `ahead`: will be asked about next; they go in the same transaction, unless the book knows them.
    void ask(const std::string& backend, const mail::Mailbox& address, std::vector<mail::Mailbox> ahead,
             Check::Done done);
    /// Nobody waits for it.
    void refresh(const std::string& backend, const mail::Mailbox& address);
    /// Until it is taken back, nothing is asked there: the book answers.
    void leave_alone(const std::string& backend, bool on);
    /// Answers all that waits from the book, and from now on everything at once.
    void stop();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// The check of a domain whose recipients are asked for at their backend.
class AskCheck final : public Check {
public:
    /// The references outlive it.
    AskCheck(std::string backend, Book& book, Asker& asker, const queue::Clock& clock)
        : backend_(std::move(backend)), book_(book), asker_(asker), clock_(clock) {}

    [[nodiscard]] std::optional<Verdict> look(const mail::Mailbox& address) override;
    void ask(const mail::Mailbox& address, const Ahead& ahead, Done done) override;

private:
    const std::string backend_;
    Book& book_;
    Asker& asker_;
    const queue::Clock& clock_;
};

}  // namespace postern::recipients
