#include "gateway/screening/screen.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "gateway/dns/names.hpp"

namespace postern::screening {

namespace asio = boost::asio;
using dns::RecordType;
using dns::Status;
using mail::EnhancedStatus;
using mail::Reply;
using smtp_server::Refusal;

namespace {

constexpr std::size_t reverse_names_max = 3;  // who has more has made them for us to ask about

/// What is known of a session's client.
struct Notes final : smtp_server::SessionNotes {
    ReverseName reverse = ReverseName::unknown;
    std::string name;
    std::int64_t score = 0;
    std::string listed_at;     ///< the zone with the greatest weight of those that list it
    std::int64_t unheard = 0;  ///< what lists that may speak for it would subtract: they gave no answer
};

/// Whether nobody vouches for the client: not `trusted`, and not this machine itself.
bool is_screened(const smtp_server::SessionInfo& session) {
    in6_addr six{};
    const std::string& address = session.client_address;
    return !session.trusted && !address.empty() && !address.starts_with("127.") &&
           !(::inet_pton(AF_INET6, address.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six));
}

bool is_postmaster(const mail::Mailbox& address) {
    constexpr std::string_view name = "postmaster";
    const std::string& local = address.local_part();
    return std::equal(local.begin(), local.end(), name.begin(), name.end(), [](char given, char lower) {
        return (given >= 'A' && given <= 'Z' ? given - 'A' + 'a' : given) == lower;
    });
}

/// The questions about one client and one sender. It lives in the frame that waits for all of them.
class Enquiry {
public:
    Enquiry(dns::Resolver& resolver, const Rules& rules, std::string address)
        : resolver_(resolver), rules_(rules), address_(std::move(address)) {}

    /// Asks all at once. `domain`: of the sender; empty: not asked about.
    asio::awaitable<void> run(bool about_client, std::string domain) {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        asio::steady_timer ended(executor, asio::steady_timer::time_point::max());
        std::vector<asio::awaitable<void>> questions;
        if (about_client) {
            if (rules_.reverse_names) {
                questions.push_back(ask_reverse_name());
            }
            for (const List& list : rules_.block) {
                questions.push_back(ask_list(&list, std::int64_t{list.weight}));
            }
            for (const List& list : rules_.allow) {
                questions.push_back(ask_list(&list, -std::int64_t{list.weight}));
            }
        }
        if (!domain.empty()) {
            questions.push_back(ask_domain(std::move(domain)));
        }
        std::size_t open = questions.size();
        for (auto& question : questions) {
            const auto end = [&open, &ended](const std::exception_ptr&) {  // no memory: no answer
                if (--open == 0) {
                    ended.cancel();
                }
            };
            asio::co_spawn(executor, std::move(question), end);
        }
        while (open > 0) {
            [[maybe_unused]] const auto waited = co_await ended.async_wait(asio::as_tuple(asio::use_awaitable));
        }
    }

    std::shared_ptr<Notes> notes = std::make_shared<Notes>();
    Refusal domain_refusal;

private:
    asio::awaitable<void> ask_reverse_name() {
        auto question = dns::reverse_name(address_);
        if (!question) {
            co_return;
        }
        const dns::Answer answer = co_await resolver_.lookup(std::move(*question), RecordType::ptr);
        if (answer.status == Status::no_data || answer.status == Status::no_such_name) {
            notes->reverse = ReverseName::none;
            co_return;
        }
        if (answer.status != Status::found) {
            co_return;
        }
        std::vector<dns::DomainName> names = answer.all<dns::DomainName>();
        names.resize(std::min(names.size(), reverse_names_max));
        for (const dns::DomainName& name : names) {
            if (!dns::is_host(name.text)) {
                continue;
            }
            const auto type = address_.find(':') == std::string::npos ? RecordType::a : RecordType::aaaa;
            const dns::Answer back = co_await resolver_.lookup(name.text, type);
            if (back.status == Status::failed || back.status == Status::bogus) {
                co_return;  // nothing is known, and nobody is waited for twice
            }
            notes->name = name.text;
            const dns::Address wanted{address_};
            const auto addresses = back.all<dns::Address>();
            if (std::find(addresses.begin(), addresses.end(), wanted) != addresses.end()) {
                notes->reverse = ReverseName::confirmed;
                co_return;
            }
        }
        notes->reverse = ReverseName::unconfirmed;
    }

    asio::awaitable<void> ask_list(const List* list, std::int64_t weight) {
        auto question = dns::reversed_below(address_, list->zone);
        if (!question) {
            co_return;
        }
        const dns::Answer answer = co_await resolver_.lookup(std::move(*question), RecordType::a);
        if (weight < 0 && (answer.status == Status::failed || answer.status == Status::bogus)) {
            notes->unheard -= weight;
        }
        if (!is_listed(answer, *list)) {
            co_return;
        }
        // RFC 5782 section 5: a list that has this entry lists the world, as one that was given up may.
        const dns::Answer test = co_await resolver_.lookup("1.0.0.127." + list->zone, RecordType::a);
        if (is_listed(test, *list)) {
            co_return;
        }
        notes->score += weight;
        if (weight > heaviest_) {
            heaviest_ = weight;
            notes->listed_at = list->zone;
        }
    }

