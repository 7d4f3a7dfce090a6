// A file of recipients: a list or an error that names a line, and each entry of a list that is an address is in it.
#include <cstdint>
#include <string_view>

#include "gateway/recipients/listed.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto read = recipients::read_addresses(text, "file");
    if (read.has_error()) {
        POSTERN_EXPECT(read.error().starts_with("file:"));
        return 0;
    }
    POSTERN_EXPECT((*read)->size() > 0);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const auto address = mail::Mailbox::parse(text.substr(at, end - at), mail::Utf8::allowed);
        if (address && !text.substr(at, end - at).starts_with('#')) {
            POSTERN_EXPECT((*read)->contains(*address));
        }
        at = end + 1;
    }
    return 0;
}
