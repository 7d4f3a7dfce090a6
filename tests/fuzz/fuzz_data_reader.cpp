// DataReader against the oracle: where the data ends, what the content is, and its facts, however the input is cut.
#include "smtp-server/detail/data_reader.hpp"

#include "tests/fuzz/cuts.hpp"
#include "tests/fuzz/expect.hpp"
#include "tests/unit/smtp-server/content_oracle.hpp"

using namespace postern;
using namespace postern::smtp_server::detail;

namespace {

struct Outcome {
    std::string content;
    std::size_t consumed = 0;
    bool ended = false;
    ContentFacts facts;
};

Outcome read(std::string_view content, fuzz::Cuts cuts) {
    DataReader reader;
    Outcome outcome;
    while (!content.empty() && !outcome.ended) {
        const std::string_view piece = cuts.next(content);
        const auto fed = reader.feed(piece, outcome.content);
        POSTERN_EXPECT(fed.ended || fed.consumed == piece.size());
        outcome.consumed += fed.consumed;
        outcome.ended = fed.ended;
        content.remove_prefix(piece.size());
    }
    outcome.facts = reader.facts();
    return outcome;
}

bool has_bare_newline(std::string_view content) {
    for (std::size_t i = 0; i < content.size(); ++i) {
        const bool cr_before = i > 0 && content[i - 1] == '\r';
        if ((content[i] == '\n') != cr_before) {
            return true;
        }
    }
    return !content.empty() && content.back() == '\r';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::string_view wire = fuzz::Cuts::content(input);
    const Outcome cut = read(wire, fuzz::Cuts(input));
    const Outcome whole = read(wire, fuzz::Cuts({}));
    POSTERN_EXPECT(cut.content == whole.content && cut.facts == whole.facts);
    POSTERN_EXPECT(cut.consumed == whole.consumed && cut.ended == whole.ended);
    POSTERN_EXPECT(!has_bare_newline(whole.content) && whole.facts.size == whole.content.size());
    const auto text = unstuffed(wire);
    POSTERN_EXPECT(whole.ended == text.has_value());
    if (text) {
        const Expected expected = expected_content(text->text);
        POSTERN_EXPECT(whole.content == expected.content && whole.facts == expected.facts);
        POSTERN_EXPECT(whole.consumed == text->consumed);
    }
    return 0;
}
