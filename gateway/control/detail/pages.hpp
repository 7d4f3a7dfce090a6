// What each path of the metrics listener answers. Knows no socket and no HTTP library.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace postern::control::detail {

struct Answer {
    unsigned status = 200;
    std::string text;
    const char* content_type = "text/plain; charset=utf-8";
};

struct PageSources {
    std::function<std::optional<std::string>()> metrics;  ///< nullopt: not now
    std::function<std::string()> obstacle;                ///< why no mail is accepted; empty: it is
};

/// `method` as the request has it; `target` with or without a query, which is passed over.
[[nodiscard]] Answer answer_page(std::string_view method, std::string_view target, const PageSources& sources);

}  // namespace postern::control::detail
