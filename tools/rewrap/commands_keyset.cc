// Verbs: keyset create, keyset list, keyset export-sealed-kek, status, census, quarantine list, quarantine drop.
#include <ctime>
#include <iostream>
#include <utility>

#include "hsm/tpm2/blob_file.h"
#include "rekey/census.h"
#include "rekey/jsonl.h"
#include "rekey/keyset.h"
#include "tools/rewrap/cli.h"

namespace rewrap {
namespace {

namespace json = boost::json;

std::string format_time(std::uint64_t seconds) {
  if (seconds == 0) return "-";
  const auto time = static_cast<std::time_t>(seconds);
  std::tm utc{};
  std::array<char, 32> text{};
  gmtime_r(&time, &utc);
  if (std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) return "-";
  return text.data();
}

struct CreateArgs {
  NewKeyset request;
  std::string wrap = "kw";
  std::string custody = "host";
  std::string sealed_kek;  // name of tpm2-tools' files, without .pub and .priv; may be empty
};

int keyset_create(const GlobalOptions& global, CreateArgs args) {
  const std::string& name = args.request.name;
  for (const auto algorithm : {WrapAlgorithm::kKw, WrapAlgorithm::kKwp, WrapAlgorithm::kGcm}) {
    if (args.wrap == algorithm_name(algorithm)) args.request.algorithm = algorithm;
  }
  args.request.custody = find_custody(args.custody).value_or(Custody::kHost);
  if (!args.sealed_kek.empty()) {
    auto files = read_sealed(args.sealed_kek);
    if (!files.ok()) return fail("--sealed-kek " + args.sealed_kek, files.status());
    args.request.sealed_kek = std::move(files).value();
  }
  auto store = open_store(global.store_directory, OpenMode::kCreate);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  Keyring keyring(global.root);
  const auto keyset = create_keyset(store->get(), args.request, &keyring);
  if (!keyset.ok()) return fail("keyset '" + name + "'", keyset.status(), keyring);
  warn_of_protectors(keyring);
  if (global.json) {
    print_json({{"keyset", name},
                {"uuid", format_uuid(keyset->uuid)},
                {"kek_version", keyset->current_version},
                {"wrap", algorithm_name(keyset->algorithm)},
                {"dek_size", keyset->dek_len},
                {"custody", custody_name(keyset->custody)},
                {"broken_protectors", broken_protectors(keyring)}});
  }
  say(global, "keyset '" + name + "' created: KEK version 1, " + algorithm_name(keyset->algorithm) +
                  ", DEKs of " + std::to_string(keyset->dek_len) + " bytes, custody " +
                  custody_name(keyset->custody));
  return kExitDone;
}

int keyset_list(const GlobalOptions& global) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  const auto keysets = list_keysets(store->get());
  if (!keysets.ok()) return fail("store " + global.store_directory, keysets.status());
  json::array list;
  for (const KeysetRecord& keyset : keysets.value()) {
    list.push_back(
        {{"keyset", keyset.name}, {"uuid", format_uuid(keyset.uuid)}, {"deks", keyset.live_deks}});
    say(global, keyset.name + "  " + with_thousands(keyset.live_deks) + " DEKs  " +
                    format_uuid(keyset.uuid));
  }
  if (global.json) print_json({{"keysets", std::move(list)}});
  return kExitDone;
}

struct SealedArgs {
  std::string name;
  std::string path;
  KekVersion version = 0;
};

int export_sealed_kek(const GlobalOptions& global, const SealedArgs& args) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  const auto protector = find_sealed_kek(store->get(), args.name, args.version);
  if (!protector.ok()) return fail("keyset '" + args.name + "'", protector.status());
  const auto files = export_sealed(protector.value());
  if (!files.ok()) return fail("keyset '" + args.name + "'", files.status());
  const std::string pub = args.path + ".pub";
  const std::string priv = args.path + ".priv";
  const Status written = write_sealed(args.path, files.value());
  if (!written.ok()) return fail(pub + ", " + priv, written);
  if (global.json) {
    print_json({{"keyset", args.name},
                {"root", protector->root_uri},
                {"key", protector->key_ref},
                {"pub", pub},
                {"priv", priv}});
  }
  say(global, "the KEK, sealed by " + protector->root_uri + ", is in " + pub + " and " + priv);
  return kExitDone;
}

const char* state_of(const Census& census) {
  if (census.keyset.rekey_target != 0) return "rekeying";
  return census.unreadable_segments != 0 ? "damaged" : "ready";
}

std::uint64_t deks_at_current(const Census& census) {
  std::uint64_t deks = 0;
  for (const VersionCount& count : census.versions) {
    if (count.version == census.keyset.current_version) deks = count.deks;
  }
  return deks;
}

