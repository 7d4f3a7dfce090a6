// The lanes to the domains of others, as seen from outside the gateway: which transactions are on their way to whom,
// and how the last ones ended. Holds invariant 19 against each that begins, and says what invariant 20 may ask for.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "gateway/delivery/scheduler.hpp"
#include "timeline.hpp"

namespace postern::simulation {

class Lanes {
public:
    explicit Lanes(const Timeline& timeline) : timeline_(timeline) {}

    /// With each start and reload. `way`: nullptr, or not by domain, while there are no lanes.
    void configured(const delivery::BackendOptions* way);
    void begins(const delivery::Plan& plan);
    void ended(const delivery::Plan& plan, lmtp_client::Trouble trouble);
    /// Its results are recorded.
    void released(std::uint64_t plan);
    /// An operator was impatient: no rest holds any more.
    void hurried();
    /// Nothing is on its way any more, and nothing is remembered.
    void crashed();

    /// There was room for another transaction all the time since then, and there are lanes.
    [[nodiscard]] bool had_room_since(Timeline::Milliseconds then) const;
    [[nodiscard]] bool are_there_since(Timeline::Milliseconds then) const;
    /// A transaction to this domain has begun since then.
    [[nodiscard]] bool had_a_turn_since(const std::string& domain, Timeline::Milliseconds then) const;
    /// The domains that something was on its way to since then, or waited to be.
    [[nodiscard]] std::size_t used_since(Timeline::Milliseconds then) const;
    /// Something for this domain is in the gateway's hands.
    void used(const std::string& domain) { lanes_[domain].used_at = timeline_.now(); }

private:
    struct Lane {
        std::uint32_t on_their_way = 0;
        bool has_failed = false;  ///< its servers could not be reached, and since then nothing has worked
        bool may_hurry = false;
        Timeline::Milliseconds failed_at = 0;
        Timeline::Milliseconds begun_at = -1;
        Timeline::Milliseconds used_at = 0;
    };

    const Timeline& timeline_;
    std::uint32_t most_ = 0;
    std::uint32_t most_each_ = 0;
    Timeline::Milliseconds configured_at_ = 0;
    Timeline::Milliseconds full_at_ = 0;                 ///< the last time
    std::map<std::uint64_t, std::string> on_their_way_;  ///< domains by plan
    std::map<std::string, Lane> lanes_;
};

}  // namespace postern::simulation
