#include "gateway/outgoing/mx_client.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "gateway/dns/names.hpp"
#include "gateway/outgoing/exchanges.hpp"
#include "gateway/outgoing/hosts.hpp"

namespace postern::outgoing {

namespace asio = boost::asio;
using lmtp_client::Client;
using lmtp_client::ClientOptions;
using lmtp_client::Endpoint;
using lmtp_client::Fate;
using lmtp_client::Outcome;
using lmtp_client::OutcomeSink;
using lmtp_client::Security;
using lmtp_client::Transaction;
using lmtp_client::TransactionEnd;
using lmtp_client::Trouble;
using mail::EnhancedStatus;
using mail::Reply;

namespace {

constexpr std::size_t servers_max = 6;  ///< addresses that one attempt may try
/// Behind it the next server is left for the next attempt: a domain whose DNS or servers trickle must not hold its
/// transactions for hours.
constexpr std::chrono::minutes walk_time_max{10};
constexpr std::chrono::seconds idle_max{5};  ///< strangers' servers have others to serve
constexpr std::size_t transcript_octets_max = 48 << 10;

/// Knows whether the content was begun: it can be read but once, so then nobody else can get it.
class WatchedContent final : public lmtp_client::ContentSource {
public:
    explicit WatchedContent(std::shared_ptr<ContentSource> content) : content_(std::move(content)) {}
    asio::awaitable<lmtp_client::ContentPart> next() override {
        is_begun = true;
        return content_->next();
    }
    bool is_begun = false;

private:
    std::shared_ptr<ContentSource> content_;
};

/// Hands on what one server said, and keeps who was not answered for.
class Answers final : public OutcomeSink {
public:
    Answers(OutcomeSink& outcomes, std::vector<std::size_t> slots, std::string peer)
        : outcomes_(outcomes), slots_(std::move(slots)), peer_(std::move(peer)) {}
    void begins(const std::string& tls) override { outcomes_.begins(tls); }
    void outcome(std::size_t slot, Outcome outcome) override {
        if (outcome.fate == Fate::not_tried) {
            left_.push_back(slots_.at(slot));
            return;
        }
        outcome.peer = peer_;
        outcomes_.outcome(slots_.at(slot), std::move(outcome));
    }
    [[nodiscard]] std::vector<std::size_t> take_left() { return std::move(left_); }

private:
    OutcomeSink& outcomes_;
    const std::vector<std::size_t> slots_;
    const std::string peer_;
    std::vector<std::size_t> left_;
};

/// "192.0.2.1" of "[192.0.2.1]" and "[IPv6:2001:db8::1]"; empty: `domain` is no literal.
std::string literal_address(const std::string& domain) {
    constexpr std::string_view v6 = "[ipv6:";
    if (domain.size() < 3 || domain.front() != '[') {
        return {};
    }
    const std::size_t begin = domain.starts_with(v6) ? v6.size() : 1;
    return domain.substr(begin, domain.size() - begin - 1);
}

/// One transaction on its way through the servers of a domain.
class Walk {
public:
    Walk(Client& inner, dns::Resolver& resolver, std::shared_ptr<const Options> options, std::mt19937_64& chance,
         OutcomeSink& outcomes, const SteadyTime& time)
        : inner_(inner),
          resolver_(resolver),
          options_(std::move(options)),
          chance_(chance),
          outcomes_(outcomes),
          time_(time),
          until_(time() + walk_time_max) {}

