// A token in another process, which can be killed: p11-kit's server in front of SoftHSM, reached
// through p11-kit's client module. The server goes with the object. p11-kit 0.24 passes AES-ECB on,
// but not AES key wrap. One such object at a time per process (the server's address is in the
// environment); a process that uses it ignores SIGPIPE.
#ifndef REWRAP_TESTS_HSM_REMOTE_TOKEN_H_
#define REWRAP_TESTS_HSM_REMOTE_TOKEN_H_

#include <sys/types.h>

#include <string>

#include "tests/hsm/softhsm_fixture.h"

namespace rewrap::test {

class RemoteToken {
 public:
  // Serves `token`, which must outlive this. Ends the program with a message if it cannot.
  explicit RemoteToken(const SoftHsmToken& token);
  RemoteToken(const RemoteToken&) = delete;
  RemoteToken& operator=(const RemoteToken&) = delete;
  ~RemoteToken();

  // start starts the server, and returns when it takes connections.
  void start();

  // kill ends the server and those that serve its connections, by SIGKILL.
  void kill();

  [[nodiscard]] static std::string module_path();

 private:
  std::string token_uri_;
  std::string socket_;
  pid_t server_ = -1;  // leads its own process group
};

}  // namespace rewrap::test

#endif  // REWRAP_TESTS_HSM_REMOTE_TOKEN_H_
