// Starts and kills p11-kit's server.
#include "tests/hsm/remote_token.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace rewrap::test {
namespace {

[[noreturn]] void give_up(const char* why) {
  (void)std::fprintf(stderr, "remote_token: %s\n", why);
  std::abort();
}

bool takes_connections(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) give_up("the socket's path is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected =
      fd >= 0 && connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0) close(fd);
  return connected;
}

}  // namespace

RemoteToken::RemoteToken(const SoftHsmToken& token)
    : token_uri_("pkcs11:token=" + token.label()), socket_(token.folder() + "/p11") {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  if (setenv("P11_KIT_SERVER_ADDRESS", ("unix:path=" + socket_).c_str(), 1) != 0)
    give_up("cannot set P11_KIT_SERVER_ADDRESS");
  start();
}

RemoteToken::~RemoteToken() { kill(); }

void RemoteToken::start() {
  std::string provider = SoftHsmToken::module_path();
  std::string program = REWRAP_P11_KIT;
  std::string words[] = {program,  "server", "--foreground", "--provider",
                         provider, "--name", socket_,        token_uri_};
  char* argv[std::size(words) + 1] = {};
  for (std::size_t i = 0; i < std::size(words); ++i) argv[i] = words[i].data();
  server_ = fork();
  if (server_ < 0) give_up("cannot fork");
  if (server_ == 0) {
    setpgid(0, 0);
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execv(argv[0], argv);
    _exit(127);
  }
  setpgid(server_, server_);
  for (int i = 0; i < 2000; ++i) {
    if (takes_connections(socket_)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  give_up("p11-kit's server does not start");
}

void RemoteToken::kill() {
  if (server_ < 0) return;
  ::kill(-server_, SIGKILL);  // its group: a process of its own serves each connection
  waitpid(server_, nullptr, 0);
  server_ = -1;
  unlink(socket_.c_str());
}

std::string RemoteToken::module_path() { return REWRAP_P11_KIT_CLIENT; }

}  // namespace rewrap::test
