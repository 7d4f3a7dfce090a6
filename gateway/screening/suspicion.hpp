// Which clients look as if nobody had set them up to send mail. Pure.
//
// Source: RFC 5321 section 4.1.4 (HELO names the host, and a server may not refuse for that alone; so nobody is refused
// here, only asked to come again).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern::screening {

enum class ReverseName : std::uint8_t {
    unknown,      ///< not asked for, or no answer: nothing follows from it
    none,         ///< the address has none
    unconfirmed,  ///< it has one, which does not lead back to it
    confirmed,
};

/// What is known of a client.
struct ClientFacts {
    std::string address;  ///< IP address
    std::string helo;     ///< as said
    ReverseName reverse = ReverseName::unknown;
    std::string name{};      ///< with `confirmed` and `unconfirmed`
    std::int64_t score = 0;  ///< of lists in the DNS, those that speak for it subtracted
};

/// Why `client` is suspicious, in words that can be said to it: "your address has no name". nullopt: it is not.
/// `own_name`: the gateway's. `suspect_at`: the score from which on lists make it so.
[[nodiscard]] std::optional<std::string_view> suspicion(const ClientFacts& client, std::string_view own_name,
                                                        std::int64_t suspect_at);

/// Whether `name` was made from `address` by a rule, or says that it was given out to a customer ("pool", "dynamic").
[[nodiscard]] bool is_generic(std::string_view name, std::string_view address);

}  // namespace postern::screening
