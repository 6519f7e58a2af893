// Starts the stand-in, and talks to it through pipes: it ends when they do.
#include "tests/hsm/awskms_fixture.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/hsm/softhsm_fixture.h"

namespace rewrap::test {
namespace {

[[noreturn]] void give_up(const char* why) {
  (void)std::fprintf(stderr, "awskms_fixture: %s\n", why);
  std::abort();
}

struct Pipe {
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0) give_up("no pipe");
  }
  int ends[2] = {-1, -1};
};

// start_program gives the child's id. Its standard input is `in_fd`, its output goes to `out_fd`.
pid_t start_program(std::vector<std::string> words, const std::vector<std::string>& environment,
                    int in_fd, int out_fd) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  dup2(in_fd, STDIN_FILENO);
  dup2(out_fd, STDOUT_FILENO);
  std::vector<std::string> kept = environment;
  for (std::string& setting : kept) putenv(setting.data());  // NOLINT(concurrency-mt-unsafe)
  execv(argv[0], argv.data());
  _exit(127);
}

std::string read_line(int fd) {
  std::string line;
  char c = 0;
  while (read(fd, &c, 1) == 1 && c != '\n') line.push_back(c);
  return line;
}

}  // namespace

KmsServer::KmsServer() : folder_(make_private_folder()) {
  const Pipe commands;
  const Pipe answers;
  pid_ = start_program({REWRAP_PYTHON, REWRAP_KMS_STAND_IN, folder_}, {"PYTHONDONTWRITEBYTECODE=1"},
                       commands.ends[0], answers.ends[1]);
  close(commands.ends[0]);
  close(answers.ends[1]);
  commands_ = commands.ends[1];
  answers_ = answers.ends[0];
  port_ = read_line(answers_);
  if (pid_ < 0 || port_.empty()) give_up("the stand-in for AWS KMS does not start");
}

KmsServer::~KmsServer() {
  close(commands_);
  close(answers_);
  kill(pid_, SIGTERM);  // it may be in the middle of a slow answer
  waitpid(pid_, nullptr, 0);
  remove_folder(folder_);
}

KmsServer& KmsServer::shared() {
  static KmsServer server;
  return server;
}

std::string KmsServer::command(const std::string& line) const {
  const std::string text = line + "\n";
  if (write(commands_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    give_up("the stand-in takes no commands");
  const std::string answer = read_line(answers_);
  EXPECT_EQ(answer.substr(0, 3), "ok ") << line << ": " << answer;
  return answer.size() > 3 ? answer.substr(3) : std::string();
}

void KmsServer::fail(const std::string& how, int times) const {
  command("fault {\"times\":" + std::to_string(times) + "," + how + "}");
}

std::string KmsServer::uri(const std::string& key, const std::string& more,
                           const std::string& credentials) const {
  return "awskms:" + key + "?region=" + kKmsRegion + "&endpoint=" + endpoint() +
         "&ca=file:" + path("ca.pem") + "&credentials=file:" + path(credentials) + more;
}

std::string KmsServer::write_file(const std::string& name, const std::string& text) const {
  std::ofstream(path(name), std::ios::binary | std::ios::trunc) << text;
  if (chmod(path(name).c_str(), 0600) != 0) give_up("cannot write into the private folder");
  return path(name);
}

std::string KmsServer::aws(const std::vector<std::string>& words) const {
  std::vector<std::string> all = {
      REWRAP_AWS, "--endpoint-url", endpoint(), "--ca-bundle", path("ca.pem"),
      "--region", kKmsRegion,       "--output", "text",        "kms"};
  all.insert(all.end(), words.begin(), words.end());
  const Pipe nothing;
  const Pipe output;
  const pid_t child =
      start_program(all,
                    {"HOME=" + folder_, "AWS_SHARED_CREDENTIALS_FILE=" + path("credentials"),
                     "AWS_EC2_METADATA_DISABLED=true", "PYTHONDONTWRITEBYTECODE=1"},
                    nothing.ends[0], output.ends[1]);
  for (const int fd : {nothing.ends[0], nothing.ends[1], output.ends[1]}) close(fd);
  std::string printed;
  char buffer[4096];
  ssize_t got = 0;
  while ((got = read(output.ends[0], buffer, sizeof buffer)) > 0)
    printed.append(buffer, static_cast<std::size_t>(got));
  close(output.ends[0]);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "aws kms " << words.at(0);
  while (printed.ends_with('\n')) printed.pop_back();
  return printed;
}

}  // namespace rewrap::test
