// The content behind BDAT: counted, not dotted (RFC 3030 section 2). Lines may be cut anywhere between chunks, even
// between CR and LF; one reader lives as long as the message. Counting the octets of a chunk is the caller's. See
// content.hpp.
#pragma once

#include <string>
#include <string_view>

#include "smtp-server/detail/content.hpp"

namespace postern::smtp_server::detail {

class BdatReader {
public:
    /// Appends the content in `in`, octets of a chunk and only of it, to `out`.
    void feed(std::string_view in, std::string& out) { filter_.feed(in, out); }
    /// The chunk with LAST has been fed. The content may still lack a CRLF at its end: that is how it came.
    void finish(std::string& out) { filter_.finish(out); }

    [[nodiscard]] const ContentFacts& facts() const noexcept { return filter_.facts(); }

private:
    ContentFilter filter_{Framing::chunks};
};

}  // namespace postern::smtp_server::detail
