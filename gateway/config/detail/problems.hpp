// Collects what is wrong with one file, from all sections, and puts it in the file's order.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gateway/config/config.hpp"
#include "gateway/config/detail/node.hpp"

namespace postern::config::detail {

class Problems {
public:
    explicit Problems(std::filesystem::path file) : file_(std::move(file)) {}

    void error(Position at, std::string text);
    void warning(Position at, std::string text);

    [[nodiscard]] bool has_errors() const noexcept { return !errors_.empty(); }
    [[nodiscard]] std::vector<Problem> take_errors();    ///< sorted by position
    [[nodiscard]] std::vector<Problem> take_warnings();  ///< sorted by position

private:
    std::filesystem::path file_;
    std::vector<Problem> errors_;
    std::vector<Problem> warnings_;
};

}  // namespace postern::config::detail
