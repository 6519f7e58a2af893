// The terminal side of the rewrap command.
#include "tools/rewrap/terminal.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

namespace rewrap {
namespace {

constexpr std::size_t kMaxPinLen = 256;
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "the flag is set in a signal handler");
constexpr std::array kSignals = {SIGINT, SIGTERM};

void on_signal(int) { interrupted = true; }

// Terminal switches echo off while it lives.
class SilentTerminal {
 public:
  SilentTerminal() : fd_(::open("/dev/tty", O_RDWR | O_CLOEXEC)) {
    if (fd_ < 0 || tcgetattr(fd_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent_ = tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (silent_) tcsetattr(fd_, TCSAFLUSH, &before_);
    if (fd_ >= 0) ::close(fd_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

  [[nodiscard]] bool ready() const { return silent_; }
  void say(const std::string& text) const {
    static_cast<void>(!::write(fd_, text.data(), text.size()));
  }

  // read_line fills `out` up to the line end; gives the length, or -1 if interrupted.
  ssize_t read_line(ByteSpan out) const {
    std::size_t len = 0;
    while (len < out.size()) {
      const ssize_t got = ::read(fd_, out.data() + len, 1);
      if (got <= 0) return -1;
      if (out[len] == '\n') break;
      ++len;
    }
    return static_cast<ssize_t>(len);
  }

 private:
  int fd_;
  termios before_{};
  bool silent_ = false;
};

std::string format_rate(double per_second) {
  std::array<char, 32> text{};
  const bool millions = per_second >= 1e6;
  const double value = millions ? per_second / 1e6 : per_second;
  static_cast<void>(
      std::snprintf(text.data(), text.size(), millions ? "%.2f M/s" : "%.0f /s", value));
  return text.data();
}

// A forecast takes this long to calibrate, and is worth a line from this many seconds on.
constexpr std::chrono::milliseconds kCalibration(200);
constexpr double kLongSeconds = 10;

std::string format_duration(double seconds) {
  const auto whole = static_cast<unsigned long>(seconds);
  if (whole < 120) return std::to_string(whole) + " s";
  if (whole < 7200) return std::to_string((whole + 30) / 60) + " min";
  return std::to_string((whole + 1800) / 3600) + " h";
}

}  // namespace

Interruptible::Interruptible() {
  interrupted = false;
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART, so that a read of the terminal ends
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &previous_[i]);
}

Interruptible::~Interruptible() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous_[i], nullptr);
}

const std::atomic<bool>* Interruptible::flag() { return &interrupted; }

namespace {

// prompt_secret gives the line that a person types, without echo. `too_long` is said for one that fills all of `max_len`.
Result<SecretBuffer> prompt_secret(const std::string& prompt, std::size_t max_len,
                                   const Status& no_terminal, const Status& too_long) {
  const Interruptible guard;
  const SilentTerminal terminal;
  if (!terminal.ready()) return no_terminal;
  REWRAP_ASSIGN(SecretBuffer secret, SecretBuffer::create(max_len));
  terminal.say(prompt);
  const ssize_t len = terminal.read_line(secret.expose_secret());
  terminal.say("\n");
  if (len <= 0) return Status(Errc::kDenied, "nothing was typed");
  if (static_cast<std::size_t>(len) == secret.size()) return too_long;
  secret.shrink_to(static_cast<std::size_t>(len));
  return secret;
}

}  // namespace

Result<SecretBuffer> prompt_pin(const std::string& token) {
  return prompt_secret(
      "PIN of token '" + token + "': ", kMaxPinLen,
      Status(Errc::kUnavailable, "the token needs a PIN and there is no terminal to ask at",
             "put the PIN into a file of mode 0600 and add pin-source=file:/path to the URI"),
      Status(Errc::kDenied, "the PIN is longer than any PIN; it was not tried"));
}

Result<SecretBuffer> prompt_new_password(const std::string& account) {
  const Status no_terminal(Errc::kUnavailable, "there is no terminal to ask for a password at",
                           "put it into a file of mode 0600 and give --password-file");
  const Status too_long(Errc::kInvalidArgument, "a password is 8 to 512 bytes long");
  constexpr std::size_t kMaxLen = 513;
  REWRAP_ASSIGN(
      SecretBuffer password,
      prompt_secret("New password of account '" + account + "': ", kMaxLen, no_terminal, too_long));
  REWRAP_ASSIGN(const SecretBuffer again,
                prompt_secret("The same again: ", kMaxLen, no_terminal, too_long));
  if (secrets_equal(password.expose_secret(), again.expose_secret())) return password;
  return Status(Errc::kInvalidArgument, "the two passwords differ; nothing was changed");
}

ProgressBar::ProgressBar(std::string label, bool quiet)
    : label_(std::move(label)), quiet_(quiet), active_(!quiet && isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (drawn_) static_cast<void>(std::fputs("\r\033[K", stderr));
}

ProgressFn ProgressBar::callback() {
  if (!active_ && !forecasts_) return {};
  return [this](const Progress& progress) { update(progress); };
}

void ProgressBar::expect_token() { forecasts_ = !quiet_; }

// The rate is that between two reports of progress: the time before the first went into logging in
// and making keys.
void ProgressBar::forecast(const Progress& progress, Clock::time_point now) {
  if (calibration_.done == 0) {
    calibration_ = progress;
    calibrated_ = now;
    return;
  }
  const std::chrono::duration<double> seconds = now - calibrated_;
  if (progress.done <= calibration_.done || seconds < kCalibration) return;
  forecasts_ = false;
  const double rate = static_cast<double>(progress.done - calibration_.done) / seconds.count();
  const double left = static_cast<double>(progress.total - progress.done) / rate;
  if (left < kLongSeconds) return;
  static_cast<void>(std::fprintf(
      stderr, "%srewrap: %s: about %s for %llu DEKs in the token, %s\n", drawn_ ? "\r\033[K" : "",
      label_.c_str(), format_duration(left).c_str(),
      static_cast<unsigned long long>(progress.total - progress.done), format_rate(rate).c_str()));
}

void ProgressBar::update(const Progress& progress) {
  const auto now = Clock::now();
  if (forecasts_ && progress.total >= progress.done) forecast(progress, now);
  if (!active_) return;
  if (progress.total == 0 || now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  drawn_ = true;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double fraction = static_cast<double>(progress.done) / static_cast<double>(progress.total);
  const double left = fraction > 0 ? seconds / fraction - seconds : 0;
  constexpr std::size_t kWidth = 30;
  const auto filled = static_cast<std::size_t>(fraction * kWidth);
  const std::string bar = std::string(std::min(filled, kWidth), '#') +
                          std::string(kWidth - std::min(filled, kWidth), '.');
  const std::string rate = format_rate(static_cast<double>(progress.done) / seconds);
  static_cast<void>(std::fprintf(stderr, "\r\033[K%s [%s] %3.0f %%  %s  %.0f s left",
                                 label_.c_str(), bar.c_str(), fraction * 100, rate.c_str(), left));
}

}  // namespace rewrap
