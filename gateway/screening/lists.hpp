// Lists of addresses in the DNS: what is asked, and what an answer says. Pure.
//
// Source: RFC 5782 sections 2.1 (addresses in 127.0.0.0/8, a reason in TXT), 2.4 (IPv6) and 5 (test entries).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/dns/resolver.hpp"

namespace postern::screening {

struct List {
    std::string zone;
    std::uint32_t weight = 0;
    std::vector<std::string> codes{};  ///< "127.0.0.2": those that count; empty: all
};

/// What an answer (A) for an address says. Nothing but addresses in 127.0.0.0/8 is one of a list: a zone that was given
/// up and sold answers with others, to everything. Nor are 127.0.0.1, which no list gives, and 127.255.255.0/24, by
/// which large lists say that they refuse to answer us.
[[nodiscard]] bool is_listed(const dns::Answer& answer, const List& list);

/// The list's own reason (TXT) as it can be said in a reply: printable ASCII, at most 200 octets. Empty: it gives none.
[[nodiscard]] std::string reason_of(const dns::Answer& answer);

}  // namespace postern::screening
