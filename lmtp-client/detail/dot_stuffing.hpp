// Dot-stuffing: makes content safe to send after DATA (RFC 5321 section 4.5.2).
// Sans-I/O and incremental: any split of the content gives the same bytes.
#pragma once

#include <string>
#include <string_view>

namespace postern::lmtp_client::detail {

class DotStuffer {
public:
    /// Appends `content` to `out`, a dot at the start of a line doubled. What follows a bare CR or LF counts as the
    /// start of a line too: well-formed content has none, and in content that has, a lenient store must not find an end
    /// of data.
    void append(std::string_view content, std::string& out);

    /// Appends the end of the data, on a line of its own.
    void finish(std::string& out);

private:
    char before_last_ = '\r';  ///< the last two octets of the content; at its start it stands behind the CRLF of DATA
    char last_ = '\n';
};

}  // namespace postern::lmtp_client::detail
