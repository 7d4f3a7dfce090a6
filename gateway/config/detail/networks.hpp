// Lists of networks: who is trusted, who may say that he is another, where no mail goes.
#pragma once

#include <string_view>
#include <vector>

#include "gateway/config/config.hpp"
#include "gateway/config/detail/section.hpp"

namespace postern::config::detail {

/// The networks of a list; empty when the key is absent. `of_everybody`: what a network that holds every address would
/// mean, for a warning.
[[nodiscard]] std::vector<Network> read_networks(Section& section, std::string_view key, std::string_view of_everybody,
                                                 Problems& problems);

}  // namespace postern::config::detail
