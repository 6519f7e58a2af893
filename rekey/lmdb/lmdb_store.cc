// The store on LMDB: one file, copy-on-write pages, no recovery code. One fsync'ed commit per
// transaction.
//
//   meta        "format" -> u32                      "next keyset" -> u32
//   keysets     name -> KeysetRecord
//   keks        keyset u32, version u32 -> KekVersionRecord
//   ids         keyset u32, segment u32 -> ids column; written when DEKs are added, never by a
//   rekey wraps       keyset u32, segment u32 -> header, wraps, tag; the only values that a rekey
//   rewrites index       keyset u32, id 16 -> segment u32, slot u32; never touched by a rekey
//   quarantine  keyset u32, id 16 -> QuarantineRecord
// Integers are big-endian, so that LMDB's byte order is the numeric order.
#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "engine/base/files.h"
#include "rekey/store.h"

namespace rewrap {
namespace {

// Address space only; the file grows as needed. Room for about 200 million DEKs.
constexpr std::size_t kMapLen = std::size_t{64} << 30;
constexpr unsigned kMaxReaders = 512;
constexpr std::size_t kMaxUnwrittenPages = 64;
constexpr const char* kDataFile = "/data.mdb";
constexpr std::string_view kFormatKey = "format";
constexpr std::string_view kNextKeysetKey = "next keyset";

enum Table : std::size_t { kMeta, kKeysets, kKeks, kIds, kWraps, kIndex, kQuarantine, kNumTables };
constexpr std::array<const char*, kNumTables> kTableNames = {"meta",  "keysets", "keks",      "ids",
                                                             "wraps", "index",   "quarantine"};
using Tables = std::array<MDB_dbi, kNumTables>;

// check turns an LMDB return code into a Status. Codes above zero are errno values.
Status check(int rc, Literal call) {
  if (rc == MDB_SUCCESS) return {};
  if (rc == MDB_NOTFOUND) return Status(Errc::kNotFound, "not in the store");
  const auto fail = [&](Errc code, Literal message, Literal hint) {
    return Status::from_native(code, Native::kLmdb, static_cast<std::uint32_t>(rc),
                               mdb_strerror(rc), call, message, hint);
  };
  switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_CURSOR_FULL:
    case MDB_BAD_VALSIZE:
      return fail(Errc::kCorruption, "the store is damaged, or not a rewrap store",
                  "restore the directory from a backup");
    case MDB_VERSION_MISMATCH:
      return fail(Errc::kUnsupported, "the store was written by another version of LMDB",
                  "use the program that wrote it");
    case MDB_MAP_FULL:
      return fail(Errc::kExhausted, "the store has reached its largest size",
                  "use a second store for further keysets");
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return fail(Errc::kExhausted, "the disk is full; nothing that was committed is lost",
                  "free some space and run the same command again");
    case MDB_READERS_FULL:
      return fail(Errc::kExhausted, "too many readers of the store",
                  "end some of the programs that use it");
    case MDB_PANIC:
      return fail(Errc::kIo, "an earlier write failed, so the store takes no more",
                  "check the disk, then start again");
    default:
      break;
  }
  if (rc > 0) {
    return Status::from_errno(
        rc, call, "the store cannot be read or written; nothing that was committed is lost",
        "check the disk and its free space, then run the same command again");
  }
  return fail(Errc::kInternal, "LMDB refused an operation", "");
}

ByteView view(const MDB_val& value) {
  return {static_cast<const std::uint8_t*>(value.mv_data), value.mv_size};
}

// Key builds the big-endian keys of the tables, at most a keyset number and an id.
class Key {
 public:
  explicit Key(std::string_view name) : view_(as_bytes(name)) {}
  explicit Key(KeysetNumber keyset) : view_(ByteView(bytes_).first(4)) {
    store_be32(bytes_.data(), keyset);
  }
  Key(KeysetNumber keyset, std::uint32_t number) : view_(ByteView(bytes_).first(8)) {
    store_be32(bytes_.data(), keyset);
    store_be32(bytes_.data() + 4, number);
  }
  Key(KeysetNumber keyset, const DekId& id) : view_(bytes_) {
    store_be32(bytes_.data(), keyset);
    copy_bytes(ByteSpan(bytes_).subspan(4), id);
  }
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  MDB_val val() { return {view_.size(), const_cast<std::uint8_t*>(view_.data())}; }

