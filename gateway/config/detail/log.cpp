// `log`: how events are written.
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {

void read_log(const Node& node, Log& log, Problems& problems) {
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    section.choice("format", log.format, {{"logfmt", Log::Format::logfmt}, {"json", Log::Format::json}});
    section.choice("level", log.level,
                   {{"debug", Log::Level::debug},
                    {"info", Log::Level::info},
                    {"warn", Log::Level::warn},
                    {"error", Log::Level::error}});
    section.finish();
}

}  // namespace postern::config::detail
