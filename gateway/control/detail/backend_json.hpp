// The JSON of a backend's state, which stands in `status` and alone.
#pragma once

#include "gateway/control/detail/json_fields.hpp"

namespace postern::control::detail {

[[nodiscard]] Json json_of(const BackendStatus& backend);
[[nodiscard]] BackendStatus backend_of(const Json& json);  ///< throws BadJson

}  // namespace postern::control::detail
