// The fixture of the rekey tests.
#include "tests/rekey/fixture.h"
#include "hsm/random.h"

#include <cstdlib>
#include <filesystem>

namespace rewrap {

TempDirectory::TempDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "rewrap_test.XXXXXX").string();
  path_ = mkdtemp(name.data());
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

RootOptions RekeyFixture::root_options() {
  RootOptions options;
  options.allow_file_root = true;
  return options;
}

std::unique_ptr<Keyring> RekeyFixture::new_keyring() {
  return std::make_unique<Keyring>(root_options());
}

const Implementation& RekeyFixture::implementation() {
  return *ok_value(choose_implementation(""));
}

void RekeyFixture::SetUp() {
  root_uri_ = "file:" + directory_.path() + "/root.key";
  ASSERT_TRUE(create_root_key(root_uri_, root_options()).ok());
  store_ = ok_value(open_store(directory_.path() + "/store", OpenMode::kCreate));
  const auto created =
      create_keyset(store_.get(), {kName, root_uri_, algorithm(), 32}, new_keyring().get());
  ASSERT_TRUE(created.ok()) << created.status().describe();
}

std::vector<DekId> RekeyFixture::generate(std::uint64_t count, std::size_t dek_len) {
  return ok_value(generate_deks(store_.get(), kName, new_keyring().get(), count, dek_len,
                                implementation(), {}));
}

DekId RekeyFixture::add_damaged() {
  const auto keyring = new_keyring();
  const auto snapshot = ok_value(store_->snapshot());
  const KeysetRecord keyset = ok_value(load_keyset(*snapshot, kName, keyring.get()));
  NewDeks deks;
  deks.version = keyset.current_version;
  deks.dek_len = 32;
  deks.ids.resize(1);
  deks.wraps.resize(wrapped_len(algorithm(), 32));
  EXPECT_TRUE(random_bytes(deks.ids.front()).ok());
  EXPECT_TRUE(random_bytes(deks.wraps).ok());
  const Status status = append_deks(store_.get(), kName, *keyring, deks);
  EXPECT_TRUE(status.ok()) << status.describe();
  return deks.ids.front();
}

Result<RekeyReport> RekeyFixture::rekey_with(Store* store, unsigned num_threads) {
  RekeyOptions options;
  options.implementation = &implementation();
  options.num_threads = num_threads;
  return rekey(store, kName, new_keyring().get(), options);
}

RekeyReport RekeyFixture::rekey_all() { return ok_value(rekey_with(store_.get())); }

VerifyReport RekeyFixture::verify_all() {
  return ok_value(verify(store_.get(), kName, new_keyring().get(), {&implementation(), 2, {}}));
}

Census RekeyFixture::census() {
  const auto snapshot = ok_value(store_->snapshot());
  return ok_value(take_census(*snapshot, kName));
}

std::map<DekId, Bytes> RekeyFixture::open_all(const std::vector<DekId>& ids) {
  std::map<DekId, Bytes> keys;
  const auto keyring = new_keyring();
  for (const DekId& id : ids) {
    const WrappedDek dek = ok_value(get_dek(store_.get(), kName, id, keyring.get()));
    const WrapSide side{dek.algorithm, &keyring->find(dek.version)->kek, {dek.aad, nullptr}};
    auto unwrap = ok_value(implementation().make({dek.dek_len, side, std::nullopt, false}));
    Bytes key(dek.dek_len);
    std::array<std::uint8_t, 1> verdict{kDamaged};
    EXPECT_TRUE(unwrap->run(dek.wrap, key, verdict).ok());
    EXPECT_EQ(verdict[0], kIntact) << format_uuid(id);
    keys.emplace(id, std::move(key));
  }
  return keys;
}

}  // namespace rewrap
