#include "gateway/main/notify.hpp"

#include <systemd/sd-daemon.h>

#include <ctime>

#include "queue/mail/printable.hpp"

namespace postern::gateway {

// What systemd does not hear, it will find out; there is nothing else to do about a failure.
void notify_ready() { (void)::sd_notify(0, "READY=1"); }
void notify_reloading() {
    // Type=notify-reload (systemd 253) wants the time, to tell this reload from an earlier one.
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto microseconds = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
    (void)::sd_notify(0, ("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds)).c_str());
}
void notify_stopping() { (void)::sd_notify(0, "STOPPING=1"); }
void notify_failed(const std::string& why) { (void)::sd_notify(0, ("STATUS=" + mail::printable(why, 400)).c_str()); }

}  // namespace postern::gateway
