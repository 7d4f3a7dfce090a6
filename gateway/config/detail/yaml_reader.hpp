// YAML text to a plain tree. The only file behind which yaml-cpp is known.
//
// Of YAML what a configuration needs: one document of mappings, lists and scalars. Anchors, aliases, tags and keys that
// are not plain text are problems, so no small file can grow into a large tree. Duplicate keys are problems; the first
// one counts.
#pragma once

#include <optional>
#include <string_view>

#include "gateway/config/detail/node.hpp"
#include "gateway/config/detail/problems.hpp"

namespace postern::config::detail {

/// nullopt: a problem behind which nothing could be read. Otherwise the tree, perhaps with problems.
/// `text` has passed check_text().
[[nodiscard]] std::optional<Node> read_yaml(std::string_view text, Problems& problems);

}  // namespace postern::config::detail