 private:
  std::array<std::uint8_t, 20> bytes_{};
  ByteView view_;
};

Result<DekLocation> decode_location(ByteView value) {
  if (value.size() != 8) return Status(Errc::kCorruption, "an index entry is damaged");
  return DekLocation{load_be32(value.data()), load_be32(value.data() + 4)};
}

DekId id_of_key(ByteView key) {
  DekId id{};
  copy_bytes(id, key.subspan(4));
  return id;
}

MDB_val val(ByteView bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }

// LmdbSnapshot serves both roles: a reading transaction, or the reading half of a write
// transaction.
template <typename Interface>
class LmdbSnapshot : public Interface {
 public:
  LmdbSnapshot(MDB_txn* txn, const Tables& tables) : txn_(txn), tables_(tables) {}
  ~LmdbSnapshot() override {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }

  Status refresh() override {
    mdb_txn_reset(txn_);
    return check(mdb_txn_renew(txn_), "mdb_txn_renew");
  }

  Result<ByteView> keyset(std::string_view name) override {
    Key key(name);
    return get(kKeysets, &key);
  }
  Result<ByteView> kek_version(KeysetNumber keyset, KekVersion version) override {
    Key key(keyset, version);
    return get(kKeks, &key);
  }
  Result<ByteView> ids(KeysetNumber keyset, SegmentNumber segment) override {
    Key key(keyset, segment);
    return get(kIds, &key);
  }
  Result<ByteView> wraps(KeysetNumber keyset, SegmentNumber segment) override {
    Key key(keyset, segment);
    return get(kWraps, &key);
  }
  Result<ByteView> quarantined(KeysetNumber keyset, const DekId& id) override {
    Key key(keyset, id);
    return get(kQuarantine, &key);
  }
  Result<DekLocation> find(KeysetNumber keyset, const DekId& id) override {
    Key key(keyset, id);
    REWRAP_ASSIGN(const ByteView value, get(kIndex, &key));
    return decode_location(value);
  }

  Status for_each_keyset(const std::function<Status(ByteView)>& visit) override {
    return walk(kKeysets, nullptr, [&](ByteView, ByteView value) { return visit(value); });
  }
  Status for_each_kek_version(KeysetNumber keyset,
                              const std::function<Status(KekVersion, ByteView)>& visit) override {
    Key prefix(keyset);
    return walk(kKeks, &prefix, [&](ByteView key, ByteView value) {
      return visit(load_be32(key.data() + 4), value);
    });
  }
  Status for_each_segment(KeysetNumber keyset,
                          const std::function<Status(SegmentNumber, ByteView)>& visit) override {
    Key prefix(keyset);
    return walk(kWraps, &prefix, [&](ByteView key, ByteView value) {
      return visit(load_be32(key.data() + 4), value);
    });
  }
  Status for_each_location(KeysetNumber keyset,
                           const std::function<Status(const DekId&, DekLocation)>& visit) override {
    Key prefix(keyset);
    return walk(kIndex, &prefix, [&](ByteView key, ByteView value) -> Status {
      REWRAP_ASSIGN(const DekLocation location, decode_location(value));
      return visit(id_of_key(key), location);
    });
  }
  Status for_each_quarantined(KeysetNumber keyset,
                              const std::function<Status(const DekId&, ByteView)>& visit) override {
    Key prefix(keyset);
    return walk(kQuarantine, &prefix,
                [&](ByteView key, ByteView value) { return visit(id_of_key(key), value); });
  }

 protected:
  Result<ByteView> get(Table table, Key* key) {
    MDB_val k = key->val();
    MDB_val v{};
    REWRAP_TRY(check(mdb_get(txn_, tables_[table], &k, &v), "mdb_get"));
    return view(v);
  }

