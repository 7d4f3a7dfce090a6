// Globs; see the header.
#include "queue/glob.hpp"

#include <algorithm>
#include <cstddef>

namespace postern::queue {
namespace {

constexpr char fold(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// The place behind the character at `at`: one octet, and what UTF-8 hangs on a leading one.
std::size_t next_character(std::string_view text, std::size_t at) noexcept {
    const bool leading = (static_cast<unsigned char>(text[at]) & 0xC0U) == 0xC0U;
    ++at;
    while (leading && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) {
        ++at;
    }
    return at;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) noexcept {
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t after_star = std::string_view::npos;  // where the pattern goes on behind its last '*'
    std::size_t star_end = 0;                         // how far that '*' reaches in the text for now
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            after_star = ++p;
            star_end = t;
        } else if (p < pattern.size() && pattern[p] == '?') {
            ++p;
            t = next_character(text, t);
        } else if (p < pattern.size() && fold(pattern[p]) == fold(text[t])) {
            ++p;
            ++t;
        } else if (after_star != std::string_view::npos) {
            // Only the last '*' need ever give way: what an earlier one could take, the last can take as well.
            star_end = next_character(text, star_end);
            p = after_star;
            t = star_end;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

bool contains_folded(std::string_view text, std::string_view needle) noexcept {
    const auto found = std::search(text.begin(), text.end(), needle.begin(), needle.end(),
                                   [](char a, char b) { return fold(a) == fold(b); });
    return found != text.end() || needle.empty();
}

std::string fold_ascii(std::string_view text) {
    std::string folded(text);
    std::transform(folded.begin(), folded.end(), folded.begin(), fold);
    return folded;
}

GlobSet::GlobSet(const std::vector<std::string>& patterns) {
    for (const std::string& pattern : patterns) {
        if (pattern.find_first_of("*?") == std::string::npos) {
            literals_.push_back(fold_ascii(pattern));
        } else {
            globs_.push_back(pattern);
        }
    }
    std::sort(literals_.begin(), literals_.end());
}

bool GlobSet::matches(std::string_view text) const {
    if (!literals_.empty() && std::binary_search(literals_.begin(), literals_.end(), fold_ascii(text))) {
        return true;
    }
    return std::any_of(globs_.begin(), globs_.end(),
                       [text](const std::string& glob) { return glob_match(glob, text); });
}

}  // namespace postern::queue