    asio::awaitable<TransactionEnd> run(std::string domain, Transaction transaction, ClientOptions client) {
        domain_ = std::move(domain);
        client_ = std::move(client);
        client_.idle_max = std::min<std::chrono::milliseconds>(client_.idle_max, idle_max);
        transaction_ = std::move(transaction);
        content_ = std::make_shared<WatchedContent>(std::move(transaction_.content));
        for (std::size_t slot = 0; slot < transaction_.recipients.size(); ++slot) {
            left_.push_back(slot);
        }
        const std::string literal = literal_address(domain_);
        if (!literal.empty()) {
            verdict_ = Reply(550, EnhancedStatus(5, 1, 2), domain_ + " is no address that mail can go to");
            Host host = literal_host(literal, *options_);
            host.name = domain_;
            co_await visit(std::move(host));
        } else {
            co_await visit_exchanges();
        }
        co_return conclude();
    }

private:
    asio::awaitable<void> visit_exchanges() {
        const std::optional<std::string> name = dns::to_a_labels(domain_);
        if (!name) {
            verdict_ = Reply(550, EnhancedStatus(5, 1, 2), "no domain is called " + domain_);
            co_return;
        }
        const dns::Answer answer = co_await resolver_.lookup(*name, dns::RecordType::mx);
        auto exchanges = exchanges_of(*name, answer, options_->hostname, chance_);
        if (exchanges.has_error()) {
            verdict_ = exchanges.error();
            co_return;
        }
        note_exchanges(*exchanges, answer.secure);
        verdict_ = Reply(550, EnhancedStatus(5, 4, 4), "no server for " + domain_ + " is known: there is no address");
        for (const Exchange& exchange : *exchanges) {
            if (is_late()) {
                co_return;
            }
            HostQuestion question{*name, exchange, answer.secure, options_->port};
            Host host = co_await find_host(resolver_, std::move(question), options_);
            if (host.is_forbidden && !is_temporary() && peer_.empty()) {
                verdict_ = Reply(550, EnhancedStatus(5, 4, 4),
                                 "no server for " + domain_ + " is known: to its addresses mail is never sent");
            }
            const bool goes_on = co_await visit(std::move(host));
            if (!goes_on) {
                co_return;
            }
        }
    }

    /// False: no other host is to be asked.
    asio::awaitable<bool> visit(Host host) {
        if (host.is_own) {
            // RFC 5321 section 5.1: this one and all behind it would only bring the mail back.
            if (!is_temporary()) {
                judge(goes_in_a_circle(domain_));
            }
            co_return false;
        }
        if (!host.problem.empty()) {
            note(host.problem);
            judge(Reply(451, EnhancedStatus(4, 4, 3), std::move(host.problem)));
            co_return true;
        }
        if (host.addresses.empty()) {
            note(host.name + " has no address that mail can go to");
        }
        for (const std::string& address : host.addresses) {
            if (is_late()) {
                co_return false;
            }
            co_await talk_to(host, address);
            const bool is_over = left_.empty() || in_portions_ || content_->is_begun || visited_ >= servers_max;
            if (is_over) {
                co_return false;
            }
        }
        co_return true;
    }

    void judge(Reply verdict, std::string peer = {}) {
        verdict_ = std::move(verdict);
        peer_ = std::move(peer);
    }

    /// True: no further host is to be looked for, nor spoken to. Who was not asked then may be there next time.
    bool is_late() {
        if (time_() < until_) {
            return false;
        }
        note("no more time for this attempt");
        if (!is_temporary()) {
            judge(Reply(451, EnhancedStatus(4, 4, 3), "no server for " + domain_ + " was found in time"));
        }
        return true;
    }

    asio::awaitable<void> talk_to(const Host& host, std::string address) {
        ++visited_;
        Endpoint server;
        server.host = std::move(address);
        server.port = options_->port;
        server.protocol = lmtp_client::Protocol::smtp;
        std::string peer = (host.name.starts_with('[') ? host.name : host.name + '[' + server.host + ']') + ':' +
                           std::to_string(server.port);
        ClientOptions client = client_;
        client.security = host.security;
        client.envelope_first = true;  // who breaks off at MAIL or RCPT leaves the content for the next one
        Transaction part = transaction_;
        part.content = content_;
        part.recipients.clear();
        for (const std::size_t slot : left_) {
            part.recipients.push_back(transaction_.recipients[slot]);
        }
        Answers answers(outcomes_, left_, peer);
        outcomes_.begins({});  // what the last one spoke in is over
        end_ = co_await inner_.run(std::move(server), std::move(part), answers, std::move(client));
        left_ = answers.take_left();
        transcript_ += end_.transcript;
        in_portions_ = !left_.empty() && end_.trouble == Trouble::none;
        if (!left_.empty() && !in_portions_) {
            Reply verdict = why_not(peer, host.security);
            judge(std::move(verdict), std::move(peer));
        }
    }

    /// What a server that broke off before it answered for somebody means for him.
    [[nodiscard]] Reply why_not(const std::string& peer, const Security& security) const {
        const std::string text = peer + ": " + (end_.detail.empty() ? "no answer" : end_.detail);
        const bool must_encrypt = security.tls == Security::Tls::required || security.tls == Security::Tls::encrypted;
        if (must_encrypt && end_.trouble == Trouble::greeting && end_.detail.starts_with("TLS")) {
            return {451, EnhancedStatus(4, 7, 5), text};
        }
        const bool was_reached = end_.trouble == Trouble::broken || end_.trouble == Trouble::protocol;
        return {451, was_reached ? EnhancedStatus(4, 4, 2) : EnhancedStatus(4, 4, 1), text};
    }

