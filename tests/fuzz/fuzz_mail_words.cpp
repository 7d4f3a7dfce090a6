// Reply, EnhancedStatus, xtext and printable: no text makes a line of its own, and what is written reads back.
#include "queue/mail/dsn.hpp"
#include "queue/mail/enhanced_status.hpp"
#include "queue/mail/printable.hpp"
#include "queue/mail/reply.hpp"
#include "queue/mail/utf8.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern::mail;

namespace {

bool is_safe(std::string_view text) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0 || is_unsafe_character(text.substr(0, length))) {
            return false;
        }
        text.remove_prefix(length);
    }
    return true;
}

void check_wire(const Reply& reply) {
    std::string wire;
    reply.append_wire(wire);
    std::string_view rest = wire;
    POSTERN_EXPECT(!rest.empty());
    while (!rest.empty()) {
        const std::size_t end = rest.find("\r\n");
        POSTERN_EXPECT(end != std::string_view::npos && end + 2 <= 512);
        const std::string_view line = rest.substr(0, end);
        const bool last = end + 2 == rest.size();
        POSTERN_EXPECT(is_safe(line) && line.substr(0, 3) == "550");
        POSTERN_EXPECT(last ? line.size() == 3 || line[3] == ' ' : line[3] == '-');
        POSTERN_EXPECT(!reply.status() || line.substr(4, 5) == "5.1.1");
        rest.remove_prefix(end + 2);
    }
    POSTERN_EXPECT(reply.to_string().find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_wire(Reply(550, std::string(text)));
    check_wire(Reply(550, {5, 1, 1}, std::string(text)));
    POSTERN_EXPECT(decode_xtext(encode_xtext(text)) == text);
    if (const auto decoded = decode_xtext(text)) {
        POSTERN_EXPECT(decode_xtext(encode_xtext(*decoded)) == *decoded);
    }
    if (const auto status = EnhancedStatus::parse(text)) {
        POSTERN_EXPECT(status->to_string() == text);
    }
    POSTERN_EXPECT(is_safe(printable(text, 64)) && printable(text, 64).size() <= 4 * 64 + 3);
    return 0;
}
