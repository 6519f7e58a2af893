// SigpipeGuard keeps a broken connection from ending the program: libtss2 and OpenSSL write to pipes
// and sockets whose other end may be gone. Belongs to the thread that makes it, which must end it too.
#ifndef REWRAP_HSM_SIGPIPE_GUARD_H_
#define REWRAP_HSM_SIGPIPE_GUARD_H_

#include <csignal>
#include <ctime>

namespace rewrap {

class SigpipeGuard {
 public:
  SigpipeGuard() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&only_);
    sigaddset(&only_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &only_, &mask_before_);
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;
  ~SigpipeGuard() {
    // A signal of ours is taken away before the mask lets it through; one of before stays.
    const timespec no_time{};
    if (!was_pending_) static_cast<void>(sigtimedwait(&only_, nullptr, &no_time));
    pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  }

 private:
  sigset_t only_{};
  sigset_t mask_before_{};
  bool was_pending_ = false;
};

}  // namespace rewrap

#endif  // REWRAP_HSM_SIGPIPE_GUARD_H_
