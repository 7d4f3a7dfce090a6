// The running gateway: store, acceptance, delivery, control, in the order in which they depend on one another.
//
// Threads: made, run and destroyed on main's thread; reload() from any.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gateway/config/config.hpp"
#include "gateway/control/live_gateway.hpp"
#include "queue/time.hpp"

namespace postern::gateway {

class SignalWaiter;

/// Why it did not start: what to say, and the exit status.
struct StartFailure {
    std::string text;
    int exit_status = 1;
};

class Gateway {
public:
    /// `loaded` has a configuration; its warnings go to the log. `clock` outlives it.
    Gateway(const config::Loaded& loaded, const queue::Clock& clock);
    ~Gateway();
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    /// Opens everything and serves. Nothing: it does.
    [[nodiscard]] std::optional<StartFailure> start();
    /// Serves until TERM or INT; HUP reloads.
    void run(SignalWaiter& signals);

    /// Reads the configuration's file again and follows it, or keeps the old one and says what is wrong.
    [[nodiscard]] control::ReloadOutcome reload(const std::string& actor);

private:
    class Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace postern::gateway
