// Makes SoftHSM tokens with softhsm2-util.
#include "tests/hsm/softhsm_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

namespace rewrap::test {
namespace {

[[noreturn]] void give_up(const std::string& why) {
  (void)std::fprintf(stderr, "softhsm_fixture: %s\n", why.c_str());
  std::abort();
}

}  // namespace

int run_quietly(std::vector<std::string> words) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDOUT_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string make_private_folder() {
  std::string folder = std::filesystem::temp_directory_path() / "rewrap-test-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) give_up("cannot make a private folder");
  return folder;
}

void remove_folder(const std::string& folder) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
}

SoftHsmToken::SoftHsmToken(const std::string& label, const std::string& mechanisms)
    : folder_(make_private_folder()), label_(label) {
  const std::string tokens = folder_ + "/tokens";
  if (mkdir(tokens.c_str(), 0700) != 0) give_up("cannot make the token folder");
  const std::string conf =
      write_file("softhsm2.conf", "directories.tokendir = " + tokens +
                                      "\nobjectstore.backend = file\nlog.level = ERROR\n"
                                      "slots.removable = false\nslots.mechanisms = " +
                                      mechanisms + "\nlibrary.reset_on_fork = false\n");
  pin_file_ = write_file("pin", pin_ + "\n");
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  if (setenv("SOFTHSM2_CONF", conf.c_str(), 1) != 0) give_up("cannot set SOFTHSM2_CONF");
  add_token(label);
}

SoftHsmToken::~SoftHsmToken() { remove_folder(folder_); }

void SoftHsmToken::add_token(const std::string& label) {
  const int status = run_quietly({REWRAP_SOFTHSM_UTIL, "--init-token", "--free", "--label", label,
                                  "--pin", pin_, "--so-pin", "567890", "--module", module_path()});
  if (status != 0) give_up("softhsm2-util does not make a token");
}

std::string SoftHsmToken::uri(const std::string& object) const {
  return uri_with(object, module_path(), pin_file_);
}

std::string SoftHsmToken::uri_with(const std::string& object, const std::string& module_path,
                                   const std::string& pin_file) const {
  std::string uri = "pkcs11:token=" + label_;
  if (!object.empty()) uri += ";object=" + object;
  uri += "?module-path=" + module_path;
  if (!pin_file.empty()) uri += "&pin-source=file:" + pin_file;
  return uri;
}

std::string SoftHsmToken::write_file(const std::string& name, const std::string& text) const {
  std::string path = folder_ + "/" + name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  if (chmod(path.c_str(), 0600) != 0) give_up("cannot write into the private folder");
  return path;
}

std::string SoftHsmToken::module_path() { return REWRAP_SOFTHSM_MODULE; }

}  // namespace rewrap::test
