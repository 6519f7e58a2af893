// Verbs: account add, passwd, role, remove, list. Accounts are the service's; these verbs go to its
// database, whether it runs or not, so that the first account can be made before the daemon is ever
// started, and a lost password mended by whoever owns the store. A password comes from the terminal or
// from a file, never from the command line, which every process on the machine can read.
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <iostream>

#include "api/service/context.h"
#include "hsm/secret_file.h"
#include "tools/rewrap/cli.h"
#include "tools/rewrap/terminal.h"

namespace rewrap {
namespace {

namespace json = boost::json;

struct AccountArgs {
  std::string name;
  std::string role = "read-only";
  std::string password_file;        // empty: ask at the terminal
  std::string certificate_subject;  // empty: none
  bool no_password = false;
};

constexpr const char* kRoles = "admin, rekey-operator, read-only or audit";

Result<SecretBuffer> new_password(const AccountArgs& args) {
  if (args.password_file.empty()) return prompt_new_password(args.name);
  return read_pin_file(args.password_file);
}

// open_accounts opens the service's database alone: no root, no job is touched.
Status open_accounts(const GlobalOptions& global, ServiceContext* context) {
  if (mkdir(global.store_directory.c_str(), 0700) != 0 && errno != EEXIST)
    return Status::from_errno(errno, "mkdir", "the folder of the store cannot be made");
  REWRAP_ASSIGN(context->db, ServiceDb::open(global.store_directory));
  return {};
}

Caller this_caller() { return {JobOrigin::kCommandLine, "", "rewrap account"}; }

json::object to_json(const Account& account) {
  return {{"name", account.name},
          {"role", role_name(account.role)},
          {"has_password", account.has_password},
          {"certificate_subject", account.certificate_subject},
          {"created", account.created_at}};
}

void show(const GlobalOptions& global, const Account& account) {
  if (global.json) print_json(to_json(account));
  std::string line = account.name + "  " + role_name(account.role);
  if (account.has_password) line += "  password";
  if (!account.certificate_subject.empty())
    line += "  certificate CN=" + account.certificate_subject;
  say(global, line);
}

using Change = std::function<Status(Accounts*)>;

int change(const GlobalOptions& global, const AccountArgs& args, const Change& body) {
  ServiceContext context;
  Status status = open_accounts(global, &context);
  if (status.ok()) status = body(&context.accounts);
  return status.ok() ? static_cast<int>(kExitDone) : fail("account '" + args.name + "'", status);
}

int account_add(const GlobalOptions& global, const AccountArgs& args) {
  return change(global, args, [&](Accounts* accounts) -> Status {
    SecretBuffer password;
    if (!args.no_password) {
      REWRAP_ASSIGN(password, new_password(args));
    }
    const auto added =
        accounts->add(args.name, find_role(args.role).value_or(Role::kReadOnly),
                      password.expose_secret(), args.certificate_subject, this_caller());
    if (!added.ok()) return added.status();
    show(global, added.value());
    return {};
  });
}

int account_passwd(const GlobalOptions& global, const AccountArgs& args) {
  return change(global, args, [&](Accounts* accounts) -> Status {
    REWRAP_ASSIGN(const SecretBuffer password, new_password(args));
    return accounts->set_password(args.name, password.expose_secret(), this_caller()).status();
  });
}

int account_role(const GlobalOptions& global, const AccountArgs& args) {
  return change(global, args, [&](Accounts* accounts) {
    const Role role = find_role(args.role).value_or(Role::kReadOnly);
    return accounts->set_role(args.name, role, this_caller()).status();
  });
}

int account_remove(const GlobalOptions& global, const AccountArgs& args) {
  return change(global, args, [&](Accounts* accounts) {
    return accounts->remove(args.name, this_caller()).status();
  });
}

int account_list(const GlobalOptions& global, const AccountArgs& args) {
  return change(global, args, [&](Accounts* accounts) -> Status {
    const auto all = accounts->list();
    if (!all.ok()) return all.status();
    json::array list;
    for (const Account& account : all.value()) list.push_back(to_json(account));
    if (global.json) {
      print_json({{"accounts", std::move(list)}});
      return {};
    }
    for (const Account& account : all.value()) show(global, account);
    return {};
  });
}

}  // namespace

void add_account_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  auto args = std::make_shared<AccountArgs>();
  const Verb account = cli.app.add_group("account", "who may log in to the service");
  const auto add = [&](const char* name, const char* description, const Action& run) {
    Verb verb = account.add_verb(name, description, run);
    verb.add_option("NAME", &args->name, "name of the account").required();
    return verb;
  };
  const auto add_role = [&](const Verb& verb) {
    return verb.add_option("--role", &args->role, kRoles)
        .one_of({"admin", "rekey-operator", "read-only", "audit"})
        .shows_default();
  };
  const auto add_password_file = [&](const Verb& verb) {
    verb.add_option("--password-file", &args->password_file,
                    "read the password from this file; without it, ask at the terminal");
  };

  Verb make = add("add", "make an account", [=] { return account_add(*global, *args); });
  add_role(make);
  add_password_file(make);
  make.add_option("--certificate", &args->certificate_subject,
                  "common name of the client certificate that logs in as this account");
  make.add_flag("--no-password", &args->no_password, "a certificate is the only way in");
  add_password_file(
      add("passwd", "change a password", [=] { return account_passwd(*global, *args); }));
  add_role(add("role", "change what it may do", [=] {
    return account_role(*global, *args);
  })).required();
  add("remove", "remove an account", [=] { return account_remove(*global, *args); });
  account.add_verb("list", "show the accounts", [=] { return account_list(*global, *args); });
}

}  // namespace rewrap
