// The collection of problems, and how one is written.
#include "gateway/config/detail/problems.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "queue/mail/printable.hpp"

namespace postern::config {

std::string Problem::to_string() const {
    const std::string name = mail::printable(file.native());
    if (line == 0) {
        return fmt::format("{}: {}", name, text);
    }
    return fmt::format("{}:{}:{}: {}", name, line, column, text);
}

namespace detail {
namespace {

std::vector<Problem> in_order(std::vector<Problem> problems) {
    std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    return problems;
}

}  // namespace

void Problems::error(Position at, std::string text) {
    errors_.push_back(Problem{file_, at.line, at.column, std::move(text)});
}

void Problems::warning(Position at, std::string text) {
    warnings_.push_back(Problem{file_, at.line, at.column, std::move(text)});
}

std::vector<Problem> Problems::take_errors() { return in_order(std::move(errors_)); }
std::vector<Problem> Problems::take_warnings() { return in_order(std::move(warnings_)); }

}  // namespace detail
}  // namespace postern::config
