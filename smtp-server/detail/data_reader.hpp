// The content behind DATA: undoes dot-stuffing and finds the end, which is CRLF.CRLF as these five octets and nothing
// else (RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2). See content.hpp for what else happens to it.
#pragma once

#include <string>
#include <string_view>

#include "smtp-server/detail/content.hpp"

namespace postern::smtp_server::detail {

class DataReader {
public:
    struct Fed {
        std::size_t consumed = 0;  ///< all of the input, but when `ended`: what follows is the next command
        bool ended = false;
    };

    /// Appends the content in `in` to `out`; never more than twice the octets of `in`, and four. Not to be called after
    /// `ended`.
    [[nodiscard]] Fed feed(std::string_view in, std::string& out) {
        const std::size_t consumed = filter_.feed(in, out);
        return {consumed, filter_.ended()};
    }

    [[nodiscard]] const ContentFacts& facts() const noexcept { return filter_.facts(); }

private:
    ContentFilter filter_{Framing::dots};
};

}  // namespace postern::smtp_server::detail
