// Types and ranges of single values; see the header.
#include "gateway/config/detail/section.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "gateway/config/detail/nearest.hpp"
#include "gateway/config/detail/units.hpp"

namespace postern::config::detail {
namespace {

/// Digits alone: no sign, no spare zero (which YAML 1.1 reads as octal), no underscores.
std::optional<std::uint64_t> parse_number(const std::string& text) {
    std::uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    const bool has_spare_zero = text.size() > 1 && text.front() == '0';
    return error == std::errc() && stop == end && !has_spare_zero ? std::optional(number) : std::nullopt;
}

std::optional<double> parse_decimal(const std::string& text) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    return error == std::errc() && stop == end && std::isfinite(number) ? std::optional(number) : std::nullopt;
}

std::string hint_of(const UnitError& error) {
    return error.meant.empty() ? std::string() : fmt::format("; did you mean `{}`?", error.meant);
}

}  // namespace

Section::Section(const Node& node, Problems& problems)
    : node_(node),
      problems_(problems),
      is_usable_(node.kind == Node::Kind::mapping || node.kind == Node::Kind::nothing) {
    if (!is_usable_ && node.kind != Node::Kind::refused) {
        problems_.error(node.at, fmt::format("expected a mapping (lines of `key: value`), found {}", describe(node)));
    }
}

std::optional<std::size_t> Section::index_of(std::string_view key) const {
    for (std::size_t i = 0; i < node_.keys.size(); ++i) {
        if (node_.keys[i].text == key) {
            return i;
        }
    }
    return std::nullopt;
}

const Node* Section::find(std::string_view key) {
    asked_.emplace_back(key);
    const auto index = index_of(key);
    if (!index || node_.items[*index].kind == Node::Kind::refused) {
        return nullptr;
    }
    return &node_.items[*index];
}

Position Section::at(std::string_view key) const {
    const auto index = index_of(key);
    return index ? node_.keys[*index].at : node_.at;
}

void Section::wrong(std::string_view key, const Node& node, const std::string& expected, const std::string& hint) {
    problems_.error(node.at, fmt::format("`{}`: expected {}, found {}{}", key, expected, describe(node), hint));
}

const Node* Section::plain(std::string_view key, const std::string& expected) {
    const Node* node = find(key);
    if (node != nullptr && (node->kind != Node::Kind::scalar || node->quoted)) {
        wrong(key, *node, expected, node->kind == Node::Kind::scalar ? "; take the quotes off" : "");
        return nullptr;
    }
    return node;
}

void Section::number(std::string_view key, std::uint64_t& value, Range<std::uint64_t> range) {
    const std::string expected = fmt::format("a whole number from {} to {}", range.least, range.most);
    const Node* node = plain(key, expected);
    if (node == nullptr) {
        return;
    }
    const auto number = parse_number(node->text);
    if (!number || *number < range.least || *number > range.most) {
        wrong(key, *node, expected);
        return;
    }
    value = *number;
}

void Section::number(std::string_view key, std::uint32_t& value, Range<std::uint32_t> range) {
    std::uint64_t wide = value;
    number(key, wide, Range<std::uint64_t>{range.least, range.most});
    value = static_cast<std::uint32_t>(wide);
}

void Section::decimal(std::string_view key, double& value, Range<double> range) {
    const std::string expected = fmt::format("a number from {} to {}", range.least, range.most);
    const Node* node = plain(key, expected);
    if (node == nullptr) {
        return;
    }
    const auto number = parse_decimal(node->text);
    if (!number || *number < range.least || *number > range.most) {
        wrong(key, *node, expected);
        return;
    }
    value = *number;
}

void Section::size(std::string_view key, std::uint64_t& value, Range<std::uint64_t> range) {
    const std::string expected =
        fmt::format("a size from {} to {}", size_to_text(range.least), size_to_text(range.most));
    const Node* node = find(key);
    if (node == nullptr) {
        return;
    }
    if (node->kind != Node::Kind::scalar) {
        wrong(key, *node, expected);
        return;
    }
    const auto octets = parse_size(node->text);
    if (!octets || *octets < range.least || *octets > range.most) {
        wrong(key, *node, expected, octets ? std::string() : hint_of(octets.error()));
        return;
    }
    value = *octets;
}

void Section::duration(std::string_view key, std::chrono::milliseconds& value, Range<std::chrono::milliseconds> range) {
    const std::string expected =
        fmt::format("a duration from {} to {}", detail::to_text(range.least), detail::to_text(range.most));
    const Node* node = find(key);
    if (node == nullptr) {
        return;
    }
    if (node->kind != Node::Kind::scalar) {
        wrong(key, *node, expected);
        return;
    }
    const auto duration = parse_duration(node->text);
    if (!duration || *duration < range.least || *duration > range.most) {
        wrong(key, *node, expected, duration ? std::string() : hint_of(duration.error()));
        return;
    }
    value = *duration;
}

std::optional<std::string> Section::text(std::string_view key, std::string_view expected) {
    const Node* node = find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    if (node->kind != Node::Kind::scalar || node->text.empty()) {
        wrong(key, *node, std::string(expected));
        return std::nullopt;
    }
    return node->text;
}

void Section::path(std::string_view key, std::filesystem::path& value) {
    const auto read = text(key, "an absolute path");
    if (!read) {
        return;
    }
    // Relative to what? The gateway and the command line run in different folders and would not find the same file.
    if (read->front() != '/') {
        wrong(key, *find(key), "an absolute path");
        return;
    }
    value = *read;
}

std::optional<std::size_t> Section::choice_index(std::string_view key, const std::vector<std::string>& words) {
    const Node* node = find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    if (node->kind == Node::Kind::scalar) {
        const auto found = std::find(words.begin(), words.end(), node->text);
        if (found != words.end()) {
            return static_cast<std::size_t>(found - words.begin());
        }
    }
    wrong(key, *node, fmt::format("{}{}", words.size() > 1 ? "one of " : "", fmt::join(words, ", ")),
          node->kind == Node::Kind::scalar && words.size() > 1 ? proposal(node->text, words) : std::string());
    return std::nullopt;
}

const std::vector<Node>& Section::list(std::string_view key, std::string_view expected) {
    static const std::vector<Node> none;
    const Node* node = find(key);
    if (node == nullptr) {
        return none;
    }
    if (node->kind != Node::Kind::sequence) {
        wrong(key, *node, std::string(expected));
        return none;
    }
    return node->items;
}

void Section::finish() {
    std::sort(asked_.begin(), asked_.end());
    asked_.erase(std::unique(asked_.begin(), asked_.end()), asked_.end());
    for (const Node::Key& key : node_.keys) {
        if (std::binary_search(asked_.begin(), asked_.end(), key.text)) {
            continue;
        }
        const std::string meant = proposal(key.text, asked_);
        problems_.error(
            key.at, fmt::format("unknown key {}{}", quote(key.text),
                                meant.empty() ? fmt::format("; expected one of {}", fmt::join(asked_, ", ")) : meant));
    }
}

std::optional<std::string> item_text(const Node& item, std::string_view list, std::string_view expected,
                                     Problems& problems) {
    if (item.kind == Node::Kind::refused) {
        return std::nullopt;
    }
    if (item.kind != Node::Kind::scalar || item.text.empty()) {
        problems.error(item.at, fmt::format("`{}`: expected {}, found {}", list, expected, describe(item)));
        return std::nullopt;
    }
    return item.text;
}

}  // namespace postern::config::detail
