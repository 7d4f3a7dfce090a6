#include "gateway/config/detail/networks.hpp"

#include <fmt/format.h>

#include "gateway/config/detail/address.hpp"

namespace postern::config::detail {

std::vector<Network> read_networks(Section& section, std::string_view key, std::string_view of_everybody,
                                   Problems& problems) {
    constexpr std::string_view expected = "an IP address or a network such as 192.0.2.0/24";
    std::vector<Network> networks;
    for (const Node& item : section.list(key, "a list of networks, as [\"192.0.2.0/24\"]")) {
        const auto text = item_text(item, key, expected, problems);
        if (!text) {
            continue;
        }
        const auto network = parse_network(*text);
        if (!network) {
            problems.error(item.at, fmt::format("`{}`: {}: {}", key, quote(*text), network.error()));
            continue;
        }
        if (network->bits == 0) {
            problems.warning(item.at, fmt::format("`{}`: {} is everybody: {}", key, quote(*text), of_everybody));
        }
        networks.push_back(*network);
    }
    return networks;
}

}  // namespace postern::config::detail