    /// RFC 5321 section 5.1: an MX, or else an address. What has neither takes no mail, not even our report.
    asio::awaitable<void> ask_domain(std::string domain) {
        const dns::Answer exchangers = co_await resolver_.lookup(domain, RecordType::mx);
        if (exchangers.status == Status::found) {
            const auto all = exchangers.all<dns::MailExchanger>();
            if (all.size() == 1 && all.front().host.text.empty()) {
                domain_refusal = Reply(550, EnhancedStatus(5, 7, 27),
                                       "The domain of the sender takes no mail (null MX, RFC 7505): " + domain);
            }
            co_return;
        }
        if (exchangers.status == Status::no_such_name) {
            domain_refusal = Reply(550, EnhancedStatus(5, 1, 8), "The domain of the sender does not exist: " + domain);
            co_return;
        }
        for (const RecordType type : {RecordType::a, RecordType::aaaa}) {
            if (exchangers.status != Status::no_data) {
                co_return;
            }
            const dns::Answer addresses = co_await resolver_.lookup(domain, type);
            if (addresses.status != Status::no_data) {
                co_return;
            }
        }
        domain_refusal = Reply(550, EnhancedStatus(5, 1, 8),
                               "The domain of the sender has no MX and no address, it takes no mail: " + domain);
    }

    dns::Resolver& resolver_;
    const Rules& rules_;
    const std::string address_;
    std::int64_t heaviest_ = 0;
};

const Notes& notes_of(const smtp_server::SessionInfo& session) {
    static const Notes nothing;
    const auto* notes = dynamic_cast<const Notes*>(session.notes.get());
    return notes != nullptr ? *notes : nothing;
}

}  // namespace

Screen::Screen(dns::Resolver& resolver, Greylist& greylist, std::shared_ptr<const Rules> rules)
    : resolver_(resolver), greylist_(greylist), rules_(std::move(rules)) {}

void Screen::replace(std::shared_ptr<const Rules> rules) { rules_.store(std::move(rules)); }

asio::awaitable<Refusal> Screen::mail(smtp_server::SessionInfo& session, const smtp_server::MailCommand& command) {
    if (!is_screened(session)) {
        co_return std::nullopt;
    }
    const auto rules = rules_.load();
    std::string domain;
    if (rules->sender_domains && command.sender.mailbox()) {
        domain = command.sender.mailbox()->domain_key();
        domain = domain.front() == '[' ? std::string() : dns::to_a_labels(domain).value_or(std::string());
    }
    const bool about_client = session.notes == nullptr;
    Enquiry enquiry(resolver_, *rules, session.client_address);
    co_await enquiry.run(about_client, std::move(domain));
    if (about_client) {
        if (enquiry.notes->reverse == ReverseName::confirmed) {
            session.client_name = enquiry.notes->name;
        }
        session.notes = enquiry.notes;
    }
    co_return std::move(enquiry.domain_refusal);
}

asio::awaitable<Refusal> Screen::rcpt(const smtp_server::SessionInfo& session,
                                      const smtp_server::RcptCommand& command) {
    const auto rules = rules_.load();
    const Notes& notes = notes_of(session);
    if (notes.listed_at.empty() || notes.score < rules->refuse_at || is_postmaster(command.address)) {
        co_return std::nullopt;
    }
    std::string text = "[" + session.client_address + "] is listed at " + notes.listed_at;
    auto question = dns::reversed_below(session.client_address, notes.listed_at);
    if (question) {
        const dns::Answer answer = co_await resolver_.lookup(std::move(*question), RecordType::txt);
        const std::string reason = reason_of(answer);
        text += reason.empty() ? "" : ": " + reason;
    }
    if (notes.score - notes.unheard < rules->refuse_at) {
        co_return Reply(451, EnhancedStatus(4, 7, 1), text + "; a list that may speak for it does not answer");
    }
    co_return Reply(554, EnhancedStatus(5, 7, 1), std::move(text));
}

Refusal Screen::come_again(const smtp_server::SessionInfo& session, const smtp_server::MailCommand& mail,
                           const smtp_server::RcptCommand& command) {
    const auto rules = rules_.load();
    if (!rules->greylist.suspicious || !is_screened(session) || is_postmaster(command.address)) {
        return std::nullopt;
    }
    const Notes& notes = notes_of(session);
    const ClientFacts client{session.client_address, session.helo, notes.reverse, notes.name, notes.score};
    const auto why = suspicion(client, rules->hostname, rules->suspect_at);
    if (!why) {
        return std::nullopt;
    }
    const auto wait =
        greylist_.ask(session.client_address, mail.sender.to_string(), command.address.to_string(), rules->greylist);
    if (!wait) {
        return std::nullopt;
    }
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(*wait).count();
    return Reply(450, EnhancedStatus(4, 7, 1),
                 "Greylisted, for " + std::string(*why) + "; try again in " + std::to_string(seconds) + " seconds");
}

}  // namespace postern::screening
