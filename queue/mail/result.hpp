// The value-or-error type of the whole program: an expected outcome is a value, not an exception.
// One alias, so that std::expected can take its place one day.
#pragma once

#include <boost/system/result.hpp>

namespace postern {

template <class T, class E>
using Result = boost::system::result<T, E>;

}  // namespace postern
