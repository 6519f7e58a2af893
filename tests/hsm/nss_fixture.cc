// Makes NSS tokens with certutil.
#include "tests/hsm/nss_fixture.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/hsm/softhsm_fixture.h"

namespace rewrap::test {
namespace {

[[noreturn]] void give_up(const char* why) {
  (void)std::fprintf(stderr, "nss_fixture: %s\n", why);
  std::abort();
}

}  // namespace

NssToken::NssToken() : folder_(make_private_folder()), pin_file_(write_file("pin", "1234\n")) {
  // NSS derives a key from the PIN anew for nearly every use of a stored key. The PIN of a test is
  // no secret, so its derivation need not be slow.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  if (setenv("NSS_MAX_MP_PBE_ITERATION_COUNT", "1", 1) != 0) give_up("cannot set the environment");
  if (run_quietly({REWRAP_CERTUTIL, "-N", "-d", "sql:" + folder_, "-f", pin_file_}) != 0)
    give_up("certutil does not make a token");
}

NssToken::~NssToken() { remove_folder(folder_); }

std::string NssToken::uri_with(const std::string& object, const std::string& module_path,
                               const std::string& pin_file) const {
  std::string uri = "pkcs11:token=NSS%20Certificate%20DB";
  if (!object.empty()) uri += ";object=" + object;
  uri += "?module-path=" + module_path + "&pin-source=file:" + pin_file;
  return uri + "&x-rewrap-init-args=configdir%3D'sql:" + folder_ +
         "'%20certPrefix%3D''%20keyPrefix%3D''%20secmod%3D'secmod.db'%20flags%3D";
}

std::string NssToken::write_file(const std::string& name, const std::string& text) const {
  std::string path = folder_ + "/" + name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  if (chmod(path.c_str(), 0600) != 0) give_up("cannot write into the private folder");
  return path;
}

std::string NssToken::uri(const std::string& object) const {
  return uri_with(object, module_path(), pin_file_);
}

std::string NssToken::module_path() { return REWRAP_SOFTOKEN_MODULE; }

}  // namespace rewrap::test
