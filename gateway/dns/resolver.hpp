// Whom to ask about a name, and what the answer can be.
//
//     const dns::Answer answer = co_await resolver.lookup("example.com", dns::RecordType::mx);
//     if (answer.status == dns::Status::found) { for (const auto& mx : answer.all<dns::MailExchanger>()) ... }
//
// Source: RFC 1034 section 3.7, RFC 2308 (a name that does not exist, and one without such a record), RFC 4035 section
// 4.3 (secure, insecure, bogus).
// Threads: any, see lookup().
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "gateway/dns/records.hpp"

namespace postern::dns {

enum class Status : std::uint8_t {
    found,         ///< at least one record
    no_data,       ///< the name exists, without a record of this type
    no_such_name,  ///< NXDOMAIN; also a name that cannot exist (is_name())
    bogus,         ///< the zone is signed and the answer does not match: forged, or badly signed. Never to be used, and
                   ///< never to be taken for "no data"
    failed,        ///< nothing is known: no answer in time, or the servers could not say
};

struct Answer {
    Status status = Status::failed;
    /// Proven by signatures up to the trust anchor, and so is the way through aliases; also with no_data and
    /// no_such_name.
    bool secure = false;
    std::vector<Record> records;  ///< not empty with `found` alone
    std::string canonical_name;   ///< where aliases (CNAME) led; the name that was asked for without one
    std::string why;              ///< with bogus and failed, for log and operator. A stranger's text, perhaps.

    /// The records, which are all of one type.
    template <class T>
    [[nodiscard]] std::vector<T> all() const {
        std::vector<T> values;
        for (const Record& record : records) {
            if (const T* const value = std::get_if<T>(&record)) {
                values.push_back(*value);
            }
        }
        return values;
    }
};

class Resolver {
public:
    virtual ~Resolver() = default;

    /// Asks for the records of `type` of `name` (text without a trailing dot, in ASCII; case does not matter). Never
    /// throws for what the network does; ends within a time that the implementation has, or at once when the coroutine
    /// is cancelled (as `failed`).
    ///
    /// From any coroutine whose executor runs one handler at a time (an io_context with one thread); it goes on there.
    /// The resolver may go before a lookup has ended: that one fails.
    virtual boost::asio::awaitable<Answer> lookup(std::string name, RecordType type) = 0;
};

}  // namespace postern::dns
