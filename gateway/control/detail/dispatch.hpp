// One request of the control API to the operation that it names. Knows the paths and the JSON; no socket and no HTTP
// library.
#pragma once

#include <string>
#include <string_view>

#include "gateway/control/operations.hpp"

namespace postern::control::detail {

struct Request {
    std::string method;  ///< "GET", "POST"
    std::string target;  ///< "/v1/status"
    std::string body;
};

/// Where the answer goes.
class Responder {
public:
    virtual ~Responder() = default;
    /// An answer in one piece, JSON.
    virtual void answer(unsigned status, std::string json) = 0;
    /// A streamed answer: begin once, then write parts (false: the client is gone), then end. Without end the client
    /// sees that it was cut.
    virtual void begin(std::string_view content_type) = 0;
    [[nodiscard]] virtual bool write(std::string_view part) = 0;
    virtual void end() = 0;
};

void dispatch(const Request& request, Operations& operations, Responder& responder);

[[nodiscard]] unsigned http_status(FailureKind kind);

}  // namespace postern::control::detail
