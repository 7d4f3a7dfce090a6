// Mailbox::parse: a value or a declared error; a value reads back as itself and holds nothing that could break a line.
#include <algorithm>

#include "queue/mail/mailbox.hpp"
#include "queue/mail/utf8.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern::mail;

namespace {

void check(std::string_view text, Utf8 utf8) {
    const auto mailbox = Mailbox::parse(text, utf8);
    if (!mailbox) {
        POSTERN_EXPECT(!describe(mailbox.error()).empty());
        return;
    }
    const std::string written = mailbox->to_string();
    const auto again = Mailbox::parse(written, utf8);
    POSTERN_EXPECT(again && *again == *mailbox);
    POSTERN_EXPECT(mailbox->local_part().size() <= 64 && mailbox->domain().size() <= 255);
    POSTERN_EXPECT(is_domain(mailbox->domain(), utf8) && mailbox->domain_key().size() == mailbox->domain().size());
    POSTERN_EXPECT(mailbox->unquoted_local_part().size() <= mailbox->local_part().size());
    POSTERN_EXPECT(utf8 == Utf8::allowed || mailbox->is_ascii());
    std::string_view rest = written;
    while (!rest.empty()) {
        const std::size_t length = utf8_length(rest);
        POSTERN_EXPECT(length > 0 && !is_unsafe_character(rest.substr(0, length)));
        rest.remove_prefix(length);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check(text, Utf8::refused);
    check(text, Utf8::allowed);
    return 0;
}
