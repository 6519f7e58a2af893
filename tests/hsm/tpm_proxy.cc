// Stands between libtss2 (TCTI "cmd:") and a TPM's socket, and does something at one command.
//   tpm_proxy SOCKET CODE NTH answer RC    the TPM never sees it; the answer is an error
//   tpm_proxy SOCKET CODE NTH hang-up RC   the same, and nothing is read any more
//   tpm_proxy SOCKET CODE NTH extend PCR   a PCR changes just before
//   tpm_proxy SOCKET CODE NTH kill PID     the TPM is killed just before
//   tpm_proxy SOCKET CODE NTH count FILE   nothing happens; the file gets a byte for each command
//   tpm_proxy SOCKET CODE NTH record FILE  nothing happens; the file gets all that goes over the bus
// CODE is the command's TPM_CC, 0 for any; NTH counts those from 1. Numbers as strtoul reads them.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "engine/base/bytes.h"

namespace rewrap {
namespace {

constexpr std::size_t kHeaderLen = 10;  // tag (2), size (4), command or return code (4)
constexpr std::size_t kMaxLen = 4096;

[[noreturn]] void end() { _exit(1); }

bool read_all(int fd, ByteSpan out) {
  while (!out.empty()) {
    const ssize_t got = read(fd, out.data(), out.size());
    if (got <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

void write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put <= 0) end();
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

// read_message reads a command or an answer: they have the same frame.
bool read_message(int fd, Bytes* out) {
  out->resize(kHeaderLen);
  if (!read_all(fd, *out)) return false;
  const std::size_t len = load_be32(out->data() + 2);
  if (len < kHeaderLen || len > kMaxLen) end();
  out->resize(len);
  return read_all(fd, ByteSpan(*out).subspan(kHeaderLen));
}

int connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) end();
  copy_bytes({reinterpret_cast<std::uint8_t*>(address.sun_path), path.size()}, as_bytes(path));
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) end();
  return fd;
}

Bytes error_answer(std::uint32_t rc) {
  Bytes out = {0x80, 0x01, 0, 0, 0, kHeaderLen, 0, 0, 0, 0};
  store_be32(out.data() + 6, rc);
  return out;
}

// extend_command is TPM2_PCR_Extend of the sha256 bank by a constant, with an empty password.
Bytes extend_command(std::uint32_t pcr) {
  Bytes out = {0x80, 0x02, 0, 0, 0, 0, 0, 0, 1, 0x82};  // header
  const Bytes rest = {0,    0,   0, static_cast<std::uint8_t>(pcr),
                      0,    0,   0, 9,  // handle, length
                      0x40, 0,   0, 9,
                      0,    0,   0, 0,
                      0,  // empty password
                      0,    0,   0, 1,
                      0,    0x0b};  // one digest, SHA-256
  out.insert(out.end(), rest.begin(), rest.end());
  out.resize(out.size() + 32, 0x77);
  store_be32(out.data() + 2, static_cast<std::uint32_t>(out.size()));
  return out;
}

void append(const std::string& path, ByteView bytes) {
  std::FILE* file = std::fopen(path.c_str(), "ab");
  if (file == nullptr) end();
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (std::fclose(file) != 0 || !written) end();
}

struct Rule {
  std::string socket;
  std::uint32_t code;
  unsigned long nth;
  std::string action;
  std::string argument;
};

void run(const Rule& rule) {
  const int tpm = connect_to(rule.socket);
  const unsigned long number = std::strtoul(rule.argument.c_str(), nullptr, 0);
  unsigned long num_seen = 0;
  Bytes message;
  while (read_message(STDIN_FILENO, &message)) {
    const bool counts = rule.code == 0 || load_be32(message.data() + 6) == rule.code;
    const bool hit = counts && ++num_seen == rule.nth;
    if (hit && rule.action == "hang-up") {
      close(STDIN_FILENO);  // first: whoever has the answer writes to a broken pipe
      write_all(STDOUT_FILENO, error_answer(static_cast<std::uint32_t>(number)));
      return;
    }
    if (hit && rule.action == "answer") {
      write_all(STDOUT_FILENO, error_answer(static_cast<std::uint32_t>(number)));
      continue;
    }
    if (hit && rule.action == "kill") kill(static_cast<pid_t>(number), SIGKILL);
    if (hit && rule.action == "extend") {
      Bytes answer;
      write_all(tpm, extend_command(static_cast<std::uint32_t>(number)));
      if (!read_message(tpm, &answer) || load_be32(answer.data() + 6) != 0) end();
    }
    if (counts && rule.action == "count") append(rule.argument, ByteView(message).first(1));
    if (rule.action == "record") append(rule.argument, message);
    write_all(tpm, message);
    if (!read_message(tpm, &message)) end();
    if (rule.action == "record") append(rule.argument, message);
    write_all(STDOUT_FILENO, message);
  }
}

}  // namespace
}  // namespace rewrap

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  rewrap::run({.socket = argv[1],
               .code = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 0)),
               .nth = std::strtoul(argv[3], nullptr, 0),
               .action = argv[4],
               .argument = argv[5]});
  return 0;
}
