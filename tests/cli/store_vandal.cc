// Damages a store on purpose, through LMDB and below everything that rewrap checks. For tests.
//
// Usage: store_vandal STORE COMMAND [NUMBER...]
//   swap-wraps SEGMENT SLOT SLOT   exchanges two wraps inside a segment
//   swap-segments SEGMENT SEGMENT  exchanges the two values, each with the number it now stands at
//   move-segments SEGMENT SEGMENT  exchanges the two values as they are
//   flip-header SEGMENT BYTE BIT   flips a bit of the header
//   flip-bitmap SEGMENT SLOT       flips a slot's live bit
//   flip-wrap SEGMENT SLOT BIT     flips a bit of a wrap
//   flip-tag SEGMENT BYTE BIT      flips a bit of the tag
//   flip-ids SEGMENT BYTE BIT      flips a bit of the ids column
//   flip-keyset BYTE BIT           flips a bit of the keyset's record
//   drop-index N                   removes the Nth entry of the index
//   turn-index N SEGMENT SLOT      makes the Nth entry of the index lead elsewhere
//   drop-segment SEGMENT           removes a segment's wraps
//   drop-ids SEGMENT               removes a segment's ids
//   set-format NUMBER              changes the store's format number
//   replay SEGMENT                 puts the segment's value of the store in STORE.old in its place
//   count                          prints the number of segments
//   print SEGMENT                  prints the segment's value in hexadecimal
//
// It works on the keyset that was made first, and knows the layout from rekey/segment.h.
#include <lmdb.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rekey/segment.h"

namespace rewrap::test {
namespace {

constexpr KeysetNumber kKeyset = 1;
constexpr unsigned kNumTables = 16;
constexpr std::size_t kMapLen = std::size_t{1} << 32;
constexpr std::size_t kSegmentNumberAt = 24;  // in the header, behind magic, format, kind and UUID

using Numbers = std::vector<std::uint32_t>;

[[noreturn]] void give_up(const std::string& why) {
  (void)std::fprintf(stderr, "store_vandal: %s\n", why.c_str());
  std::exit(1);
}

void must(int rc, const char* what) {
  if (rc != MDB_SUCCESS) give_up(std::string(what) + ": " + mdb_strerror(rc));
}

Bytes segment_key(SegmentNumber segment) {
  Bytes key(8);
  store_be32(key.data(), kKeyset);
  store_be32(key.data() + 4, segment);
  return key;
}

Bytes text_key(std::string_view text) {
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

// Db is one write transaction over a store; what is put is there once it goes.
class Db {
 public:
  explicit Db(const std::string& directory) {
    must(mdb_env_create(&env_), "mdb_env_create");
    must(mdb_env_set_mapsize(env_, kMapLen), "mdb_env_set_mapsize");
    must(mdb_env_set_maxdbs(env_, kNumTables), "mdb_env_set_maxdbs");
    must(mdb_env_open(env_, directory.c_str(), MDB_NOSYNC, 0600), directory.c_str());
    must(mdb_txn_begin(env_, nullptr, 0, &txn_), "mdb_txn_begin");
  }
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;
  ~Db() {
    must(mdb_txn_commit(txn_), "mdb_txn_commit");
    must(mdb_env_sync(env_, 1), "mdb_env_sync");
    mdb_env_close(env_);
  }

  Bytes get(const char* table, const Bytes& key) {
    MDB_val k = val(key);
    MDB_val v{};
    must(mdb_get(txn_, open(table), &k, &v), table);
    return bytes(v);
  }
  void put(const char* table, const Bytes& key, const Bytes& value) {
    MDB_val k = val(key);
    MDB_val v = val(value);
    must(mdb_put(txn_, open(table), &k, &v, 0), table);
  }
  void drop(const char* table, const Bytes& key) {
    MDB_val k = val(key);
    must(mdb_del(txn_, open(table), &k, nullptr), table);
  }
  // key_at gives the nth key of a table, in its order.
  Bytes key_at(const char* table, std::uint32_t n) {
    MDB_cursor* cursor = nullptr;
    must(mdb_cursor_open(txn_, open(table), &cursor), table);
    MDB_val k{};
    MDB_val v{};
    must(mdb_cursor_get(cursor, &k, &v, MDB_FIRST), table);
    for (std::uint32_t i = 0; i < n; ++i) must(mdb_cursor_get(cursor, &k, &v, MDB_NEXT), table);
    Bytes key = bytes(k);
    mdb_cursor_close(cursor);
    return key;
  }
  std::size_t count(const char* table) {
    MDB_stat stat{};
    must(mdb_stat(txn_, open(table), &stat), table);
    return stat.ms_entries;
  }

 private:
  static MDB_val val(const Bytes& bytes) {
    return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())};
  }
  static Bytes bytes(const MDB_val& value) {
    const auto* data = static_cast<const std::uint8_t*>(value.mv_data);
    return {data, data + value.mv_size};
  }
  MDB_dbi open(const char* table) {
    MDB_dbi dbi = 0;
    must(mdb_dbi_open(txn_, table, 0, &dbi), table);
    return dbi;
  }

