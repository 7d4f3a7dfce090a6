// What systemd is told (sd_notify); nothing when it does not run us.
#pragma once

#include <string>

namespace postern::gateway {

void notify_ready();
void notify_reloading();
void notify_stopping();
/// Why it does not start: one line for `systemctl status`. Of a service that waits for its next start, systemd 252
/// shows no line of the log there.
void notify_failed(const std::string& why);

}  // namespace postern::gateway
