#include "gateway/outgoing/hosts.hpp"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <tuple>
#include <utility>

#include "gateway/dns/names.hpp"

namespace postern::outgoing {

namespace asio = boost::asio;
using dns::Answer;
using dns::RecordType;
using dns::Status;
using lmtp_client::Security;

namespace {

constexpr std::size_t addresses_max = 4;  ///< of one host; who has more has others that are as good

/// IPv6 and IPv4 in turn: when one of them has no way out, the next one has.
std::vector<std::string> in_turn(const Answer& v6, const Answer& v4) {
    std::vector<std::string> addresses;
    const auto first = v6.all<dns::Address>();
    const auto second = v4.all<dns::Address>();
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i < first.size()) {
            addresses.push_back(first[i].text);
        }
        if (i < second.size()) {
            addresses.push_back(second[i].text);
        }
    }
    return addresses;
}

void take_addresses(Host& host, std::vector<std::string> addresses, const Options& options) {
    host.is_own = std::any_of(addresses.begin(), addresses.end(), options.is_own);
    const bool has_any = !addresses.empty();
    std::erase_if(addresses, options.is_forbidden);
    host.is_forbidden = has_any && addresses.empty();
    addresses.resize(std::min(addresses.size(), addresses_max));
    host.addresses = std::move(addresses);
}

Security usual_security(const std::string& domain, const std::string& host, const Options& options) {
    Security security;
    security.tls = options.tls_required.count(domain) != 0 ? Security::Tls::required : Security::Tls::opportunistic;
    security.context = options.context;
    security.host = host;
    return security;
}

/// RFC 7672 section 3.1 and RFC 6698 section 2.1: what is for mail, is known, and has the length of its digest.
bool is_usable(const dns::Tlsa& record) {
    const bool is_for_mail = record.usage == 2 || record.usage == 3;
    const bool is_known = record.selector <= 1 && record.matching <= 2;
    const bool has_length = record.matching == 0 || record.data.size() == (record.matching == 1 ? 32U : 64U);
    return is_for_mail && is_known && has_length;
}

class Finder {
public:
    Finder(dns::Resolver& resolver, HostQuestion question, std::shared_ptr<const Options> options)
        : resolver_(resolver), question_(std::move(question)), options_(std::move(options)) {}

    asio::awaitable<Host> find() {
        host_.name = question_.exchange.host;
        host_.security = usual_security(question_.domain, host_.name, *options_);
        using namespace asio::experimental::awaitable_operators;
        asio::awaitable<Answer> ask_v6 = resolver_.lookup(host_.name, RecordType::aaaa);
        asio::awaitable<Answer> ask_v4 = resolver_.lookup(host_.name, RecordType::a);
        const std::tuple<Answer, Answer> answers = co_await (std::move(ask_v6) && std::move(ask_v4));
        const auto& [v6, v4] = answers;
        if (!is_usable_answer(v6, v4)) {
            co_return std::move(host_);
        }
        take_addresses(host_, in_turn(v6, v4), *options_);
        if (host_.addresses.empty() || host_.is_own || !question_.is_secure) {
            co_return std::move(host_);
        }
        const Answer& shown = v4.status == Status::found ? v4 : v6;
        const bool are_secure = (v4.status != Status::found || v4.secure) && (v6.status != Status::found || v6.secure);
        co_await ask_for_certificates(shown.canonical_name, are_secure);
        co_return std::move(host_);
    }

private:
    /// A host of which something is forged is not spoken to; one of which nothing is known may be there later.
    bool is_usable_answer(const Answer& v6, const Answer& v4) {
        for (const Answer* answer : {&v6, &v4}) {
            if (answer->status == Status::bogus) {
                host_.problem = "the addresses of " + host_.name + " are forged or badly signed: " + answer->why;
                return false;
            }
        }
        if (v6.status == Status::found || v4.status == Status::found) {
            return true;
        }
        for (const Answer* answer : {&v6, &v4}) {
            if (answer->status == Status::failed) {
                host_.problem = "the addresses of " + host_.name + " are not known: " + answer->why;
            }
        }
        return false;
    }

    /// RFC 7672 section 2.2: where an alias leads first, then the alias; neither without proof. A proven alias to what
    /// is not secure still has records of its own.
    asio::awaitable<void> ask_for_certificates(std::string canonical, bool are_secure) {
        const bool is_alias = canonical != host_.name;
        if (!are_secure && !is_alias) {
            co_return;
        }
        if (!are_secure) {
            const Answer alias = co_await resolver_.lookup(host_.name, RecordType::cname);
            if (alias.status == Status::bogus || alias.status == Status::failed) {
                // Section 2.1.1: that it is not signed has to be known. No answer must not make it so.
                host_.problem = "whether the alias " + host_.name + " is signed cannot be known: " + alias.why;
                co_return;
            }
            if (alias.status != Status::found || !alias.secure) {
                co_return;
            }
        }
        if (are_secure && is_alias) {
            const bool is_settled = co_await ask_at(canonical);
            if (is_settled) {
                co_return;
            }
        }
        co_await ask_at(host_.name);
    }

    /// True: nothing more is to be asked.
    asio::awaitable<bool> ask_at(std::string base) {
        std::string name = "_" + std::to_string(question_.port) + "._tcp." + base;
        const Answer answer = co_await resolver_.lookup(name, RecordType::tlsa);
        if (answer.status == Status::bogus || answer.status == Status::failed) {
            // RFC 7672 section 2.1: who keeps the records back must not get the mail for that.
            host_.problem = "the TLSA records of " + base + " cannot be had: " + answer.why;
            co_return true;
        }
        if (answer.status != Status::found || !answer.secure) {
            co_return false;
        }
        Security security = host_.security;
        security.host = base;
        host_.security = secured_by(answer.all<dns::Tlsa>(), std::move(security));
        if (host_.security.dane) {
            host_.security.dane->names = {question_.domain, host_.name};
        }
        co_return true;
    }

    dns::Resolver& resolver_;
    const HostQuestion question_;
    const std::shared_ptr<const Options> options_;
    Host host_;
};

}  // namespace

Security secured_by(const std::vector<dns::Tlsa>& records, Security otherwise) {
    Security::Dane dane;
    for (const dns::Tlsa& record : records) {
        if (is_usable(record)) {
            dane.records.push_back({record.usage, record.selector, record.matching, record.data});
        }
    }
    if (!dane.records.empty()) {
        otherwise.tls = Security::Tls::required;
        otherwise.dane = std::move(dane);
    } else if (otherwise.tls == Security::Tls::opportunistic) {
        otherwise.tls = Security::Tls::encrypted;
    }
    return otherwise;
}

Host literal_host(const std::string& ip, const Options& options) {
    Host host;
    host.security = usual_security({}, {}, options);
    if (dns::reverse_name(ip)) {  // it is an address
        take_addresses(host, {ip}, options);
    }
    return host;
}

asio::awaitable<Host> find_host(dns::Resolver& resolver, HostQuestion question,
                                std::shared_ptr<const Options> options) {
    Finder finder(resolver, std::move(question), std::move(options));
    Host host = co_await finder.find();
    co_return host;
}

}  // namespace postern::outgoing
