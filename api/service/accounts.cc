// Accounts as rows, and scrypt by OpenSSL.
#include "api/service/accounts.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <array>

#include "api/service/context.h"
#include "hsm/random.h"
#include "rekey/records.h"

namespace rewrap {
namespace {

constexpr std::size_t kSaltLen = 16;
constexpr std::size_t kHashLen = 32;
// What scrypt may take, so that a changed row cannot make this process take all memory there is.
constexpr std::uint64_t kMaxScryptMemory = std::uint64_t{256} << 20;

using Hash = std::array<std::uint8_t, kHashLen>;

struct Row {
  Account account;
  Bytes salt;
  Bytes hash;
  ScryptCost cost;
};

Result<Hash> scrypt(ByteView password, ByteView salt, const ScryptCost& cost) {
  Hash hash{};
  // A null password would only check the parameters.
  const char* text =
      password.empty() ? "" : static_cast<const char*>(static_cast<const void*>(password.data()));
  if (EVP_PBE_scrypt(text, password.size(), salt.data(), salt.size(), cost.n, cost.r, cost.p,
                     kMaxScryptMemory, hash.data(), hash.size()) != 1) {
    return Status(Errc::kInternal, "OpenSSL's scrypt failed",
                  "set the password of the account anew");
  }
  return hash;
}

Failure log_in_denied() { return {Reason::kOther, Status(Errc::kDenied, "log in failed")}; }

Failure no_such_account() {
  return {Reason::kNoSuchAccount, Status(Errc::kNotFound, "there is no such account")};
}

constexpr auto kSelect = Literal(
    "SELECT id, name, role, salt, hash, scrypt_n, scrypt_r, scrypt_p,"
    " ifnull(certificate_subject, ''), created_at FROM accounts WHERE name = ifnull(?, name)"
    " AND ifnull(certificate_subject, '') = ifnull(?, ifnull(certificate_subject, ''))"
    " ORDER BY name");

Row read_row(Query* query) {
  Row row;
  row.account.id = query->i64();
  row.account.name = query->text();
  row.account.role = query->enumeration<Role>();
  row.salt = query->blob();
  row.hash = query->blob();
  row.cost.n = query->u64();
  row.cost.r = static_cast<std::uint32_t>(query->i64());
  row.cost.p = static_cast<std::uint32_t>(query->i64());
  row.account.certificate_subject = query->text();
  row.account.created_at = query->u64();
  row.account.has_password = !row.hash.empty();
  return row;
}

Result<std::vector<Row>> read_rows(ServiceDb* db, const std::optional<std::string_view>& name,
                                   const std::optional<std::string_view>& subject) {
  std::vector<Row> rows;
  REWRAP_TRY(db->read([&](Database& database) -> Status {
    REWRAP_ASSIGN(Query query, database.query(kSelect, name, subject));
    for (;;) {
      REWRAP_ASSIGN(const bool found, query.next());
      if (!found) return {};
      rows.push_back(read_row(&query));
    }
  }));
  return rows;
}

Status check_password(ByteView password) {
  if (password.size() >= kMinPasswordLen && password.size() <= kMaxPasswordLen) return {};
  return {Errc::kInvalidArgument, "a password is 8 to 512 bytes long"};
}

struct NewHash {
  std::array<std::uint8_t, kSaltLen> salt{};
  Hash hash{};
  ScryptCost cost;
};

Result<NewHash> make_hash(ByteView password) {
  REWRAP_TRY(check_password(password));
  NewHash made;
  REWRAP_TRY(random_bytes(made.salt));
  REWRAP_ASSIGN(made.hash, scrypt(password, made.salt, made.cost));
  return made;
}

bool is_role(Role role) { return role >= Role::kAdmin && role <= Role::kAudit; }

// change_one runs an UPDATE or DELETE of one account.
Answer<Done> change_one(ServiceContext* context, const Caller& caller, const char* action,
                        const std::string& name, const ServiceDb::Body& body) {
  Status status = audit(context, caller, action, "account " + name, "requested");
  if (!status.ok()) return status;
  std::int64_t changed = 0;
  status = context->db->write([&](Database& database) -> Status {
    REWRAP_TRY(body(database));
    changed = database.num_changed();
    return {};
  });
  if (!status.ok()) return status;
  if (changed == 0) return no_such_account();
  return Done{};
}

}  // namespace

const char* role_name(Role role) {
  switch (role) {
    case Role::kAdmin:
      return "admin";
    case Role::kRekeyOperator:
      return "rekey-operator";
    case Role::kReadOnly:
      return "read-only";
    case Role::kAudit:
      return "audit";
  }
  return "unknown";
}

std::optional<Role> find_role(std::string_view name) {
  for (const Role role : {Role::kAdmin, Role::kRekeyOperator, Role::kReadOnly, Role::kAudit}) {
    if (name == role_name(role)) return role;
  }
  return std::nullopt;
}

bool may(Role role, Permission permission) {
  switch (role) {
    case Role::kAdmin:
      return true;
    case Role::kRekeyOperator:
      return permission == Permission::kRead || permission == Permission::kRekey;
    case Role::kReadOnly:
      return permission == Permission::kRead;
    case Role::kAudit:
      return permission == Permission::kRead || permission == Permission::kReadAudit;
  }
  return false;
}

Answer<Account> Accounts::log_in(std::string_view name, ByteView password) {
  if (password.size() > kMaxPasswordLen || name.size() > kMaxAccountNameLen) return log_in_denied();
  const Result<std::vector<Row>> rows = read_rows(context_->db.get(), name, std::nullopt);
  if (!rows.ok()) return rows.status();
  // Who is not known, or has no password, is checked against a hash that nothing has.
  Row nobody;
  nobody.salt.resize(kSaltLen);
  nobody.hash.resize(kHashLen);
  nobody.cost = ScryptCost();
  const bool known = rows->size() == 1 && rows->front().account.has_password;
  const Row& row = known ? rows->front() : nobody;
  Result<Hash> hash = scrypt(password, row.salt, row.cost);
  if (!hash.ok()) return hash.status();
  const bool equal = secrets_equal(hash.value(), row.hash);
  wipe(hash.value());
  if (!equal || !known) return log_in_denied();
  return row.account;
}

Answer<Account> Accounts::log_in_certificate(std::string_view common_name) {
  if (common_name.empty() || common_name.size() > kMaxAccountNameLen) return log_in_denied();
  const Result<std::vector<Row>> rows = read_rows(context_->db.get(), std::nullopt, common_name);
  if (!rows.ok()) return rows.status();
  if (rows->size() != 1) return log_in_denied();
  return rows->front().account;
}

Answer<std::vector<Account>> Accounts::list() {
  const Result<std::vector<Row>> rows = read_rows(context_->db.get(), std::nullopt, std::nullopt);
  if (!rows.ok()) return rows.status();
  std::vector<Account> accounts;
  for (const Row& row : rows.value()) accounts.push_back(row.account);
  return accounts;
}

Answer<Account> Accounts::get(const std::string& name) {
  const Result<std::vector<Row>> rows = read_rows(context_->db.get(), name, std::nullopt);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return no_such_account();
  return rows->front().account;
}

Answer<Account> Accounts::add(const std::string& name, Role role, ByteView password,
                              const std::string& certificate_subject, const Caller& caller) {
  if (!is_keyset_name(name) || certificate_subject.size() > kMaxAccountNameLen || !is_role(role)) {
    return Status(Errc::kInvalidArgument,
                  "an account's name is 1 to 64 characters of A-Z a-z 0-9 . _ -",
                  "so is the common name of its certificate, of any characters");
  }
  if (password.empty() && certificate_subject.empty()) {
    return Status(Errc::kInvalidArgument, "an account has a password or a certificate");
  }
  std::optional<NewHash> hash;
  if (!password.empty()) {
    const Result<NewHash> made = make_hash(password);
    if (!made.ok()) return made.status();
    hash = made.value();
  }
  Status status =
      audit(context_, caller, "account.add", "account " + name, "requested", role_name(role));
  if (!status.ok()) return status;
  const auto blob = [&](const auto& bytes) {
    return hash ? std::optional<Bytes>(Bytes(bytes.begin(), bytes.end())) : std::nullopt;
  };
  const ScryptCost cost = hash ? hash->cost : ScryptCost();
  const NewHash none;
  const NewHash& made = hash ? *hash : none;
  const std::optional<std::string> subject =
      certificate_subject.empty() ? std::nullopt : std::optional(certificate_subject);
  status = context_->db->write([&](Database& database) {
    return database.run(
        "INSERT INTO accounts(name, role, salt, hash, scrypt_n, scrypt_r, scrypt_p,"
        " certificate_subject, created_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        name, role, blob(made.salt), blob(made.hash), cost.n, cost.r, cost.p, subject,
        now_seconds());
  });
  if (!status.ok()) return status;
  return get(name);
}

Answer<Done> Accounts::set_password(const std::string& name, ByteView password,
                                    const Caller& caller) {
  const Result<NewHash> made = make_hash(password);
  if (!made.ok()) return made.status();
  return change_one(context_, caller, "account.password", name, [&](Database& database) {
    return database.run(
        "UPDATE accounts SET salt = ?, hash = ?, scrypt_n = ?, scrypt_r = ?,"
        " scrypt_p = ? WHERE name = ?",
        ByteView(made->salt), ByteView(made->hash), made->cost.n, made->cost.r, made->cost.p, name);
  });
}

Answer<Done> Accounts::set_role(const std::string& name, Role role, const Caller& caller) {
  if (!is_role(role)) return Status(Errc::kInvalidArgument, "there is no such role");
  return change_one(context_, caller, "account.role", name, [&](Database& database) {
    return database.run("UPDATE accounts SET role = ? WHERE name = ?", role, name);
  });
}

Answer<Done> Accounts::remove(const std::string& name, const Caller& caller) {
  return change_one(context_, caller, "account.remove", name, [&](Database& database) {
    return database.run("DELETE FROM accounts WHERE name = ?", name);
  });
}

}  // namespace rewrap
