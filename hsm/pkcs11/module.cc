// Loading by p11-kit's managed modules.
#include "hsm/pkcs11/module.h"

#include "hsm/pkcs11/cryptoki.h"
// p11-kit's own headers need the types above.
#include <p11-kit/p11-kit.h>
#include <unistd.h>

#include "hsm/pkcs11/error.h"

namespace rewrap {
namespace {

Status initialize(CK_FUNCTION_LIST* api) {
  return check_as(Errc::kUnavailable, p11_kit_module_initialize(api), "C_Initialize",
                  "the PKCS#11 module does not start",
                  "check the module's own configuration and that this user may read it");
}

}  // namespace

Result<std::unique_ptr<Module>> Module::load(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0) {
    return Status(Errc::kNotFound, "there is no PKCS#11 module at module-path",
                  "check module-path= in the URI");
  }
  CK_FUNCTION_LIST* api = p11_kit_module_load(path.c_str(), 0);
  if (api == nullptr) {
    return Status(Errc::kUnavailable,
                  "the file at module-path cannot be loaded as a PKCS#11 module",
                  "check module-path= in the URI, and the module's libraries with ldd");
  }
  // Not make_unique: the constructor is private.
  std::unique_ptr<Module> module(new Module(api));
  REWRAP_TRY(initialize(api));
  module->initialized_ = true;
  return module;
}

Module::~Module() {
  if (!guard_.is_owner()) return;
  if (initialized_) p11_kit_module_finalize(api_);
  p11_kit_module_release(api_);
}

Status Module::restart() {
  REWRAP_TRY(guard_.check());
  if (initialized_) p11_kit_module_finalize(api_);
  initialized_ = false;
  REWRAP_TRY(initialize(api_));
  initialized_ = true;
  return {};
}

}  // namespace rewrap
