// What concerns the person at the terminal: the PIN prompt, the progress bar, interruption by
// Ctrl-C.
#ifndef REWRAP_TOOLS_REWRAP_TERMINAL_H_
#define REWRAP_TOOLS_REWRAP_TERMINAL_H_

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>

#include "engine/base/secret_buffer.h"
#include "engine/base/status.h"
#include "rekey/keyset.h"

namespace rewrap {

// prompt_pin asks on /dev/tty with echo off, straight into locked memory; never on a pipe.
// Errors: kUnavailable if there is no terminal; kDenied if the person gave up.
Result<SecretBuffer> prompt_pin(const std::string& token);

// prompt_new_password asks twice for a password, as prompt_pin does. Errors: likewise;
// kInvalidArgument if the two differ.
Result<SecretBuffer> prompt_new_password(const std::string& account);

// Interruptible turns SIGINT and SIGTERM into a flag for as long as it lives, so that a job can end
// between two commits.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  [[nodiscard]] static const std::atomic<bool>* flag();

 private:
  std::array<struct sigaction, 2> previous_{};  // restored at the end, so that two may be nested
};

// ProgressBar draws on stderr, ten times a second at most, if that is a terminal.
// For work that a token does it also writes one line to stderr, terminal or not, if the job will take
// long: how long.
class ProgressBar {
 public:
  ProgressBar(std::string label, bool quiet);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(const Progress& progress);
  // callback gives update() as a function for the library; empty if nothing is to be drawn.
  ProgressFn callback();

  // expect_token says that a token does the work.
  void expect_token();

 private:
  using Clock = std::chrono::steady_clock;
  void forecast(const Progress& progress, Clock::time_point now);

  std::string label_;
  bool quiet_;
  bool active_;
  bool drawn_ = false;
  bool forecasts_ = false;  // the duration is still to be told
  Progress calibration_;    // where the work stood when it was first heard of
  Clock::time_point calibrated_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_;
};

}  // namespace rewrap

#endif  // REWRAP_TOOLS_REWRAP_TERMINAL_H_