json::object status_json(const Census& census) {
  const KeysetRecord& keyset = census.keyset;
  json::object status{{"keyset", keyset.name},
                      {"state", state_of(census)},
                      {"kek_version", keyset.current_version},
                      {"deks", keyset.live_deks},
                      {"deks_at_current_version", deks_at_current(census)},
                      {"quarantined", census.quarantined()},
                      {"unreadable_segments", census.unreadable_segments},
                      {"wrap", algorithm_name(keyset.algorithm)},
                      {"custody", custody_name(keyset.custody)},
                      {"verified_version", keyset.verified_version},
                      {"verified_at", format_time(keyset.verified_at)}};
  if (keyset.algorithm == WrapAlgorithm::kGcm)
    status["gcm_wraps_left"] = kMaxGcmWraps - keyset.gcm_wraps;
  return status;
}

std::string status_text(const Census& census) {
  const KeysetRecord& keyset = census.keyset;
  std::string text = keyset.name + ": " + state_of(census) + ", KEK version " +
                     std::to_string(keyset.current_version) + ", " +
                     with_thousands(deks_at_current(census)) + " of " +
                     with_thousands(keyset.live_deks) + " DEKs under it";
  if (census.quarantined() != 0)
    text += ", " + with_thousands(census.quarantined()) + " in quarantine";
  text += keyset.verified_version == keyset.current_version
              ? ", verified " + format_time(keyset.verified_at)
              : ", not verified";
  if (keyset.algorithm == WrapAlgorithm::kGcm && keyset.gcm_wraps > kMaxGcmWraps / 2) {
    text += "\n  " + with_thousands(kMaxGcmWraps - keyset.gcm_wraps) +
            " GCM wraps are left under this version: rewrap rekey makes another";
  }
  if (keyset.rekey_target != 0)
    text += "\n  a rekey is running, or was stopped: rewrap rekey goes on with it";
  return text;
}

int status(const GlobalOptions& global, const std::string& only) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  const auto keysets = list_keysets(store->get());
  if (!keysets.ok()) return fail("store " + global.store_directory, keysets.status());
  auto snapshot = store.value()->snapshot();
  if (!snapshot.ok()) return fail("store " + global.store_directory, snapshot.status());
  json::array list;
  for (const KeysetRecord& keyset : keysets.value()) {
    if (!only.empty() && keyset.name != only) continue;
    const auto census = take_census(*snapshot.value(), keyset.name);
    if (!census.ok()) return fail("keyset '" + keyset.name + "'", census.status());
    list.push_back(status_json(census.value()));
    say(global, status_text(census.value()));
  }
  if (!only.empty() && list.empty()) {
    return fail("keyset '" + only + "'", Status(Errc::kNotFound, "there is no keyset of that name",
                                                "rewrap keyset list shows those there are"));
  }
  if (global.json) print_json({{"keysets", std::move(list)}});
  return kExitDone;
}

const char* version_state(const Census& census, const VersionCount& count) {
  if (count.state == KekState::kDestroyed) return "destroyed";
  return count.version == census.keyset.current_version ? "current" : "superseded";
}

int census(const GlobalOptions& global, const std::string& name) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  auto snapshot = store.value()->snapshot();
  if (!snapshot.ok()) return fail("store " + global.store_directory, snapshot.status());
  const auto census = take_census(*snapshot.value(), name);
  if (!census.ok()) return fail("keyset '" + name + "'", census.status());
  json::array versions;
  for (const VersionCount& count : census->versions) {
    versions.push_back({{"version", count.version},
                        {"state", version_state(census.value(), count)},
                        {"deks", count.deks},
                        {"quarantined", count.quarantined},
                        {"created_at", format_time(count.created_at)},
                        {"key_refs", json::value_from(count.key_refs)}});
    say(global,
        "KEK version " + std::to_string(count.version) + "  " +
            version_state(census.value(), count) + "  " + with_thousands(count.deks) + " DEKs" +
            (count.quarantined != 0 ? "  " + with_thousands(count.quarantined) + " in quarantine"
                                    : ""));
  }
  if (census->foreign_quarantined != 0) {
    say(global,
        "damaged at import  " + with_thousands(census->foreign_quarantined) + " in quarantine");
  }
  if (census->unreadable_segments != 0) {
    say(global, "unreadable segments: " + with_thousands(census->unreadable_segments) +
                    "; run rewrap verify");
  }
  if (global.json) {
    print_json({{"keyset", name},
                {"versions", std::move(versions)},
                {"foreign_quarantined", census->foreign_quarantined},
                {"unreadable_segments", census->unreadable_segments}});
  }
  return kExitDone;
}

int quarantine_list(const GlobalOptions& global, const std::string& name) {
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  const auto deks = list_quarantine(store->get(), name);
  if (!deks.ok()) return fail("keyset '" + name + "'", deks.status());
  json::array list;
  for (const QuarantinedDek& dek : deks.value()) {
    const char* reason = dek.record.reason == QuarantineReason::kImport ? "import" : "rekey";
    json::object object{{"id", format_uuid(dek.id)},
                        {"reason", reason},
                        {"wrap", algorithm_name(dek.record.algorithm)},
                        {"kek_version", dek.record.version},
                        {"since", format_time(dek.record.since)}};
    add_wrap(&object, wrap_members(dek.record.algorithm, dek.record.wrap, dek.record.aad));
    list.push_back(std::move(object));
    say(global, format_uuid(dek.id) + "  damaged at " + reason + ", " +
                    format_time(dek.record.since) +
                    (dek.record.version == 0
                         ? ", under the foreign KEK"
                         : ", under KEK version " + std::to_string(dek.record.version)));
  }
  if (global.json) print_json({{"keyset", name}, {"quarantined", std::move(list)}});
  return kExitDone;
}

