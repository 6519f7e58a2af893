// Finding the token and holding a session on it.
#include "hsm/pkcs11/session.h"

#include <chrono>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "hsm/pkcs11/error.h"
#include "hsm/pkcs11/login.h"

namespace rewrap {
namespace {

constexpr CK_ULONG kMaxSlots = 1024;
constexpr int kMaxConnects = 5;
constexpr auto kPause = std::chrono::milliseconds(20);
constexpr auto kPatience = std::chrono::seconds(1);

template <std::size_t kLen>
std::string unpadded(const unsigned char (&field)[kLen]) {
  std::size_t len = kLen;
  while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == 0)) --len;
  return {field, field + len};
}

std::string version_text(const CK_VERSION& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

TokenIdentity identity_of(const CK_TOKEN_INFO& info) {
  return {.label = unpadded(info.label),
          .manufacturer = unpadded(info.manufacturerID),
          .model = unpadded(info.model),
          .serial = unpadded(info.serialNumber),
          .hardware = version_text(info.hardwareVersion),
          .firmware = version_text(info.firmwareVersion)};
}

bool matches(const TokenIdentity& token, const Pkcs11Uri& uri) {
  const auto agrees = [](std::string_view wanted, std::string_view found) {
    return wanted.empty() || wanted == found;
  };
  return agrees(uri.token, token.label) && agrees(uri.serial, token.serial) &&
         agrees(uri.model, token.model) && agrees(uri.manufacturer, token.manufacturer);
}

Result<std::vector<CK_SLOT_ID>> slots_with_token(CK_FUNCTION_LIST& api) {
  constexpr Literal kMessage = "the PKCS#11 module does not list its slots";
  // Some modules look for new tokens only when asked for the number.
  CK_ULONG num = 0;
  REWRAP_TRY(check(api.C_GetSlotList(kCkTrue, nullptr, &num), "C_GetSlotList", kMessage));
  std::vector<CK_SLOT_ID> slots(kMaxSlots);
  num = kMaxSlots;
  REWRAP_TRY(check(api.C_GetSlotList(kCkTrue, slots.data(), &num), "C_GetSlotList", kMessage));
  slots.resize(num);
  return slots;
}

bool is_user_state(CK_STATE state) {
  return state == CKS_RO_USER_FUNCTIONS || state == CKS_RW_USER_FUNCTIONS;
}

}  // namespace

Result<std::unique_ptr<Session>> Session::open(const Pkcs11Uri& uri, SessionMode mode,
                                               const RootOptions& options) {
  REWRAP_ASSIGN(auto module, Module::load(uri.module_path, uri.init_args));
  // Not make_unique: the constructor is private.
  std::unique_ptr<Session> session(new Session(std::move(module), mode));
  REWRAP_TRY(session->connect_patiently(uri));
  REWRAP_TRY(log_in(*session, uri, options));
  return session;
}

Session::~Session() { close(); }

void Session::close() {
  const CK_SESSION_HANDLE handle = std::exchange(handle_, CK_INVALID_HANDLE);
  if (handle != CK_INVALID_HANDLE && check_process().ok()) api().C_CloseSession(handle);
}

// Some tokens can be missed for a moment: SoftHSM while another process logs in, network HSMs while
// they start. So a token that is not there is looked for again, a few times and for a second at
// most. Nothing here presents a PIN.
Status Session::connect_patiently(const Pkcs11Uri& uri) {
  const auto start = std::chrono::steady_clock::now();
  Status status = connect(uri);
  for (int tries = 1; tries < kMaxConnects; ++tries) {
    const bool may_pass = status.code() == Errc::kNotFound ||
                          status.native_number() == CKR_SLOT_ID_INVALID ||
                          status.native_number() == CKR_TOKEN_NOT_RECOGNIZED;
    if (status.ok() || !may_pass || std::chrono::steady_clock::now() - start > kPatience) break;
    std::this_thread::sleep_for(kPause);
    // Others would lose their sessions; they have found the token's slot, and so shall we.
    REWRAP_TRY(module_->restart_unless_shared());
    status = connect(uri);
  }
  return status;
}

Status Session::connect(const Pkcs11Uri& uri) {
  const std::lock_guard lock(module_->call_mutex());  // so that nobody restarts it meanwhile
  epoch_ = module_->epoch();
  REWRAP_TRY(find_token(uri));
  REWRAP_ASSIGN(handle_, open_handle());
  return {};
}

Status Session::find_token(const Pkcs11Uri& uri) {
  REWRAP_ASSIGN(const auto slots, slots_with_token(api()));
  std::size_t num_found = 0;
  for (const CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    if (api().C_GetTokenInfo(slot, &info) != CKR_OK)
      continue;  // a sick token in another slot is not our business
    TokenIdentity identity = identity_of(info);
    if (!matches(identity, uri)) continue;
    ++num_found;
    slot_ = slot;
    token_ = std::move(identity);
  }
  if (num_found == 0) {
    return {
        Errc::kNotFound, "no token of that name is in the module's slots",
        "check token= and serial= in the URI; pkcs11-tool --module PATH -L lists what is there"};
  }
  if (num_found > 1) {
    return {Errc::kConflict, "more than one token matches the URI", "add serial= to the URI"};
  }
  return {};
}

Result<CK_SESSION_HANDLE> Session::open_handle() {
  CK_FLAGS flags = CKF_SERIAL_SESSION;
  if (next_mode_ == SessionMode::kReadWrite) flags |= CKF_RW_SESSION;
  CK_SESSION_HANDLE handle = CK_INVALID_HANDLE;
  REWRAP_TRY(check(api().C_OpenSession(slot_, flags, nullptr, nullptr, &handle), "C_OpenSession",
                   "the token gives no session"));
  mode_ = next_mode_;
  return handle;
}

Status Session::check_process() const {
  REWRAP_TRY(module_->check_process());
  if (epoch_ == module_->epoch()) return {};
  return {Errc::kUnavailable, "the PKCS#11 module was restarted to bring a lost token back",
          "open the root again"};
}

Result<bool> Session::is_logged_in() {
  CK_SESSION_INFO info{};
  REWRAP_TRY(check(api().C_GetSessionInfo(handle_, &info), "C_GetSessionInfo",
                   "the token does not answer"));
  return is_user_state(info.state);
}

Status Session::replace_handle() {
  REWRAP_TRY(check_process());
  REWRAP_ASSIGN(const CK_SESSION_HANDLE fresh, open_handle());
  api().C_CloseSession(std::exchange(handle_, fresh));
  return {};
}

Status Session::renew() {
  REWRAP_TRY(replace_handle());
  REWRAP_ASSIGN(const bool logged_in, is_logged_in());
  CK_TOKEN_INFO token{};
  REWRAP_TRY(
      check(api().C_GetTokenInfo(slot_, &token), "C_GetTokenInfo", "the token does not answer"));
  if ((token.flags & CKF_LOGIN_REQUIRED) != 0 && !logged_in) {
    return {Errc::kUnavailable, "the token has forgotten the login", "open the root again"};
  }
  return {};
}

Status Session::reconnect(bool allow_final_pin_try) {
  REWRAP_TRY(module_->check_process());
  handle_ = CK_INVALID_HANDLE;
  if (epoch_ == module_->epoch()) {
    const Status restarted = module_->restart();
    epoch_ = module_->epoch();  // so that the next call restarts again if this one goes no further
    REWRAP_TRY(restarted);
  }
  Pkcs11Uri same;
  same.token = token_.label;
  same.serial = token_.serial;
  REWRAP_TRY(connect(same));
  return log_in_again(*this, allow_final_pin_try);
}

}  // namespace rewrap
