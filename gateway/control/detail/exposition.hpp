// Text in the format that Prometheus scrapes (version 0.0.4): families of samples, each with its HELP and TYPE. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_set>

namespace postern::control::detail {

enum class MetricType : std::uint8_t { counter, gauge };

struct Label {
    std::string_view name;   ///< of ours
    std::string_view value;  ///< a stranger's text, perhaps: it is made valid UTF-8 without control characters
};

class Exposition {
public:
    /// Begins a family; what follows belongs to it. `help` is one line of ours.
    void family(std::string_view name, MetricType type, std::string_view help);
    void sample(std::uint64_t value, std::initializer_list<Label> labels = {});
    void sample(std::int64_t value, std::initializer_list<Label> labels = {});
    void sample(double value, std::initializer_list<Label> labels = {});
    void sample(bool value, std::initializer_list<Label> labels = {});

    /// A family of one sample without labels.
    template <class T>
    void single(std::string_view name, MetricType type, std::string_view help, T value) {
        family(name, type, help);
        sample(value);
    }

    [[nodiscard]] std::string take() && { return std::move(text_); }

private:
    /// A family tells each set of labels once: a second one would make the whole scrape invalid, so it is left out.
    void line(std::string_view value, std::initializer_list<Label> labels);

    std::string text_;
    std::string name_;
    std::unordered_set<std::string> told_;  ///< in this family
};

}  // namespace postern::control::detail
