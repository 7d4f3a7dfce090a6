// One mapping of the file, read strictly: each key is asked for once, with its type and range; what nobody asked for is
// unknown.
//
//     Section section(node, problems);
//     section.number("connections", limits.connections, {1, 1'000'000});
//     section.finish();
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/config/detail/node.hpp"
#include "gateway/config/detail/problems.hpp"

namespace postern::config::detail {

template <class T>
struct Range {
    T least;
    T most;
};

class Section {
public:
    /// A node without a value is a mapping without keys: `limits:` with everything below it commented out.
    Section(const Node& node, Problems& problems);

    /// The value of `key`, or nullptr when it is absent. Every reader below goes through here.
    [[nodiscard]] const Node* find(std::string_view key);
    /// Where the key stands, or where the mapping does when it is absent.
    [[nodiscard]] Position at(std::string_view key) const;
    [[nodiscard]] bool has(std::string_view key) const { return index_of(key).has_value(); }
    /// False when the mapping itself was wrong (and reported): what is missing from it is no news.
    [[nodiscard]] bool is_usable() const noexcept { return is_usable_; }

    // Readers: leave `value` alone when the key is absent or wrong.
    void number(std::string_view key, std::uint32_t& value, Range<std::uint32_t> range);
    void number(std::string_view key, std::uint64_t& value, Range<std::uint64_t> range);
    void decimal(std::string_view key, double& value, Range<double> range);
    void size(std::string_view key, std::uint64_t& value, Range<std::uint64_t> range);
    /// A range that begins at 0 allows the bare `0`.
    void duration(std::string_view key, std::chrono::milliseconds& value, Range<std::chrono::milliseconds> range);
    /// Any scalar but an empty one. `expected`: "a host name".
    [[nodiscard]] std::optional<std::string> text(std::string_view key, std::string_view expected);
    /// An absolute path.
    void path(std::string_view key, std::filesystem::path& value);
    template <class E>
    void choice(std::string_view key, E& value, std::initializer_list<std::pair<std::string_view, E>> words) {
        std::vector<std::string> names;
        for (const auto& word : words) {
            names.emplace_back(word.first);
        }
        if (const auto index = choice_index(key, names)) {
            value = (words.begin() + *index)->second;
        }
    }
    /// The items of a list; empty when the key is absent or wrong.
    [[nodiscard]] const std::vector<Node>& list(std::string_view key, std::string_view expected);

    /// Reports the keys that nobody asked for.
    void finish();

private:
    [[nodiscard]] std::optional<std::size_t> index_of(std::string_view key) const;
    [[nodiscard]] std::optional<std::size_t> choice_index(std::string_view key, const std::vector<std::string>& words);
    /// The value as an unquoted scalar, or a problem.
    [[nodiscard]] const Node* plain(std::string_view key, const std::string& expected);
    void wrong(std::string_view key, const Node& node, const std::string& expected, const std::string& hint = {});

    const Node& node_;
    Problems& problems_;
    std::vector<std::string> asked_;
    bool is_usable_;
};

/// The text of a list's item, or a problem that names the list.
[[nodiscard]] std::optional<std::string> item_text(const Node& item, std::string_view list, std::string_view expected,
                                                   Problems& problems);

}  // namespace postern::config::detail
