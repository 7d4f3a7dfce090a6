#include "gateway/main/notify.hpp"

#include <systemd/sd-daemon.h>

namespace postern::gateway {

// What systemd does not hear, it will find out; there is nothing else to do about a failure.
void notify_ready() { (void)::sd_notify(0, "READY=1"); }
void notify_reloading() { (void)::sd_notify(0, "RELOADING=1"); }
void notify_stopping() { (void)::sd_notify(0, "STOPPING=1"); }

}  // namespace postern::gateway
