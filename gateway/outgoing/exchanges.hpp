// Which hosts take mail for a domain, from the answer to the question for its MX records. Pure.
//
// Source: RFC 5321 section 5.1 (order, implicit MX, ourselves among them), RFC 7505 (null MX).
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gateway/dns/resolver.hpp"
#include "queue/mail/reply.hpp"
#include "queue/mail/result.hpp"

namespace postern::outgoing {

struct Exchange {
    std::string host;
    std::uint16_t preference = 0;
    bool is_implicit = false;  ///< the domain itself, which has no MX record
    friend bool operator==(const Exchange&, const Exchange&) = default;
};

/// In the order in which they are to be tried: the lowest preference first, equal ones as chance wills. Those that are
/// not better than `hostname` itself are left out, and all behind the tenth. At least one; else the reply (4xx or 5xx)
/// that its recipients get.
[[nodiscard]] Result<std::vector<Exchange>, mail::Reply> exchanges_of(const std::string& domain,
                                                                      const dns::Answer& answer,
                                                                      const std::string& hostname,
                                                                      std::mt19937_64& chance);

/// What is told of a domain whose mail would come back to this gateway.
[[nodiscard]] mail::Reply goes_in_a_circle(const std::string& domain);

}  // namespace postern::outgoing
