#include "queue/reporter.hpp"

namespace postern::queue {

std::string_view to_action(Notice notice) {
    switch (notice) {
        case Notice::delayed:
            return "delayed";
        case Notice::relayed:
            return "relayed";
        case Notice::failed:
            break;
    }
    return "failed";
}

}  // namespace postern::queue
