#include "exchangers.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace postern::simulation {

using lmtp_client::Fate;
using lmtp_client::Outcome;
using lmtp_client::TransactionEnd;
using lmtp_client::Trouble;
using mail::EnhancedStatus;
using mail::Reply;

namespace {

constexpr Timeline::Milliseconds idle_max = 5'000;  ///< strangers' servers have others to serve

}  // namespace

/// One transaction on its way. Hands on what an exchanger said, and keeps who was not answered for.
struct Exchangers::Walk final : lmtp_client::OutcomeSink {
    std::string domain;
    lmtp_client::Transaction transaction;
    std::shared_ptr<Content> content;
    lmtp_client::OutcomeSink* outcomes = nullptr;
    ClientOptions options;
    Client::Done done;  ///< keeps `outcomes` alive

    std::vector<std::string> exchangers;
    std::size_t next = 0;
    std::vector<std::size_t> asked;  ///< slots, of the transaction at work
    std::vector<std::size_t> left;   ///< slots that nobody has answered for
    bool in_portions = false;        ///< the exchanger takes those in another transaction
    std::string peer;
    Reply verdict;  ///< what those get
    TransactionEnd end;

    void outcome(std::size_t slot, Outcome outcome) override {
        if (outcome.fate == Fate::not_tried) {
            left.push_back(asked.at(slot));
            return;
        }
        outcome.peer = peer;
        outcomes->outcome(asked.at(slot), std::move(outcome));
    }
};

void Exchangers::run(const std::string& domain, lmtp_client::Transaction transaction, std::shared_ptr<Content> content,
                     lmtp_client::OutcomeSink& outcomes, ClientOptions options, Client::Done done) {
    auto walk = std::make_shared<Walk>();
    walk->domain = domain;
    walk->transaction = std::move(transaction);
    walk->content = std::move(content);
    walk->outcomes = &outcomes;
    walk->options = options;
    walk->options.idle_max = std::min(options.idle_max, idle_max);
    walk->options.envelope_first = true;
    walk->done = std::move(done);
    for (std::size_t slot = 0; slot < walk->transaction.recipients.size(); ++slot) {
        walk->left.push_back(slot);
    }
    const bool is_answered = around_.elsewhere.at(domain).names != Elsewhere::Names::failing;
    life_.later(is_answered ? around_.random.between(0, 50) : around_.random.between(1000, 10'000),
                [this, walk] { look_up(walk); });
}

void Exchangers::look_up(const std::shared_ptr<Walk>& walk) {
    const Elsewhere& there = around_.elsewhere.at(walk->domain);
    if (there.names == Elsewhere::Names::failing) {
        walk->verdict = Reply(451, EnhancedStatus(4, 4, 3), "no name server answers for " + walk->domain);
        return conclude(walk);
    }
    if (there.names == Elsewhere::Names::none) {
        walk->verdict = Reply(550, EnhancedStatus(5, 1, 2), "no domain is called " + walk->domain);
        return conclude(walk);
    }
    walk->exchangers = there.exchangers;
    visit(walk);
}

void Exchangers::visit(const std::shared_ptr<Walk>& walk) {
    if (walk->left.empty() || walk->in_portions || walk->content->is_begun || walk->next == walk->exchangers.size()) {
        return conclude(walk);
    }
    walk->peer = walk->exchangers[walk->next++];
    walk->asked = std::exchange(walk->left, {});
    lmtp_client::Transaction part = walk->transaction;
    part.recipients.clear();
    for (const std::size_t slot : walk->asked) {
        part.recipients.push_back(walk->transaction.recipients[slot]);
    }
    client_.run(*lmtp_client::parse_endpoint(walk->peer), std::move(part), walk->content, *walk, walk->options,
                [this, walk](TransactionEnd end) {
                    walk->end = std::move(end);
                    walk->in_portions = !walk->left.empty() && walk->end.trouble == Trouble::none;
                    if (!walk->left.empty() && !walk->in_portions) {
                        walk->verdict = Reply(451, EnhancedStatus(4, 4, 1), walk->peer + ": " + walk->end.detail);
                    }
                    visit(walk);
                });
}

/// As Walk::conclude() there: who was left gets the verdict, and its kind of trouble is the domain's.
void Exchangers::conclude(const std::shared_ptr<Walk>& walk) {
    for (const std::size_t slot : walk->left) {
        Outcome outcome;
        if (!walk->in_portions) {
            outcome.fate = walk->verdict.is_permanent() ? Fate::unable : Fate::replied;
            outcome.reply = walk->verdict;
        }
        walk->outcomes->outcome(slot, std::move(outcome));
    }
    if (!walk->left.empty() && !walk->in_portions) {
        walk->end.detail = walk->verdict.to_string();
        const Trouble trouble = walk->end.trouble;
        if (walk->verdict.is_permanent()) {
            walk->end.trouble = Trouble::none;
        } else if (trouble != Trouble::broken && trouble != Trouble::protocol) {
            walk->end.trouble = Trouble::connect;
        }
    }
    walk->done(std::move(walk->end));
}

}  // namespace postern::simulation