struct DropArgs {
  std::string name;
  std::vector<std::string> ids;
  bool all = false;
};

int quarantine_drop(const GlobalOptions& global, const DropArgs& args) {
  if (args.all == !args.ids.empty()) {
    return fail("quarantine drop",
                Status(Errc::kInvalidArgument, "give the ids to drop, or --all",
                       "dropped DEKs are gone for good; rewrap quarantine list shows them"));
  }
  std::vector<DekId> ids(args.ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (parse_uuid(args.ids[i], &ids[i])) continue;
    return fail("'" + args.ids[i] + "'", Status(Errc::kInvalidArgument, "a DEK's id is a UUID"));
  }
  auto store = open_store(global.store_directory, OpenMode::kMustExist);
  if (!store.ok()) return fail("store " + global.store_directory, store.status());
  const auto dropped = drop_quarantine(store->get(), args.name, ids);
  if (!dropped.ok()) return fail("keyset '" + args.name + "'", dropped.status());
  if (global.json) print_json({{"keyset", args.name}, {"dropped", dropped.value()}});
  say(global, with_thousands(dropped.value()) + " quarantined DEKs dropped");
  return kExitDone;
}

}  // namespace

void add_keyset_commands(const Cli& cli) {
  const GlobalOptions* global = cli.global;
  const Verb keyset = cli.app.add_group("keyset", "create and list keysets");

  auto create = std::make_shared<CreateArgs>();
  Verb verb = keyset.add_verb("create", "make a keyset with a new KEK under a root key",
                              [=] { return keyset_create(*global, *create); });
  verb.add_option("NAME", &create->request.name, "name of the keyset").required();
  verb.add_option("--root", &create->request.root_uri,
                  "URI of the root key: pkcs11:... or file:/...")
      .required()
      .type_name("URI");
  verb.add_option("--wrap", &create->wrap, "kw (RFC 3394), kwp (RFC 5649) or gcm (SP 800-38D)")
      .one_of({"kw", "kwp", "gcm"})
      .shows_default();
  verb.add_option("--dek-size", &create->request.dek_len,
                  "bytes of the DEKs that dek generate makes")
      .one_of({16, 24, 32, 48, 64})
      .shows_default();
  verb.add_option("--custody", &create->custody,
                  "where the KEK is while DEKs are re-wrapped: in locked memory here; never out of "
                  "its token; or, with kw only, never out of its token and no DEK either")
      .one_of({"host", "kek-in-token", "in-token"})
      .shows_default();
  verb.add_option("--sealed-kek", &create->sealed_kek,
                  "take the KEK that tpm2_create -u PREFIX.pub -r PREFIX.priv sealed under the "
                  "tpm2: root, instead of a new one")
      .type_name("PREFIX");
  keyset.add_verb("list", "list the keysets of the store", [=] { return keyset_list(*global); });
  auto sealed = std::make_shared<SealedArgs>();
  verb = keyset.add_verb("export-sealed-kek",
                         "write a KEK as its TPM sealed it, for tpm2_load and tpm2_unseal",
                         [=] { return export_sealed_kek(*global, *sealed); });
  verb.add_option("NAME", &sealed->name, "name of the keyset").required();
  verb.add_option("PREFIX", &sealed->path, "makes PREFIX.pub and PREFIX.priv; must not exist")
      .required();
  verb.add_option("--kek-version", &sealed->version, "KEK version (default: the current one)")
      .between(1U, ~0U)
      .type_name("VERSION");

  auto name = std::make_shared<std::string>();
  verb = cli.app.add_verb("status", "state of one or all keysets",
                          [=] { return status(*global, *name); });
  verb.add_option("NAME", name.get(), "name of the keyset");
  verb = cli.app.add_verb("census", "how many DEKs are under each KEK version",
                          [=] { return census(*global, *name); });
  verb.add_option("NAME", name.get(), "name of the keyset").required();

  const Verb quarantine =
      cli.app.add_group("quarantine", "list or drop DEKs that failed their integrity check");
  verb = quarantine.add_verb("list", "list the damaged DEKs",
                             [=] { return quarantine_list(*global, *name); });
  verb.add_option("NAME", name.get(), "name of the keyset").required();
  auto drop = std::make_shared<DropArgs>();
  verb = quarantine.add_verb("drop", "give damaged DEKs up for good",
                             [=] { return quarantine_drop(*global, *drop); });
  verb.add_option("NAME", &drop->name, "name of the keyset").required();
  verb.add_option("ID", &drop->ids, "ids of the DEKs to drop");
  verb.add_flag("--all", &drop->all, "drop all of them");
}

}  // namespace rewrap
