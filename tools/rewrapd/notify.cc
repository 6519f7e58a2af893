// The one file that knows systemd.
#include "tools/rewrapd/notify.h"

#include <systemd/sd-daemon.h>

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace rewrap {

void notify_ready() { sd_notify(0, "READY=1\nSTATUS=serving"); }

// Type=notify-reload wants the time at which the reload began.
void notify_reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  std::array<char, 80> text{};
  static_cast<void>(
      std::snprintf(text.data(), text.size(), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, us));
  sd_notify(0, text.data());
}

void notify_stopping() { sd_notify(0, "STOPPING=1\nSTATUS=jobs go on at the next start"); }

void notify_alive() { sd_notify(0, "WATCHDOG=1"); }

std::chrono::milliseconds watchdog_period() {
  std::uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) <= 0) return std::chrono::milliseconds{0};
  return std::chrono::milliseconds(limit_us / 3000);  // a third of the limit
}

}  // namespace rewrap