  MDB_env* env_ = nullptr;
  MDB_txn* txn_ = nullptr;
};

void flip(Bytes* value, std::size_t byte, std::uint32_t bit) {
  if (byte >= value->size() || bit > 7) give_up("no such byte or bit");
  (*value)[byte] = static_cast<std::uint8_t>((*value)[byte] ^ 1U << bit);
}

// change puts a value back after `edit` has had it.
void change(Db* db, const char* table, const Bytes& key, const std::function<void(Bytes*)>& edit) {
  Bytes value = db->get(table, key);
  edit(&value);
  db->put(table, key, value);
}

// slot_range gives where the wrap of a slot begins and how long it is.
std::pair<std::size_t, std::size_t> slot_range(const Bytes& value, std::uint32_t slot) {
  DekId uuid{};
  copy_bytes(uuid, ByteView(value).subspan(8, uuid.size()));
  const auto view = parse_segment(value, uuid, load_be32(value.data() + kSegmentNumberAt));
  if (!view.ok() || slot >= view->header.count) give_up("no such slot");
  const auto start = static_cast<std::size_t>(view->wrap(slot).data() - value.data());
  return {start, view->wrap_len()};
}

void swap_wraps(Db* db, const Numbers& args) {
  change(db, "wraps", segment_key(args[0]), [&](Bytes* value) {
    const auto [a, len] = slot_range(*value, args[1]);
    const auto [b, same_len] = slot_range(*value, args[2]);
    for (std::size_t i = 0; i < len; ++i) std::swap((*value)[a + i], (*value)[b + i]);
  });
}

void exchange_segments(Db* db, const Numbers& args, bool renumber) {
  Bytes first = db->get("wraps", segment_key(args[0]));
  Bytes second = db->get("wraps", segment_key(args[1]));
  if (renumber) {
    store_be32(first.data() + kSegmentNumberAt, args[1]);
    store_be32(second.data() + kSegmentNumberAt, args[0]);
  }
  db->put("wraps", segment_key(args[0]), second);
  db->put("wraps", segment_key(args[1]), first);
}

void flip_in_segment(Db* db, const char* table, SegmentNumber segment,
                     const std::function<std::size_t(const Bytes&)>& where, std::uint32_t bit) {
  change(db, table, segment_key(segment), [&](Bytes* value) { flip(value, where(*value), bit); });
}

void flip_bitmap(Db* db, const Numbers& args) {
  const auto byte = [&](const Bytes&) { return kSegmentHeaderLen + args[1] / 8; };
  flip_in_segment(db, "wraps", args[0], byte, args[1] % 8);
}

void flip_wrap(Db* db, const Numbers& args) {
  const auto byte = [&](const Bytes& value) {
    return slot_range(value, args[1]).first + args[2] / 8;
  };
  flip_in_segment(db, "wraps", args[0], byte, args[2] % 8);
}

void set_format(Db* db, const Numbers& args) {
  Bytes number(4);
  store_be32(number.data(), args[0]);
  db->put("meta", text_key("format"), number);
}

void turn_index(Db* db, const Numbers& args) {
  Bytes location(8);
  store_be32(location.data(), args[1]);
  store_be32(location.data() + 4, args[2]);
  db->put("index", db->key_at("index", args[0]), location);
}

struct Command {
  std::size_t num_args;
  std::function<void(Db*, const Numbers&, const std::string& store)> run;
};

const std::map<std::string, Command>& commands() {
  using Args = const Numbers&;
  using Store = const std::string&;
  static const std::map<std::string, Command> kCommands = {
      {"swap-wraps", {3, [](Db* db, Args args, Store) { swap_wraps(db, args); }}},
      {"swap-segments", {2, [](Db* db, Args args, Store) { exchange_segments(db, args, true); }}},
      {"move-segments", {2, [](Db* db, Args args, Store) { exchange_segments(db, args, false); }}},
      {"flip-header",
       {3,
        [](Db* db, Args args, Store) {
          if (args[1] >= kSegmentHeaderLen) give_up("the header ends before that");
          flip_in_segment(
              db, "wraps", args[0], [&](const Bytes&) { return args[1]; }, args[2]);
        }}},
      {"flip-bitmap", {2, [](Db* db, Args args, Store) { flip_bitmap(db, args); }}},
      {"flip-wrap", {3, [](Db* db, Args args, Store) { flip_wrap(db, args); }}},
      {"flip-tag",
       {3,
        [](Db* db, Args args, Store) {
          const auto byte = [&](const Bytes& v) { return v.size() - kTagLen + args[1]; };
          flip_in_segment(db, "wraps", args[0], byte, args[2]);
        }}},
      {"flip-ids",
       {3,
        [](Db* db, Args args, Store) {
          flip_in_segment(
              db, "ids", args[0], [&](const Bytes&) { return args[1]; }, args[2]);
        }}},
      {"flip-keyset",
       {2,
        [](Db* db, Args args, Store) {
          change(db, "keysets", db->key_at("keysets", 0),
                 [&](Bytes* value) { flip(value, args[0] % value->size(), args[1]); });
        }}},
      {"drop-index",
       {1, [](Db* db, Args args, Store) { db->drop("index", db->key_at("index", args[0])); }}},
      {"turn-index", {3, [](Db* db, Args args, Store) { turn_index(db, args); }}},
      {"drop-segment",
       {1, [](Db* db, Args args, Store) { db->drop("wraps", segment_key(args[0])); }}},
      {"drop-ids", {1, [](Db* db, Args args, Store) { db->drop("ids", segment_key(args[0])); }}},
      {"set-format", {1, [](Db* db, Args args, Store) { set_format(db, args); }}},
      {"replay",
       {1,
        [](Db* db, Args args, Store store) {
          const Bytes key = segment_key(args[0]);
          db->put("wraps", key, Db(store + ".old").get("wraps", key));
        }}},
      {"print",
       {1, [](Db* db, Args args,
              Store) { std::puts(encode_hex(db->get("wraps", segment_key(args[0]))).c_str()); }}},
      {"count", {0, [](Db* db, Args, Store) { std::printf("%zu\n", db->count("wraps")); }}},
  };
  return kCommands;
}

}  // namespace
}  // namespace rewrap::test

int main(int argc, char** argv) {
  using rewrap::test::commands;
  using rewrap::test::give_up;
  if (argc < 3) give_up("usage: store_vandal STORE COMMAND [NUMBER...]");
  const auto at = commands().find(argv[2]);
  if (at == commands().end()) give_up("no such command");
  rewrap::test::Numbers args;
  for (int i = 3; i < argc; ++i) {
    args.push_back(static_cast<std::uint32_t>(std::strtoul(argv[i], nullptr, 0)));
  }
  if (args.size() != at->second.num_args) give_up("wrong number of arguments");
  rewrap::test::Db db(argv[1]);
  at->second.run(&db, args, argv[1]);
  return 0;
}
