// Starts swtpm, and asks tpm2-tools for a second opinion.
#include "tests/hsm/swtpm_fixture.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/hsm/softhsm_fixture.h"

namespace rewrap::test {
namespace {

constexpr int kMaxWaits = 2000;  // of 5 ms: a busy machine

[[noreturn]] void give_up(const std::string& why) {
  (void)std::fprintf(stderr, "swtpm_fixture: %s\n", why.c_str());
  std::abort();
}

// start_program gives the child's id; its output goes to `out_fd`, its errors nowhere.
pid_t start_program(std::vector<std::string> words, const std::string& tcti, int out_fd) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  // A test that dies takes its TPM with it.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(out_fd < 0 ? null : out_fd, STDOUT_FILENO);
  dup2(null, STDERR_FILENO);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the child has one thread
  setenv("TPM2TOOLS_TCTI", tcti.c_str(), 1);
  execv(argv[0], argv.data());
  _exit(127);
}

// run_program gives the exit status, and in `*output` what it printed.
int run_program(const std::vector<std::string>& words, const std::string& tcti,
                std::string* output) {
  int pipe_fds[2] = {-1, -1};
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) give_up("no pipe");
  const pid_t child = start_program(words, tcti, pipe_fds[1]);
  close(pipe_fds[1]);
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(pipe_fds[0], buffer, sizeof buffer)) > 0)
    output->append(buffer, static_cast<std::size_t>(got));
  close(pipe_fds[0]);
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) give_up("a tool cannot be run");
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// listens says whether somebody takes connections at the socket; it makes one and lets it go.
bool listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) give_up("the private folder's name is too long");
  copy_bytes({reinterpret_cast<std::uint8_t*>(address.sun_path), path.size()}, as_bytes(path));
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

std::vector<std::string> tool_words(const std::vector<std::string>& words) {
  std::vector<std::string> all = {REWRAP_TPM2_TOOL};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

}  // namespace

SoftTpm::SoftTpm() : folder_(make_private_folder()) {
  if (mkdir(path("state").c_str(), 0700) != 0) give_up("cannot make the state's folder");
  start();
}

SoftTpm::~SoftTpm() {
  stop();
  remove_folder(folder_);
}

void SoftTpm::start() {
  const std::string control = socket() + ".ctrl";
  unlink(socket().c_str());
  unlink(control.c_str());
  pid_ = start_program({REWRAP_SWTPM, "socket", "--tpm2", "--tpmstate", "dir=" + path("state"),
                        "--server", "type=unixio,path=" + socket(), "--ctrl",
                        "type=unixio,path=" + control, "--flags", "not-need-init,startup-clear"},
                       tcti(), -1);
  for (int i = 0; i < kMaxWaits; ++i) {
    if (listens(control) && listens(socket())) return;
    if (pid_ < 0 || waitpid(pid_, nullptr, WNOHANG) != 0) give_up("swtpm does not start");
    usleep(5000);
  }
  give_up("swtpm does not answer");
}

void SoftTpm::stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string SoftTpm::uri(const std::string& more) const {
  return "tpm2:?tcti=" + tcti() + (more.empty() ? "" : "&" + more);
}

std::string SoftTpm::tool(const std::vector<std::string>& words) const {
  std::string output;
  const int status = run_program(tool_words(words), tcti(), &output);
  EXPECT_EQ(status, 0) << "tpm2 " << words[0] << " failed: " << output;
  return output;
}

bool SoftTpm::try_tool(const std::vector<std::string>& words) const {
  std::string output;
  return run_program(tool_words(words), tcti(), &output) == 0;
}

std::string SoftTpm::leftovers() const {
  return tool({"getcap", "handles-transient"}) + tool({"getcap", "handles-loaded-session"}) +
         tool({"getcap", "handles-saved-session"});
}

std::string SoftTpm::write_file(const std::string& name, ByteView text) const {
  std::ofstream(path(name), std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(text.data()), static_cast<std::streamsize>(text.size()));
  if (chmod(path(name).c_str(), 0600) != 0) give_up("cannot write into the private folder");
  return path(name);
}

Bytes SoftTpm::read_file(const std::string& name) const {
  std::ifstream in(path(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void SoftTpm::extend_pcr(int pcr) const {
  tool({"pcrextend", std::to_string(pcr) + ":sha256=" + std::string(64, '1')});
}

}  // namespace rewrap::test
