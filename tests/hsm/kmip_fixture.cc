// Starts PyKMIP, and asks its client for a second opinion.
#include "tests/hsm/kmip_fixture.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "tests/hsm/softhsm_fixture.h"

namespace rewrap::test {
namespace {

[[noreturn]] void give_up(const std::string& why) {
  (void)std::fprintf(stderr, "kmip_fixture: %s\n", why.c_str());
  std::abort();
}

Child start_python(std::vector<std::string> words) {
  words.insert(words.begin(), {REWRAP_PYTHON, "-W", "ignore"});
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int in[2] = {-1, -1};
  int out[2] = {-1, -1};
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) give_up("no pipe");
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  if (child < 0) give_up("no child");
  close(in[0]);
  close(out[1]);
  return {.pid = child, .in = in[1], .out = out[0]};
}

void end(const Child& child) {
  if (child.pid < 0) return;
  kill(child.pid, SIGKILL);
  waitpid(child.pid, nullptr, 0);
  close(child.in);
  close(child.out);
}

// read_line gives what was printed up to a newline or the end.
std::string read_line(int fd) {
  std::string line;
  for (char c = 0; read(fd, &c, 1) == 1 && c != '\n';) line.push_back(c);
  return line;
}

std::string file_uri(const std::string& path) { return "file:" + path; }

}  // namespace

PyKmip::PyKmip() : folder_(make_private_folder()), client_(ca_.issue(client_terms("rewrap"))) {
  const PemPair server = ca_.issue({});
  write("ca.pem", ca_.certificate());
  write("server.pem", server.certificate);
  write("server.key", server.key);
  write("client.conf", "[client]\n");
  save_client("client", client_);
  if (mkdir((folder_ + "/policy").c_str(), 0700) != 0) give_up("cannot make the policy's folder");
  server_ = start_python({REWRAP_KMIP_SERVER, folder_});
  const std::string port = read_line(server_.out);
  if (port.empty()) give_up("PyKMIP does not start: " + log());
  port_ = static_cast<std::uint16_t>(std::stoi(port));
}

PyKmip::~PyKmip() {
  end(python_);
  end(server_);
  remove_folder(folder_);
}

PyKmip& PyKmip::shared() {
  static PyKmip server;
  return server;
}

std::string PyKmip::unique_name(const std::string& stem) {
  static std::atomic<int> next = 0;
  return stem + "-" + std::to_string(getpid()) + "-" + std::to_string(++next);
}

std::string PyKmip::uri(const std::string& root_key) const { return uri_as("client", root_key); }

std::string PyKmip::uri_as(const std::string& client, const std::string& root_key) const {
  return "kmip://127.0.0.1:" + std::to_string(port_) + "?" +
         (root_key.empty() ? "" : root_key + "&") + "ca=" + file_uri(folder_ + "/ca.pem") +
         "&cert=" + file_uri(folder_ + "/" + client + ".pem") +
         "&key=" + file_uri(folder_ + "/" + client + ".key");
}

void PyKmip::save_client(const std::string& client, const PemPair& pair) const {
  write(client + ".pem", pair.certificate);
  write(client + ".key", pair.key);
}

KmipEndpoint PyKmip::server() const {
  return {.host = "127.0.0.1", .port = port_, .identity = identity_of(ca_.certificate(), client_)};
}

std::string PyKmip::python(const std::string& command) {
  if (python_.pid < 0) python_ = start_python({REWRAP_KMIP_CLIENT, folder_, std::to_string(port_)});
  const std::string line = command + "\n";
  const bool asked =
      ::write(python_.in, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  std::string answer = asked ? read_line(python_.out) : std::string();
  EXPECT_NE(answer, "") << "kmip_client.py failed: " << command;
  return answer;
}

std::string PyKmip::log() const {
  std::ifstream in(folder_ + "/server.log");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void PyKmip::write(const std::string& name, const std::string& text) const {
  const std::string path = folder_ + "/" + name;
  std::ofstream(path, std::ios::trunc) << text;
  if (chmod(path.c_str(), 0600) != 0) give_up("cannot write into the private folder");
}

}  // namespace rewrap::test
