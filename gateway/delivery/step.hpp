// Whether a store answers in step. One that was out of step gets one recipient a transaction, so that no reply can be
// taken for another's, until it has behaved for a while: longer after each relapse. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace postern::delivery {

class Step {
public:
    [[nodiscard]] bool one_by_one() const noexcept { return left_ > 0; }
    /// A dialogue was out of step. True: it was trusted until now.
    [[nodiscard]] bool lost() {
        const bool was_trusted = left_ == 0;
        left_ = penance_;
        penance_ = std::min<std::uint32_t>(penance_ * 2, penance_max);
        return was_trusted;
    }
    /// A dialogue went well. True: it is trusted again, from now on.
    [[nodiscard]] bool kept() { return left_ > 0 && --left_ == 0; }

private:
    static constexpr std::uint32_t penance_max = 1280;
    std::uint32_t left_ = 0;  ///< good dialogues until it is trusted
    std::uint32_t penance_ = 20;
};

}  // namespace postern::delivery
