// Records of the domain name system. The first octet of the input chooses the type.
//
// Invariants: a value or none; a name in it has no control octet, no capital letter and at most what can be asked for
// or what is written with backslashes; an address is one.
#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "gateway/dns/names.hpp"
#include "gateway/dns/records.hpp"
#include "tests/fuzz/expect.hpp"

namespace {

using namespace postern::dns;

void check_name(const DomainName& name) {
    POSTERN_EXPECT(std::all_of(name.text.begin(), name.text.end(),
                               [](char c) { return c > ' ' && c < '\x7f' && !(c >= 'A' && c <= 'Z'); }));
    const bool is_escaped = name.text.find('\\') != std::string::npos;
    POSTERN_EXPECT(name.text.empty() || is_escaped || is_name(name.text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    constexpr std::array types{RecordType::a,   RecordType::aaaa, RecordType::cname, RecordType::mx,
                               RecordType::ptr, RecordType::tlsa, RecordType::txt};
    const RecordType type = types.at(data[0] % types.size());
    const std::string_view octets(reinterpret_cast<const char*>(data + 1), size - 1);
    const auto record = parse_record(type, octets);
    if (!record) {
        return 0;
    }
    if (const auto* name = std::get_if<DomainName>(&*record)) {
        check_name(*name);
    } else if (const auto* mx = std::get_if<MailExchanger>(&*record)) {
        check_name(mx->host);
    } else if (const auto* address = std::get_if<Address>(&*record)) {
        POSTERN_EXPECT(reverse_name(address->text).has_value());
    } else if (const auto* text = std::get_if<Text>(&*record)) {
        POSTERN_EXPECT(text->text.size() < octets.size() || octets.empty());
    } else {
        POSTERN_EXPECT(!std::get<Tlsa>(*record).data.empty());
    }
    return 0;
}