  // walk visits the entries whose key starts with `prefix` (all, if null). Every table that is
  // walked by prefix has keys of one length, longer than the prefix; anything else is damage.
  template <typename Visit>
  Status walk(Table table, Key* prefix, const Visit& visit) {
    MDB_cursor* cursor = nullptr;
    REWRAP_TRY(check(mdb_cursor_open(txn_, tables_[table], &cursor), "mdb_cursor_open"));
    const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> owner(cursor, mdb_cursor_close);
    const MDB_val start = prefix == nullptr ? MDB_val{} : prefix->val();
    MDB_val key = start;
    MDB_val value{};
    int rc = mdb_cursor_get(cursor, &key, &value, prefix == nullptr ? MDB_FIRST : MDB_SET_RANGE);
    while (rc == MDB_SUCCESS) {
      if (prefix != nullptr) {
        const bool inside = key.mv_size >= start.mv_size &&
                            std::memcmp(key.mv_data, start.mv_data, start.mv_size) == 0;
        if (!inside) return {};
        const std::size_t want = table == kQuarantine || table == kIndex ? 20 : 8;
        if (key.mv_size != want)
          return Status(Errc::kCorruption, "a key in the store has a wrong length");
      }
      REWRAP_TRY(visit(view(key), view(value)));
      rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? Status() : check(rc, "mdb_cursor_get");
  }

  MDB_txn* txn_;
  const Tables& tables_;
};

class LmdbTransaction final : public LmdbSnapshot<Transaction> {
 public:
  using LmdbSnapshot::LmdbSnapshot;

  Status refresh() override { return {}; }  // a write transaction always sees the newest state

  Result<KeysetNumber> next_keyset_number() override {
    Key key(kNextKeysetKey);
    REWRAP_ASSIGN(const ByteView value, get(kMeta, &key));
    if (value.size() != 4) return Status(Errc::kCorruption, "the keyset counter is damaged");
    const KeysetNumber number = load_be32(value.data());
    std::array<std::uint8_t, 4> next{};
    store_be32(next.data(), number + 1);
    REWRAP_TRY(put(kMeta, &key, next));
    return number;
  }

  Status put_keyset(std::string_view name, ByteView value) override {
    Key key(name);
    return put(kKeysets, &key, value);
  }
  Status put_kek_version(KeysetNumber keyset, KekVersion version, ByteView value) override {
    Key key(keyset, version);
    return put(kKeks, &key, value);
  }
  Status put_ids(KeysetNumber keyset, SegmentNumber segment, ByteView value) override {
    Key key(keyset, segment);
    return put(kIds, &key, value);
  }
  Status put_wraps(KeysetNumber keyset, SegmentNumber segment, ByteView value) override {
    Key key(keyset, segment);
    return put(kWraps, &key, value);
  }
  Status put_location(KeysetNumber keyset, const DekId& id, DekLocation location) override {
    Key key(keyset, id);
    std::array<std::uint8_t, 8> value{};
    store_be32(value.data(), location.segment);
    store_be32(value.data() + 4, location.slot);
    return put(kIndex, &key, value);
  }
  Status put_quarantined(KeysetNumber keyset, const DekId& id, ByteView value) override {
    Key key(keyset, id);
    return put(kQuarantine, &key, value);
  }
  Status drop_location(KeysetNumber keyset, const DekId& id) override {
    Key key(keyset, id);
    return drop(kIndex, &key);
  }
  Status drop_quarantined(KeysetNumber keyset, const DekId& id) override {
    Key key(keyset, id);
    return drop(kQuarantine, &key);
  }

  Status commit() override {
    return check(mdb_txn_commit(std::exchange(txn_, nullptr)), "mdb_txn_commit");
  }

 private:
  Status put(Table table, Key* key, ByteView value) {
    MDB_val k = key->val();
    MDB_val v = val(value);
    return check(mdb_put(txn_, tables_[table], &k, &v, 0), "mdb_put");
  }
  Status drop(Table table, Key* key) {
    MDB_val k = key->val();
    return check(mdb_del(txn_, tables_[table], &k, nullptr), "mdb_del");
  }
};

class LmdbStore final : public Store {
 public:
  explicit LmdbStore(std::string directory) : directory_(std::move(directory)) {}
  ~LmdbStore() override {
    if (env_ != nullptr) mdb_env_close(env_);
  }

