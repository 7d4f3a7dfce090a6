// What a store says it can do: the keywords of its answer to LHLO. Read anew on each connection, never remembered
// beyond it. Source: RFC 2033 section 4.1, RFC 5321 section 4.1.1.1; the keywords' own RFCs beside them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "queue/mail/reply.hpp"

namespace postern::lmtp_client::detail {

struct Capabilities {
    bool pipelining = false;                      ///< RFC 2920
    bool chunking = false;                        ///< RFC 3030
    bool eight_bit_mime = false;                  ///< RFC 6152
    bool smtputf8 = false;                        ///< RFC 6531
    bool dsn = false;                             ///< RFC 3461
    bool starttls = false;                        ///< RFC 3207
    bool require_tls = false;                     ///< RFC 8689
    std::string_view login{};                     ///< RFC 4954: the best of login_mechanisms that is offered
    bool size = false;                            ///< RFC 1870
    std::uint64_t size_max = 0;                   ///< with size; 0: no fixed limit
    std::optional<std::uint32_t> recipients_max;  ///< RFC 9422: LIMITS RCPTMAX; at least 1

    /// `reply` is a 250 to LHLO. Its first line names the store; each further line is a keyword with parameters.
    /// Unknown keywords and parameters that cannot be read are passed over.
    [[nodiscard]] static Capabilities read(const mail::Reply& reply);
};

}  // namespace postern::lmtp_client::detail
