// Verbs: dek generate, dek get.
#include <iostream>

#include "rekey/jsonl.h"
#include "rekey/keyset.h"
#include "tools/rewrap/cli.h"
#include "tools/rewrap/terminal.h"

namespace rewrap {
namespace {

// More in one call would hold all ids in memory for no good reason.
constexpr std::uint64_t kMaxGenerate = 100'000'000;

struct GenerateArgs {
  std::string name;
  std::uint64_t count = 1;
  std::size_t dek_len = 0;  // 0: the keyset's own
};

Result<KeysetRecord> find_keyset(Store* store, const std::string& name) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  return peek_keyset(*snapshot, name);
}

int dek_generate(const GlobalOptions& global, GenerateArgs args) {
  const std::string subject = "keyset '" + args.name + "'";
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  const auto keyset = find_keyset(store->get(), args.name);
  if (!keyset.ok()) return fail(subject, keyset.status());
  if (args.dek_len == 0) args.dek_len = keyset->dek_len;
  const auto implementation = choose_implementation("");
  if (!implementation.ok()) return fail("self-test", implementation.status());
  Keyring keyring(global.root);
  ProgressBar bar("generating", global.quiet);
  if (keyset->custody != Custody::kHost && !global.json) bar.expect_token();
  const auto ids = generate_deks(store->get(), args.name, &keyring, args.count, args.dek_len,
                                 *implementation.value(), bar.callback());
  if (!ids.ok()) return fail(subject, ids.status(), keyring);
  warn_of_protectors(keyring);
  if (global.json) {
    boost::json::array list;
    list.reserve(ids->size());
    for (const DekId& id : ids.value()) list.push_back(boost::json::string(format_uuid(id)));
    print_json({{"keyset", args.name}, {"generated", ids->size()}, {"ids", std::move(list)}});
  } else {
    for (const DekId& id : ids.value()) std::cout << format_uuid(id) << '\n';
  }
  return kExitDone;
}

struct GetArgs {
  std::string name;
  std::string id;
  bool unauthenticated = false;
};

int dek_get(const GlobalOptions& global, const GetArgs& args) {
  DekId id{};
  if (!parse_uuid(args.id, &id))
    return fail("'" + args.id + "'", Status(Errc::kInvalidArgument, "a DEK's id is a UUID"));
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  Keyring keyring(global.root);
  const auto dek = get_dek(store->get(), args.name, id, args.unauthenticated ? nullptr : &keyring);
  if (!dek.ok()) {
    const int code = fail("keyset '" + args.name + "', DEK " + args.id, dek.status(), keyring);
    return dek.status().code() == Errc::kIntegrity ? kExitIncomplete : code;
  }
  warn_of_protectors(keyring);
  boost::json::object object{
      {"id", format_uuid(id)},         {"alg", alg_name(dek->algorithm, kKekLen)},
      {"kek_version", dek->version},   {"dek_size", dek->dek_len},
      {"created_at", dek->created_at}, {"authenticated", !args.unauthenticated}};
  add_wrap(&object, wrap_members(dek->algorithm, dek->wrap, dek->aad));
  print_json(object);
  return kExitDone;
}

}  // namespace

void add_dek_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  const Verb dek = cli.app.add_group("dek", "make and look up DEKs");

  auto generate = std::make_shared<GenerateArgs>();
  Verb verb = dek.add_verb("generate", "make new random DEKs and print their ids",
                           [=] { return dek_generate(*global, *generate); });
  verb.add_option("NAME", &generate->name, "name of the keyset").required();
  verb.add_option("--count", &generate->count, "how many")
      .required()
      .between(std::uint64_t{1}, kMaxGenerate);
  verb.add_option("--size", &generate->dek_len, "bytes of each DEK (default: the keyset's)")
      .one_of({16, 24, 32, 48, 64});

  auto get = std::make_shared<GetArgs>();
  verb = dek.add_verb("get", "print a wrapped DEK and its KEK version, as JSON",
                      [=] { return dek_get(*global, *get); });
  verb.add_option("NAME", &get->name, "name of the keyset").required();
  verb.add_option("ID", &get->id, "id of the DEK").required();
  verb.add_flag("--unauthenticated", &get->unauthenticated,
                "do not ask the root for the key that authenticates the store");
}

}  // namespace rewrap