  Status open(bool create) {
    REWRAP_TRY(check(mdb_env_create(&env_), "mdb_env_create"));
    REWRAP_TRY(check(mdb_env_set_mapsize(env_, kMapLen), "mdb_env_set_mapsize"));
    REWRAP_TRY(check(mdb_env_set_maxdbs(env_, kNumTables), "mdb_env_set_maxdbs"));
    REWRAP_TRY(check(mdb_env_set_maxreaders(env_, kMaxReaders), "mdb_env_set_maxreaders"));
    // NOTLS: compute threads come and go, and each keeps its snapshot. No flag that weakens
    // durability.
    REWRAP_TRY(check(mdb_env_open(env_, directory_.c_str(), MDB_NOTLS, 0600), "mdb_env_open"));
    REWRAP_TRY(check_file_len());
    int dead = 0;
    REWRAP_TRY(check(mdb_reader_check(env_, &dead),
                     "mdb_reader_check"));  // free what killed readers pinned
    REWRAP_TRY(open_tables(create));
    return check_format();
  }

  Result<std::unique_ptr<Snapshot>> snapshot() override {
    MDB_txn* txn = nullptr;
    REWRAP_TRY(check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &txn), "mdb_txn_begin"));
    return std::unique_ptr<Snapshot>(std::make_unique<LmdbSnapshot<Snapshot>>(txn, tables_));
  }

  Result<std::unique_ptr<Transaction>> begin() override {
    MDB_txn* txn = nullptr;
    REWRAP_TRY(check(mdb_txn_begin(env_, nullptr, 0, &txn), "mdb_txn_begin"));
    return std::unique_ptr<Transaction>(std::make_unique<LmdbTransaction>(txn, tables_));
  }

  [[nodiscard]] const std::string& directory() const override { return directory_; }

 private:
  // LMDB maps the file, so a page that the file has lost would be a bus error in the middle of a
  // job. Better to know now. A few pages may be missing from a sound file: those that a transaction
  // allocated at the end and freed again before they were ever written. They are given back as
  // zeros; if they did hold something, its tag or LMDB's page header tells.
  Status check_file_len() {
    MDB_envinfo info{};
    MDB_stat stat{};
    REWRAP_TRY(check(mdb_env_info(env_, &info), "mdb_env_info"));
    REWRAP_TRY(check(mdb_env_stat(env_, &stat), "mdb_env_stat"));
    int fd = -1;
    REWRAP_TRY(check(mdb_env_get_fd(env_, &fd), "mdb_env_get_fd"));
    struct stat file {};
    if (fstat(fd, &file) != 0) {
      return Status::from_errno(errno, "fstat", "the store cannot be read");
    }
    const auto want = static_cast<off_t>((info.me_last_pgno + 1) * stat.ms_psize);
    if (file.st_size >= want) return {};
    const auto page = static_cast<off_t>(stat.ms_psize);
    const bool whole_pages = file.st_size % page == 0;  // LMDB writes no others
    if (!whole_pages || want - file.st_size > static_cast<off_t>(kMaxUnwrittenPages) * page) {
      return Status(Errc::kCorruption,
                    "the store's data file is shorter than its contents: it was truncated",
                    "restore the directory from a backup");
    }
    // Unlike ftruncate, fallocate cannot shorten a file that another process has just extended.
    if (fallocate(fd, 0, file.st_size, want - file.st_size) == 0) return {};
    return Status::from_errno(errno, "fallocate", "the store's data file cannot be extended");
  }

