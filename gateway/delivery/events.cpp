#include "gateway/delivery/events.hpp"

namespace postern::delivery {

std::string_view to_string(BackendEvent::Kind kind) {
    using Kind = BackendEvent::Kind;
    switch (kind) {
        case Kind::paused:
            return "paused";
        case Kind::resumed:
            return "resumed";
        case Kind::brake_on:
            return "brake_on";
        case Kind::brake_off:
            return "brake_off";
        case Kind::refusing:
            return "refusing";
        case Kind::accepting:
            return "accepting";
        case Kind::out_of_step:
            return "out_of_step";
        case Kind::in_step:
            return "in_step";
        case Kind::rerouted:
            return "rerouted";
        case Kind::no_route:
            break;
    }
    return "no_route";
}

}  // namespace postern::delivery
