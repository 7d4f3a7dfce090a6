// A YAML document as a plain tree with positions: all that the sections see of the file. Knows no YAML library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace postern::config::detail {

/// From 1; line 0: the file as a whole. Columns count octets.
struct Position {
    int line = 0;
    int column = 0;
};

struct Node {
    enum class Kind : std::uint8_t {
        nothing,  ///< `key:` with no value, or ~
        scalar,
        sequence,
        mapping,
        refused,  ///< already reported: readers say nothing more about it
    };
    struct Key {
        std::string text;
        Position at;
    };

    Kind kind = Kind::nothing;
    Position at;
    bool quoted = false;      ///< of a scalar: quoted or a block, so text and never a number
    std::string text;         ///< of a scalar
    std::vector<Key> keys;    ///< of a mapping: each key once, in the file's order
    std::vector<Node> items;  ///< of a sequence, or the values that belong to `keys`
};

/// What stands there, for "expected ..., found ...": "`abc`", "the text \"abc\"", "a list", "a mapping", "nothing".
[[nodiscard]] std::string describe(const Node& node);

/// A key or value of the file for a message: in backticks, short, without control characters.
[[nodiscard]] std::string quote(const std::string& text);

}  // namespace postern::config::detail
