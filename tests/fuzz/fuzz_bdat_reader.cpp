// BdatReader against the oracle: content and facts, however the chunks are cut.
#include "smtp-server/detail/bdat_reader.hpp"

#include "tests/fuzz/cuts.hpp"
#include "tests/fuzz/expect.hpp"
#include "tests/unit/smtp-server/content_oracle.hpp"

using namespace postern;
using namespace postern::smtp_server::detail;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    std::string_view rest = fuzz::Cuts::content(input);
    const Expected expected = expected_content(rest);
    fuzz::Cuts cuts(input);
    BdatReader reader;
    std::string content;
    while (!rest.empty()) {
        const std::string_view piece = cuts.next(rest);
        reader.feed(piece, content);
        rest.remove_prefix(piece.size());
    }
    reader.finish(content);
    POSTERN_EXPECT(content == expected.content);
    POSTERN_EXPECT(reader.facts() == expected.facts);
    return 0;
}
