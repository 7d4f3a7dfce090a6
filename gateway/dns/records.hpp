// Records of the domain name system, from their octets. Strangers write these: what does not follow its grammar is no
// record.
//
// Source: RFC 1035 sections 3.1, 3.3 and 3.4 (names, MX, PTR, CNAME, TXT, A), RFC 3596 (AAAA), RFC 6698 section 2.1
// (TLSA).
// Threads: any; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace postern::dns {

/// By their numbers in the registry.
enum class RecordType : std::uint16_t { a = 1, cname = 5, ptr = 12, mx = 15, txt = 16, aaaa = 28, tlsa = 52 };

[[nodiscard]] std::string_view to_string(RecordType type);

/// Of A and AAAA: "192.0.2.1", "2001:db8::1".
struct Address {
    std::string text;
    friend bool operator==(const Address&, const Address&) = default;
};

/// Of PTR and CNAME. Lower case, no dot at the end; the root is "". Octets that is_name() does not allow are written as
/// a backslash and three digits, and a dot inside a label too: such a name is none that can be asked for.
struct DomainName {
    std::string text;
    friend bool operator==(const DomainName&, const DomainName&) = default;
};

struct MailExchanger {
    std::uint16_t preference = 0;  ///< the lowest first
    DomainName host;               ///< the root: "null MX" (RFC 7505), if it is the only one
    friend bool operator==(const MailExchanger&, const MailExchanger&) = default;
};

/// All strings of one TXT record, one behind the other. Any octets.
struct Text {
    std::string text;
    friend bool operator==(const Text&, const Text&) = default;
};

struct Tlsa {
    std::uint8_t usage = 0;
    std::uint8_t selector = 0;
    std::uint8_t matching = 0;
    std::string data;  ///< octets
    friend bool operator==(const Tlsa&, const Tlsa&) = default;
};

using Record = std::variant<Address, DomainName, MailExchanger, Text, Tlsa>;

/// The value of one record of `type`; names in it are not compressed. nullopt: it is none.
[[nodiscard]] std::optional<Record> parse_record(RecordType type, std::string_view octets);

}  // namespace postern::dns
