// Signals as values, for one thread that waits for them.
#ifndef REWRAP_TOOLS_REWRAPD_SIGNALS_H_
#define REWRAP_TOOLS_REWRAPD_SIGNALS_H_

#include <chrono>

#include "engine/base/status.h"

namespace rewrap {

enum class Wake { kStop, kReload, kTimeout };

// block_signals keeps SIGTERM, SIGINT and SIGHUP for wait_for_signal, and ignores SIGPIPE and SIGXFSZ.
// Called before any thread is started: threads inherit it.
Status block_signals();

// wait_for_signal waits for one of them; 0: without an end.
Wake wait_for_signal(std::chrono::milliseconds limit);

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAPD_SIGNALS_H_
