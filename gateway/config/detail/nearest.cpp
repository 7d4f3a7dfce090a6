// Edit distance over short words (optimal string alignment).
#include "gateway/config/detail/nearest.hpp"

#include <algorithm>
#include <array>

#include "gateway/config/detail/names.hpp"

namespace postern::config::detail {
namespace {

// Above these a guess is not worth its time: a hostile file could ask for millions.
constexpr std::size_t word_octets_max = 64;
constexpr std::size_t known_max = 200;

using Row = std::array<std::size_t, word_octets_max + 1>;

std::size_t distance(std::string_view a, std::string_view b) {
    Row before_last{};
    Row last{};
    Row row{};
    for (std::size_t j = 0; j <= b.size(); ++j) {
        last.at(j) = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = last.at(j - 1) + (a[i - 1] == b[j - 1] ? 0 : 1);
            row.at(j) = std::min({last.at(j) + 1, row.at(j - 1) + 1, replaced});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row.at(j) = std::min(row.at(j), before_last.at(j - 2) + 1);
            }
        }
        before_last = last;
        last = row;
    }
    return last.at(b.size());
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
    if (word.empty() || word.size() > word_octets_max) {
        return std::nullopt;
    }
    const std::string lower = ascii_lower(word);
    std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
    const std::string* found = nullptr;
    const std::size_t count = std::min(known.size(), known_max);
    for (std::size_t i = 0; i < count; ++i) {
        const std::string& candidate = known[i];
        const std::size_t least = std::max(candidate.size(), word.size()) - std::min(candidate.size(), word.size());
        if (candidate.size() > word_octets_max || least >= best) {
            continue;
        }
        // Letter case is checked by the caller, so words that differ in it alone are the best guess of all.
        const std::size_t edits = distance(lower, ascii_lower(candidate));
        // A guess that keeps nothing of what was written is none.
        if (edits < best && edits < std::max(candidate.size(), word.size())) {
            best = edits;
            found = &candidate;
        }
    }
    return found == nullptr ? std::nullopt : std::optional<std::string>(*found);
}

std::string proposal(std::string_view word, const std::vector<std::string>& known) {
    const auto meant = nearest(word, known);
    return meant ? "; did you mean `" + *meant + "`?" : std::string();
}

}  // namespace postern::config::detail
