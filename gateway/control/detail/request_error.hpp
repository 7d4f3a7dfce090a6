// Which HTTP status a request hears that could not be read.
#pragma once

#include <cstddef>
#include <optional>

#include <boost/system/error_code.hpp>

namespace postern::control::detail {

constexpr std::size_t header_octets_max = 8192;

/// nullopt: nobody is there to hear it.
[[nodiscard]] std::optional<unsigned> status_for(const boost::system::error_code& error);

}  // namespace postern::control::detail
