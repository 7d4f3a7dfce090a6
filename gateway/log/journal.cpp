#include "gateway/log/journal.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

namespace postern::log {

bool leads_to_journal(int descriptor, const char* journal_stream) {
    struct stat status {};
    return journal_stream != nullptr && ::fstat(descriptor, &status) == 0 &&
           fmt::format("{}:{}", status.st_dev, status.st_ino) == journal_stream;
}

std::string_view journal_prefix(Level level) {
    switch (level) {
        case Level::debug:
            return "<7>";
        case Level::info:
            return "<6>";
        case Level::warn:
            return "<4>";
        case Level::error:
            return "<3>";
    }
    return {};
}

}  // namespace postern::log