    [[nodiscard]] bool is_temporary() const { return verdict_.is_transient(); }

    void note(const std::string& text) { transcript_ += "         -- " + text + '\n'; }
    void note_exchanges(const std::vector<Exchange>& exchanges, bool is_secure) {
        std::string text = exchanges.front().is_implicit ? "no MX: " + domain_ + " itself" : "MX of " + domain_ + ':';
        for (const Exchange& exchange : exchanges) {
            if (!exchange.is_implicit) {
                text += ' ' + std::to_string(exchange.preference) + ' ' + exchange.host;
            }
        }
        note(text + (is_secure ? " (secure)" : ""));
    }

    TransactionEnd conclude() {
        // Neither is about those who are left: they are not charged, nor is the domain.
        const bool is_nobodys_fault = in_portions_ || end_.trouble == Trouble::content;
        for (const std::size_t slot : left_) {
            Outcome outcome;
            if (!is_nobodys_fault) {
                outcome.fate = verdict_.is_permanent() ? Fate::unable : Fate::replied;
                outcome.reply = verdict_;
                outcome.peer = peer_;
            }
            outcomes_.outcome(slot, std::move(outcome));
        }
        if (!left_.empty() && !is_nobodys_fault) {
            end_.detail = verdict_.to_string();
            const bool was_reached = end_.trouble == Trouble::broken || end_.trouble == Trouble::protocol;
            if (verdict_.is_permanent()) {
                end_.trouble = Trouble::none;
            } else if (!was_reached) {
                end_.trouble = Trouble::connect;
            }
        }
        const bool is_worth_telling = !left_.empty() || !end_.transcript.empty() || end_.trouble != Trouble::none;
        end_.transcript = is_worth_telling ? std::move(transcript_) : std::string();
        if (end_.transcript.size() > transcript_octets_max) {
            end_.transcript.erase(0, end_.transcript.size() - transcript_octets_max);
        }
        return std::move(end_);
    }

    Client& inner_;
    dns::Resolver& resolver_;
    const std::shared_ptr<const Options> options_;
    std::mt19937_64& chance_;
    OutcomeSink& outcomes_;
    const SteadyTime& time_;
    const std::chrono::steady_clock::time_point until_;

    std::string domain_;
    Transaction transaction_;
    ClientOptions client_;
    std::shared_ptr<WatchedContent> content_;
    std::vector<std::size_t> left_;  ///< slots that nobody has answered for
    bool in_portions_ = false;       ///< the server answered to the end: it takes those in another transaction
    std::size_t visited_ = 0;
    Reply verdict_;     ///< what those get
    std::string peer_;  ///< who it is about; empty: no server
    TransactionEnd end_;
    std::string transcript_;
};

class MxClient final : public Client {
public:
    MxClient(std::unique_ptr<Client> inner, dns::Resolver& resolver, OptionsSource options, std::uint64_t seed,
             SteadyTime time)
        : inner_(std::move(inner)),
          resolver_(resolver),
          options_(std::move(options)),
          time_(std::move(time)),
          chance_(seed) {}

    asio::awaitable<TransactionEnd> run(Endpoint endpoint, Transaction transaction, OutcomeSink& outcomes,
                                        ClientOptions options) override {
        Walk walk(*inner_, resolver_, options_(), chance_, outcomes, time_);
        TransactionEnd end = co_await walk.run(std::move(endpoint.host), std::move(transaction), std::move(options));
        co_return end;
    }

    asio::awaitable<TransactionEnd> probe(Endpoint, ClientOptions) override {
        std::string name = options_()->hostname;
        const dns::Answer answer = co_await resolver_.lookup(std::move(name), dns::RecordType::mx);
        TransactionEnd end;
        if (answer.status == dns::Status::failed) {
            end.trouble = Trouble::connect;
            end.detail = "DNS: " + answer.why;
        }
        co_return end;
    }

    using Client::close_idle;
    void close_idle() override { inner_->close_idle(); }

private:
    const std::unique_ptr<Client> inner_;
    dns::Resolver& resolver_;
    const OptionsSource options_;
    const SteadyTime time_;
    std::mt19937_64 chance_;
};

}  // namespace

std::unique_ptr<Client> make_mx_client(std::unique_ptr<Client> inner, dns::Resolver& resolver, OptionsSource options,
                                       std::uint64_t seed, SteadyTime time) {
    return std::make_unique<MxClient>(std::move(inner), resolver, std::move(options), seed, std::move(time));
}

}  // namespace postern::outgoing
