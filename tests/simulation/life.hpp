// What is around the gateway's process, and how long it lives: what it planned does not happen any more once it has
// ended, whatever it was doing.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "disk.hpp"
#include "lanes.hpp"
#include "peer.hpp"
#include "random.hpp"
#include "timeline.hpp"
#include "truth.hpp"

namespace postern::simulation {

/// A domain of others, as DNS tells of it.
struct Elsewhere {
    enum class Names : std::uint8_t { told, failing, none } names = Names::told;
    Timeline::Milliseconds told_since = 0;
    std::vector<std::string> exchangers;  ///< endpoints, in the order in which they are to be tried
};

struct Surroundings {
    Timeline& timeline;
    Disk& disk;
    Truth& truth;
    Lanes& lanes;
    Random& random;
    std::map<std::string, Peer*> peers;          ///< by endpoint
    std::map<std::string, Elsewhere> elsewhere;  ///< by domain
    std::string queue_path;
    std::function<void(const std::string&)> trace;
};

class Life {
public:
    explicit Life(Surroundings& around) : around_(around) {}

    void end() { *goes_on_ = false; }
    /// Does it later, unless the process has ended by then.
    void later(Timeline::Milliseconds delay, std::function<void()> what) const {
        around_.timeline.at(delay, [goes_on = goes_on_, &disk = around_.disk, what = std::move(what)] {
            // A power cut may come in the midst of what runs; what it calls back then, it calls in vain.
            if (*goes_on && !disk.is_down()) {
                what();
            }
        });
    }
    [[nodiscard]] std::shared_ptr<const bool> goes_on() const { return goes_on_; }

private:
    Surroundings& around_;
    std::shared_ptr<bool> goes_on_ = std::make_shared<bool>(true);
};

}  // namespace postern::simulation
