// `retry`: when a recipient is tried again, and for how long.
#include <fmt/format.h>

#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"
#include "gateway/config/detail/units.hpp"

namespace postern::config::detail {
namespace {

/// `smaller` must not be longer than `larger`; the problem stands at whichever of the two the file gives, the smaller
/// first.
void check_order(const Section& section, std::string_view smaller, milliseconds small, std::string_view larger,
                 milliseconds large, Problems& problems) {
    if (small <= large) {
        return;
    }
    const auto shown = [&section](std::string_view key, milliseconds value) {
        return fmt::format("`{}` ({}{})", key, to_text(value), section.has(key) ? "" : ", the default");
    };
    problems.error(section.at(section.has(smaller) ? smaller : larger),
                   fmt::format("{} is longer than {}", shown(smaller, small), shown(larger, large)));
}

/// One of `classes`. What it leaves open is derived from `retry` (gateway/delivery/retry_policy.hpp).
void read_class(const Node& node, RetryClass& kind, Problems& problems) {
    using namespace std::chrono_literals;
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    milliseconds first = 1min;
    milliseconds maximum = 1h;
    double factor = 2;
    section.duration("first", first, {100ms, 24h});
    section.decimal("factor", factor, {1, 100});
    section.duration("maximum", maximum, {100ms, 24h * 30});
    section.finish();
    kind.first = section.has("first") ? std::optional(first) : std::nullopt;
    kind.factor = section.has("factor") ? std::optional(factor) : std::nullopt;
    kind.maximum = section.has("maximum") ? std::optional(maximum) : std::nullopt;
    if (kind.first && kind.maximum) {
        check_order(section, "first", first, "maximum", maximum, problems);
    }
}

void read_classes(const Node& node, std::map<std::string, RetryClass>& classes, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    for (const char* name : {"mailbox_full", "busy", "store", "policy", "connection", "other"}) {
        if (const Node* kind = section.find(name)) {
            read_class(*kind, classes[name], problems);
        }
    }
    section.finish();
}

}  // namespace

void read_retry(const Node& node, Retry& retry, Problems& problems) {
    using namespace std::chrono_literals;
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    section.duration("first", retry.first, {100ms, 24h});
    section.decimal("factor", retry.factor, {1, 100});
    section.duration("maximum", retry.maximum, {100ms, 24h * 30});
    section.duration("expire", retry.expire, {100ms, 24h * 365});
    section.duration("delay_notice", retry.delay_notice, {0ms, 24h * 365});
    if (const Node* classes = section.find("classes")) {
        read_classes(*classes, retry.classes, problems);
    }
    section.finish();
    check_order(section, "first", retry.first, "maximum", retry.maximum, problems);
    check_order(section, "first", retry.first, "expire", retry.expire, problems);
}

}  // namespace postern::config::detail
