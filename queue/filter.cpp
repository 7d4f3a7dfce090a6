// The filter grammar; see the header.
#include "queue/filter.hpp"

namespace postern::queue {

bool Filter::is_everything() const {
    return ids.empty() && backends.empty() && domains.empty() && recipients.empty() && senders.empty() &&
           clients.empty() && states.empty() && !older_than && !younger_than && !reply;
}

}  // namespace postern::queue