  // A store is made in one transaction, and only in an empty file: a second creator, or one that
  // follows a crash, finds either nothing or everything.
  Status open_tables(bool create) {
    MDB_txn* raw = nullptr;
    REWRAP_TRY(check(mdb_txn_begin(env_, nullptr, create ? 0U : unsigned{MDB_RDONLY}, &raw),
                     "mdb_txn_begin"));
    LmdbTransaction txn(raw, tables_);
    MDB_dbi main = 0;
    MDB_stat stat{};
    REWRAP_TRY(check(mdb_dbi_open(raw, nullptr, 0, &main), "mdb_dbi_open"));
    REWRAP_TRY(check(mdb_stat(raw, main, &stat), "mdb_stat"));
    const bool fresh = create && stat.ms_entries == 0;
    for (std::size_t table = 0; table < kNumTables; ++table) {
      const int rc = mdb_dbi_open(raw, kTableNames[table], fresh ? MDB_CREATE : 0, &tables_[table]);
      if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE) {
        return Status(Errc::kCorruption,
                      "this LMDB file is not a rewrap store, or a table of it is lost",
                      "check --store, or restore the directory from a backup");
      }
      REWRAP_TRY(check(rc, "mdb_dbi_open"));
    }
    if (fresh) REWRAP_TRY(write_format(raw));
    return txn.commit();
  }

  Status write_format(MDB_txn* txn) {
    std::array<std::uint8_t, 4> number{};
    Key format(kFormatKey);
    store_be32(number.data(), kStoreFormat);
    MDB_val key = format.val();
    MDB_val value = val(number);
    REWRAP_TRY(check(mdb_put(txn, tables_[kMeta], &key, &value, 0), "mdb_put"));
    Key next(kNextKeysetKey);
    store_be32(number.data(), 1);
    key = next.val();
    value = val(number);
    return check(mdb_put(txn, tables_[kMeta], &key, &value, 0), "mdb_put");
  }

  Status check_format() {
    MDB_txn* raw = nullptr;
    REWRAP_TRY(check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &raw), "mdb_txn_begin"));
    const LmdbSnapshot<Snapshot> owner(raw, tables_);
    Key format(kFormatKey);
    MDB_val key = format.val();
    MDB_val value{};
    const Status status = check(mdb_get(raw, tables_[kMeta], &key, &value), "mdb_get");
    if (!status.ok() || value.mv_size != 4) {
      return Status(Errc::kCorruption, "the store does not say its format",
                    "restore the directory from a backup");
    }
    const std::uint32_t number = load_be32(view(value).data());
    if (number > kStoreFormat) {
      return Status(Errc::kUnsupported, "the store was written by a newer version of rewrap",
                    "upgrade this program; it will not touch the store");
    }
    return number == kStoreFormat
               ? Status()
               : Status(Errc::kCorruption, "the store's format number is not valid");
  }

  std::string directory_;
  MDB_env* env_ = nullptr;
  Tables tables_{};
};

Status make_directory(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Status::from_errno(errno, "mkdir", "the store's directory cannot be made",
                              "name another with --store, or make its parent directory");
  }
  return {};
}

// Whoever can write the store names the PKCS#11 module that is loaded for it.
Status check_directory(const std::string& directory) {
  struct stat info {};
  if (stat(directory.c_str(), &info) != 0) {
    return Status::from_errno(errno, "stat", "the store's directory cannot be examined");
  }
  const bool ours = info.st_uid == geteuid() || info.st_uid == 0;
  if (ours && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  return Status(Errc::kDenied, "others may write the store's directory, or own it",
                "make it yours alone: chown and chmod 700, and ask who may have changed it");
}

}  // namespace

Result<std::unique_ptr<Store>> open_store(const std::string& directory, OpenMode mode) {
  const bool exists = access((directory + kDataFile).c_str(), F_OK) == 0;
  const bool create = mode == OpenMode::kCreate;
  if (!exists && !create) {
    return Status(Errc::kNotFound, "there is no store in this directory",
                  "name it with --store, or make one with: rewrap keyset create NAME --root URI");
  }
  if (!exists) REWRAP_TRY(make_directory(directory));
  REWRAP_TRY(check_directory(directory));
  auto store = std::make_unique<LmdbStore>(directory);
  REWRAP_TRY(store->open(create));
  if (create) {  // also if the file was there: its maker may not have come to sync it
    REWRAP_TRY(sync_directory(directory));
    REWRAP_TRY(sync_directory(directory + "/.."));
  }
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace rewrap
