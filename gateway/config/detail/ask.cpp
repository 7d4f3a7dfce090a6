// `ask`: how the stores are asked about recipients.
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {

void read_ask(const Node& node, Ask& ask, Problems& problems) {
    using namespace std::chrono_literals;
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    section.duration("timeout", ask.timeout, {100ms, 1min});
    section.number("connections", ask.connections, {1U, 1000U});
    section.duration("positive", ask.positive, {1min, 24h * 365});
    section.duration("refresh", ask.refresh, {1s, 24h * 365});
    section.duration("negative", ask.negative, {0ms, 24h});
    section.number("entries", ask.entries, {100U, 100'000'000U});
    section.finish();
    if (ask.refresh > ask.positive) {
        problems.error(section.at(section.has("refresh") ? "refresh" : "positive"),
                       "`refresh` is longer than `positive`: an answer would be given up before it is asked for anew");
    }
}

}  // namespace postern::config::detail
