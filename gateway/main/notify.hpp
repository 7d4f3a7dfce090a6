// What systemd is told (sd_notify); nothing when it does not run us.
#pragma once

namespace postern::gateway {

void notify_ready();
void notify_reloading();
void notify_stopping();

}  // namespace postern::gateway
