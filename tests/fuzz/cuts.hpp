// Hands an input out in pieces whose sizes its own first octets choose, so that the fuzzer finds cuts as it finds
// contents.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace postern::fuzz {

/// The first four octets of the input are the sizes of pieces, used in turn (0: as much as 1024); the rest is what is
/// cut.
class Cuts {
public:
    explicit Cuts(std::string_view input) : sizes_(input.substr(0, std::min<std::size_t>(input.size(), 4))) {}

    static std::string_view content(std::string_view input) {
        return input.substr(std::min<std::size_t>(input.size(), 4));
    }

    /// The next piece of `rest`; not empty unless `rest` is.
    std::string_view next(std::string_view rest) {
        if (sizes_.empty()) {
            return rest;
        }
        const auto chosen = static_cast<std::uint8_t>(sizes_[turn_++ % sizes_.size()]);
        return rest.substr(0, chosen == 0 ? 1024 : chosen);
    }

private:
    std::string_view sizes_;
    std::size_t turn_ = 0;
};

}  // namespace postern::fuzz
