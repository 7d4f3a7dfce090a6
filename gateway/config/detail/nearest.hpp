// What a mistyped word was meant to be.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::config::detail {

/// The word of `known` fewest edits (insert, delete, replace, swap neighbours) away from `word`, letter case aside; the
/// first of equals. nullopt: none is near enough to be a guess worth making (more than a third of the letters differ).
[[nodiscard]] std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

/// "; did you mean `x`?", or "" when nothing is near.
[[nodiscard]] std::string proposal(std::string_view word, const std::vector<std::string>& known);

}  // namespace postern::config::detail
