// glob_match against the plain definition of a glob, on pattern and text cut out of the input at its first NUL.
#include <cstdint>
#include <vector>

#include "queue/glob.hpp"
#include "tests/fuzz/expect.hpp"

using namespace postern::queue;

namespace {

std::size_t character_at(std::string_view text, std::size_t at) {
    const auto is_rest = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U; };
    std::size_t end = at + 1;
    if ((static_cast<unsigned char>(text[at]) & 0xC0U) == 0xC0U) {
        while (end < text.size() && is_rest(end)) {
            ++end;
        }
    }
    return end;
}

/// Backwards: matches[t] says whether the pattern from p on matches the text from t on.
bool plainly(std::string_view pattern, std::string_view text) {
    std::vector<char> matches(text.size() + 1, 0);
    matches[text.size()] = 1;
    for (std::size_t p = pattern.size(); p-- > 0;) {
        std::vector<char> now(text.size() + 1, 0);
        for (std::size_t t = text.size() + 1; t-- > 0;) {
            if (pattern[p] == '*') {
                now[t] = static_cast<char>(matches[t] != 0 || (t < text.size() && now[character_at(text, t)] != 0));
            } else if (t < text.size() && pattern[p] == '?') {
                now[t] = matches[character_at(text, t)];
            } else if (t < text.size()) {
                now[t] = static_cast<char>(fold_ascii(pattern.substr(p, 1)) == fold_ascii(text.substr(t, 1)) &&
                                           matches[t + 1] != 0);
            }
        }
        matches = std::move(now);
    }
    return matches[0] != 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 200));
    const std::size_t cut = std::min(input.find('\0'), input.size());
    const std::string_view pattern = input.substr(0, cut);
    const std::string_view text = input.substr(std::min(cut + 1, input.size()));
    POSTERN_EXPECT(glob_match(pattern, text) == plainly(pattern, text));
    POSTERN_EXPECT(GlobSet({std::string(pattern)}).matches(text) == glob_match(pattern, text));
    POSTERN_EXPECT(contains_folded(text, pattern) == (fold_ascii(text).find(fold_ascii(pattern)) != std::string::npos));
    return 0;
}
