// Loading by p11-kit's managed modules, once per library and process.
#include "hsm/pkcs11/module.h"

#include "hsm/pkcs11/cryptoki.h"
// p11-kit's own headers need the types above.
#include <p11-kit/p11-kit.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <utility>

#include "hsm/pkcs11/error.h"

namespace rewrap {

// Library is what all Modules of one path share. p11-kit counts initialisations, so only because
// this is the single one that rewrap makes does finalising it reach the library.
class Module::Library {
 public:
  Library(CK_FUNCTION_LIST* api, std::string init_args)
      : api_(api), init_args_(std::move(init_args)) {}
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (!guard_.is_owner()) return;
    finalize();
    p11_kit_module_release(api_);
  }

  // By the managed module's own C_Initialize, which counts users as p11_kit_module_initialize does,
  // and which alone takes arguments.
  Status initialize() {
    CK_C_INITIALIZE_ARGS args{};
    args.flags = CKF_OS_LOCKING_OK;
    args.pReserved = init_args_.empty() ? nullptr : init_args_.data();
    REWRAP_TRY(check_as(Errc::kUnavailable, api_->C_Initialize(&args), "C_Initialize",
                        "the PKCS#11 module does not start",
                        "check the module's own configuration and that this user may read it"));
    initialized_ = true;
    return {};
  }

  void finalize() {
    if (initialized_) p11_kit_module_finalize(api_);
    initialized_ = false;
  }

  CK_FUNCTION_LIST* api_;
  std::string init_args_;
  bool initialized_ = false;
  std::atomic<std::uint64_t> epoch_{0};
  std::recursive_mutex calls_;
  std::map<std::string, KeptPin> pins_;  // by the token's serial number; guarded by calls_
  ProcessGuard guard_;
};

namespace {

// Registry knows the libraries that are loaded. Never destroyed, since Modules may outlive it.
template <typename Library>
struct Registry {
  std::mutex mutex;
  std::map<std::string, std::weak_ptr<Library>> by_path;

  static Registry& get() {
    static auto& registry = *new Registry;
    return registry;
  }
};

std::string canonical_path(const std::string& path) {
  std::error_code failed;
  const auto canonical = std::filesystem::canonical(path, failed);
  return failed ? path : canonical.string();
}

}  // namespace

Module::Module(std::shared_ptr<Library> library) : library_(std::move(library)) {}

Result<std::unique_ptr<Module>> Module::load(const std::string& path,
                                             const std::string& init_args) {
  if (access(path.c_str(), F_OK) != 0) {
    return Status(Errc::kNotFound, "there is no PKCS#11 module at module-path",
                  "check module-path= in the URI");
  }
  auto& registry = Registry<Library>::get();
  const std::lock_guard lock(registry.mutex);
  std::weak_ptr<Library>& known = registry.by_path[canonical_path(path)];
  std::shared_ptr<Library> library = known.lock();
  // A forked child must not go on with what its parent initialised.
  if (!library || !library->guard_.is_owner()) {
    CK_FUNCTION_LIST* api = p11_kit_module_load(path.c_str(), 0);
    if (api == nullptr) {
      return Status(Errc::kUnavailable,
                    "the file at module-path cannot be loaded as a PKCS#11 module",
                    "check module-path= in the URI, and the module's libraries with ldd");
    }
    library = std::make_shared<Library>(api, init_args);
    REWRAP_TRY(library->initialize());
    known = library;
  }
  // Not make_unique: the constructor is private.
  return std::unique_ptr<Module>(new Module(std::move(library)));
}

Module::~Module() {
  // Under the lock, so that nobody loads what is just being finalised.
  auto& registry = Registry<Library>::get();
  if (!library_->guard_.is_owner()) return;
  const std::lock_guard lock(registry.mutex);
  library_.reset();
}

Status Module::restart() {
  REWRAP_TRY(check_process());
  library_->epoch_.fetch_add(1, std::memory_order_relaxed);
  library_->finalize();
  return library_->initialize();
}

// While the registry is locked nobody can come to share the library. Its calls are locked only once
// it is ours alone: others who hold them may be waiting for the registry.
Status Module::restart_unless_shared() {
  const std::lock_guard lock(Registry<Library>::get().mutex);
  if (library_.use_count() > 1) return {};
  const std::lock_guard calls(library_->calls_);
  return restart();
}

std::uint64_t Module::epoch() const { return library_->epoch_.load(std::memory_order_relaxed); }

std::recursive_mutex& Module::call_mutex() const { return library_->calls_; }

Status Module::check_process() const { return library_->guard_.check(); }

CK_FUNCTION_LIST& Module::api() const { return *library_->api_; }

void Module::keep_pin(const std::string& serial, SecretBuffer pin) {
  library_->pins_.insert_or_assign(serial, KeptPin{.pin = std::move(pin)});
}

Module::KeptPin* Module::kept_pin(const std::string& serial) {
  const auto found = library_->pins_.find(serial);
  return found == library_->pins_.end() ? nullptr : &found->second;
}

void Module::forget_pin(const std::string& serial) { library_->pins_.erase(serial); }

}  // namespace rewrap
