// The filter options as they stand on the command line, and what they mean. Pure; the options are declared in
// detail/declare.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "queue/filter.hpp"
#include "queue/mail/result.hpp"

namespace postern::cli {

struct FilterArguments {
    bool all = false;
    std::vector<std::string> ids;
    std::vector<std::string> backends;
    std::vector<std::string> domains;
    std::vector<std::string> recipients;
    std::vector<std::string> senders;
    std::vector<std::string> clients;
    std::vector<std::string> states;
    std::optional<std::string> older_than;
    std::optional<std::string> younger_than;
    std::optional<std::string> reply;
    std::optional<std::string> limit;
};

/// The filter, or what is wrong with the arguments.
[[nodiscard]] Result<queue::Filter, std::string> parse_filter(const FilterArguments& arguments);

}  // namespace postern::cli
