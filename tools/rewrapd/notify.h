// What the service manager is told, and how often it wants to hear of us: sd_notify(3), sd_watchdog(3).
// Without a service manager nothing happens.
#ifndef REWRAP_TOOLS_REWRAPD_NOTIFY_H_
#define REWRAP_TOOLS_REWRAPD_NOTIFY_H_

#include <chrono>

namespace rewrap {

void notify_ready();
void notify_reloading();  // notify_ready follows
void notify_stopping();
void notify_alive();

// watchdog_period is how often notify_alive is to be called; 0: never.
std::chrono::milliseconds watchdog_period();

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAPD_NOTIFY_H_
