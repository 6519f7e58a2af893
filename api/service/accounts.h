// Accounts: names with a scrypt hash of a password (RFC 7914) or with a client certificate, and what
// they may do. Any thread.
#ifndef REWRAP_API_SERVICE_ACCOUNTS_H_
#define REWRAP_API_SERVICE_ACCOUNTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/service/answer.h"
#include "api/service/jobs.h"
#include "engine/base/bytes.h"
#include "engine/base/secret_buffer.h"

namespace rewrap {

// Stored: never renumber.
enum class Role : std::uint8_t {
  kAdmin = 1,          // everything
  kRekeyOperator = 2,  // read; start, pause, resume, cancel and throttle jobs
  kReadOnly = 3,       // read, without the audit log
  kAudit = 4,          // read, with the audit log
};
const char* role_name(Role role);  // "admin", "rekey-operator", "read-only", "audit"
std::optional<Role> find_role(std::string_view name);

// What a front end asks leave for, one of these for each of its operations.
enum class Permission : std::uint8_t {
  kRead = 1,       // keysets, jobs, configurations, without secrets
  kRekey = 2,      // jobs
  kConfigure = 3,  // AWS KMS, KMIP, nodes, keysets and DEKs
  kAccounts = 4,
  kReadAudit = 5,
};
bool may(Role role, Permission permission);

struct Account {
  std::int64_t id = 0;  // grows, never used again
  std::string name;
  Role role = Role::kReadOnly;
  bool has_password = false;
  std::string certificate_subject;  // the CN that a client certificate must have; empty: none
  std::uint64_t created_at = 0;
};

inline constexpr std::size_t kMinPasswordLen = 8;    // bytes
inline constexpr std::size_t kMaxPasswordLen = 512;  // longer ones are refused unread
inline constexpr std::size_t kMaxAccountNameLen = 64;

// scrypt's cost. About 16 MiB and 40 ms of one core; kept with each hash, so that it can be raised.
struct ScryptCost {
  std::uint64_t n = 16'384;
  std::uint32_t r = 8;
  std::uint32_t p = 1;
};

class Accounts {
 public:
  explicit Accounts(ServiceContext* context) : context_(context) {}

  // log_in checks a password. Wrong password, unknown name and an account without a password cost
  // the same and give the same failure. Takes one scrypt, so call it from a pool of threads and
  // limit how many run at once; remember a success for a short time instead of asking for each
  // request.
  // Errors: kDenied
  Answer<Account> log_in(std::string_view name, ByteView password);

  // log_in_certificate takes the CN of a client certificate whose chain TLS has checked.
  // Errors: kDenied
  Answer<Account> log_in_certificate(std::string_view common_name);

  Answer<std::vector<Account>> list();
  // Reasons of all that name an account: kNoSuchAccount. add and set: kInvalidInput, kNameTaken
  Answer<Account> get(const std::string& name);
  // `password` is empty for an account with a certificate only.
  Answer<Account> add(const std::string& name, Role role, ByteView password,
                      const std::string& certificate_subject, const Caller& caller);
  Answer<Done> set_password(const std::string& name, ByteView password, const Caller& caller);
  Answer<Done> set_role(const std::string& name, Role role, const Caller& caller);
  Answer<Done> remove(const std::string& name, const Caller& caller);

 private:
  ServiceContext* context_;
};

}  // namespace rewrap

#endif  // REWRAP_API_SERVICE_ACCOUNTS_H_
