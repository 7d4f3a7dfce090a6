#include "gateway/outgoing/exchanges.hpp"

#include <algorithm>

#include "gateway/dns/names.hpp"

namespace postern::outgoing {

using mail::EnhancedStatus;
using mail::Reply;

namespace {

/// Each one costs lookups, and a stranger's answer may name thousands. Who is not there with ten is not there. (Postfix
/// stops at 5 addresses, smtp_mx_address_limit.)
constexpr std::size_t exchanges_max = 10;

using Found = Result<std::vector<Exchange>, Reply>;

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

/// RFC 5321 section 5.1: hosts that are no better than ourselves would only give the mail back.
void leave_out_from(std::vector<Exchange>& exchanges, const std::string& hostname) {
    const auto own = std::find_if(exchanges.begin(), exchanges.end(),
                                  [&](const Exchange& exchange) { return exchange.host == hostname; });
    if (own != exchanges.end()) {
        const std::uint16_t preference = own->preference;
        std::erase_if(exchanges, [preference](const Exchange& exchange) { return exchange.preference >= preference; });
    }
}

Found sorted(const std::string& domain, const std::vector<dns::MailExchanger>& records, const std::string& hostname,
             std::mt19937_64& chance) {
    if (records.size() == 1 && records.front().host.text.empty()) {
        return Found(boost::system::in_place_error,
                     Reply(556, EnhancedStatus(5, 1, 10), domain + " takes no mail: it has a null MX (RFC 7505)"));
    }
    std::vector<Exchange> exchanges;
    for (const dns::MailExchanger& record : records) {
        if (dns::is_host(record.host.text)) {
            exchanges.push_back({record.host.text, record.preference, false});
        }
    }
    if (exchanges.empty()) {
        return Found(boost::system::in_place_error,
                     Reply(550, EnhancedStatus(5, 4, 4), "no MX record of " + domain + " names a host"));
    }
    std::shuffle(exchanges.begin(), exchanges.end(), chance);
    std::stable_sort(exchanges.begin(), exchanges.end(),
                     [](const Exchange& a, const Exchange& b) { return a.preference < b.preference; });
    leave_out_from(exchanges, lower(hostname));
    if (exchanges.empty()) {
        return Found(boost::system::in_place_error, goes_in_a_circle(domain));
    }
    exchanges.resize(std::min(exchanges.size(), exchanges_max));
    return Found(boost::system::in_place_value, std::move(exchanges));
}

}  // namespace

Reply goes_in_a_circle(const std::string& domain) {
    return {554, EnhancedStatus(5, 4, 6),
            "mail for " + domain + " would come back to this server, which is not its own"};
}

Found exchanges_of(const std::string& domain, const dns::Answer& answer, const std::string& hostname,
                   std::mt19937_64& chance) {
    switch (answer.status) {
        case dns::Status::found:
            return sorted(domain, answer.all<dns::MailExchanger>(), hostname, chance);
        case dns::Status::no_data: {
            if (domain == lower(hostname)) {
                return Found(boost::system::in_place_error, goes_in_a_circle(domain));
            }
            return Found(boost::system::in_place_value, std::vector<Exchange>{{domain, 0, true}});
        }
        case dns::Status::no_such_name:
            return Found(boost::system::in_place_error,
                         Reply(550, EnhancedStatus(5, 1, 2), "the domain " + domain + " does not exist"));
        case dns::Status::bogus:
            return Found(boost::system::in_place_error,
                         Reply(451, EnhancedStatus(4, 4, 3),
                               "what DNS says of the MX of " + domain + " is forged or badly signed: " + answer.why));
        case dns::Status::failed:
            break;
    }
    return Found(boost::system::in_place_error,
                 Reply(451, EnhancedStatus(4, 4, 3), "the MX of " + domain + " is not known: " + answer.why));
}

}  // namespace postern::outgoing
