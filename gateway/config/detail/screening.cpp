// `screening`: what clients of other machines are measured by.
#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"
#include "gateway/config/detail/names.hpp"
#include "gateway/config/detail/section.hpp"
#include "gateway/config/detail/sections.hpp"

namespace postern::config::detail {
namespace {

std::optional<std::string> zone_of(Section& section, Problems& problems) {
    constexpr std::string_view expected = "the zone of a list, as zen.example.org";
    const auto zone = section.text("zone", expected);
    if (!zone) {
        if (!section.has("zone")) {
            problems.error(section.at("zone"), fmt::format("`zone` is missing: {}", expected));
        }
        return std::nullopt;
    }
    if (!is_host_name(*zone)) {
        problems.error(section.find("zone")->at, fmt::format("`zone`: expected {}, found {}", expected, quote(*zone)));
        return std::nullopt;
    }
    return zone;
}

void read_codes(Section& section, DnsList& list, Problems& problems) {
    constexpr std::string_view expected = "an answer of the list, as 127.0.0.2";
    for (const Node& item : section.list("codes", "a list of answers, as [127.0.0.2, 127.0.0.3]")) {
        const auto text = item_text(item, "codes", expected, problems);
        if (!text) {
            continue;
        }
        const auto code = canonical_ip(*text);
        if (!code || !code->starts_with("127.")) {
            problems.error(item.at, fmt::format("`codes`: expected {}, found {}", expected, quote(*text)));
            continue;
        }
        list.codes.push_back(*code);
    }
}

void read_lists(const std::vector<Node>& items, std::vector<DnsList>& lists, Problems& problems) {
    for (const Node& item : items) {
        Section section(item, problems);
        if (!section.is_usable()) {
            continue;
        }
        DnsList list;
        const auto zone = zone_of(section, problems);
        section.number("weight", list.weight, {1U, 1'000U});
        read_codes(section, list, problems);
        section.finish();
        if (zone) {
            list.zone = *zone;
            lists.push_back(std::move(list));
        }
    }
}

void read_greylist(const Node& node, Greylist& greylist, Problems& problems) {
    using namespace std::chrono_literals;
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    section.choice("clients", greylist.suspicious, {{"none", false}, {"suspicious", true}});
    section.duration("delay", greylist.delay, {1s, 1h});
    section.duration("retry_within", greylist.retry_within, {1h, 24h * 30});
    section.duration("remember", greylist.remember, {1h, 24h * 365});
    section.number("maximum", greylist.maximum, {1'000U, 10'000'000U});
    section.finish();
}

}  // namespace

void read_screening(const Node& node, Screening& screening, Problems& problems) {
    constexpr std::string_view lists = "a list, each item with a `zone`";
    Section section(node, problems);
    if (!section.is_usable()) {
        return;
    }
    section.choice("reverse_names", screening.reverse_names, {{"on", true}, {"off", false}});
    section.choice("sender_domains", screening.sender_domains, {{"on", true}, {"off", false}});
    read_lists(section.list("block", lists), screening.block, problems);
    read_lists(section.list("allow", lists), screening.allow, problems);
    section.number("refuse_at", screening.refuse_at, {1U, 100'000U});
    section.number("suspect_at", screening.suspect_at, {1U, 100'000U});
    if (const Node* greylist = section.find("greylist")) {
        read_greylist(*greylist, screening.greylist, problems);
    }
    section.finish();
    if (screening.suspect_at > screening.refuse_at) {
        problems.warning(section.at("suspect_at"),
                         "`suspect_at` is more than `refuse_at`: whoever is that suspicious is refused");
    }
}

}  // namespace postern::config::detail
