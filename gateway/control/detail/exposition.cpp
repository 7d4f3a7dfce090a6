#include "gateway/control/detail/exposition.hpp"

#include <fmt/format.h>

#include "queue/mail/printable.hpp"

namespace postern::control::detail {
namespace {

std::string quoted(std::string_view value) {
    std::string text = "\"";
    for (const char c : mail::printable(value)) {
        if (c == '\\' || c == '"') {
            text += '\\';
        }
        text += c;
    }
    return text + '"';
}

std::string braced(std::initializer_list<Label> labels) {
    std::string text;
    for (const Label& label : labels) {
        text += text.empty() ? '{' : ',';
        text += label.name;
        text += '=';
        text += quoted(label.value);
    }
    return text.empty() ? text : text + '}';
}

}  // namespace

void Exposition::family(std::string_view name, MetricType type, std::string_view help) {
    name_ = name;
    told_.clear();
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                         type == MetricType::counter ? "counter" : "gauge");
}

void Exposition::sample(std::uint64_t value, std::initializer_list<Label> labels) {
    line(fmt::to_string(value), labels);
}
void Exposition::sample(std::int64_t value, std::initializer_list<Label> labels) {
    line(fmt::to_string(value), labels);
}
void Exposition::sample(double value, std::initializer_list<Label> labels) { line(fmt::format("{}", value), labels); }
void Exposition::sample(bool value, std::initializer_list<Label> labels) { line(value ? "1" : "0", labels); }

void Exposition::line(std::string_view value, std::initializer_list<Label> labels) {
    std::string key = braced(labels);
    const auto [place, is_new] = told_.insert(std::move(key));
    if (is_new) {
        text_ += fmt::format("{}{} {}\n", name_, *place, value);
    }
}

}  // namespace postern::control::detail
