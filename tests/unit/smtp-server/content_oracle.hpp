// What content must become, said the slow and simple way: on the whole input at once, with searches. The state machine
// is held against it by the tests and the fuzz targets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "smtp-server/detail/content.hpp"

namespace postern::smtp_server::detail {

struct Expected {
    std::string content;
    ContentFacts facts;
};

inline std::uint32_t count_received(std::string_view content) {
    std::uint32_t count = 0;
    while (!content.empty()) {
        const std::string_view line = content.substr(0, content.find("\r\n"));
        if (line.empty()) {
            break;
        }
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos) {
            std::string name(line.substr(0, colon));
            name.erase(name.find_last_not_of(" \t") + 1);
            std::transform(name.begin(), name.end(), name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
            count += name == "received" ? 1U : 0U;
        }
        content.remove_prefix(std::min(content.size(), line.size() + 2));
    }
    return count;
}

/// `text`: content as it came, without stuffed dots. A CR at its very end is a bare one.
inline Expected expected_content(std::string_view text) {
    Expected expected;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool pair = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
        if (pair || text[i] == '\r' || text[i] == '\n') {
            expected.content += "\r\n";
            expected.facts.has_bare_newline |= !pair;
            i += pair ? 1U : 0U;
        } else {
            expected.content += text[i];
        }
        expected.facts.has_8bit |= static_cast<unsigned char>(text[i]) > 127;
        expected.facts.has_nul |= text[i] == '\0';
    }
    expected.facts.size = expected.content.size();
    expected.facts.received_headers = count_received(expected.content);
    expected.facts.begins_with_fold = !text.empty() && (text[0] == ' ' || text[0] == '\t');
    return expected;
}

/// What stands before CRLF.CRLF, its dots unstuffed, and the octets consumed with the end. nullopt: no end in `wire`.
struct Unstuffed {
    std::string text;
    std::size_t consumed = 0;
};
inline std::optional<Unstuffed> unstuffed(std::string_view wire) {
    const std::string all = "\r\n" + std::string(wire);  // the CRLF of the DATA line begins the first line
    const std::size_t end = all.find("\r\n.\r\n");
    if (end == std::string::npos) {
        return std::nullopt;
    }
    Unstuffed result{all.substr(0, end + 2), end + 3};
    for (std::size_t at = 0; (at = result.text.find("\r\n.", at)) != std::string::npos; at += 2) {
        result.text.erase(at + 2, 1);
    }
    result.text.erase(0, 2);
    return result;
}

}  // namespace postern::smtp_server::detail
