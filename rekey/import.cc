// The two passes of an import.
#include "rekey/import.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "engine/token_transform.h"
#include "rekey/dek_wrap.h"
#include "rekey/jsonl.h"
#include "rekey/line_reader.h"

namespace rewrap {
namespace {

// Told every so many lines, so that a bar moves but costs nothing.
constexpr std::uint64_t kLinesPerProgress = 16384;

// Importer runs both passes over one file.
class Importer {
 public:
  Importer(Store* store, const std::string& name, Keyring* keyring, const ImportOptions& options)
      : store_(store), name_(name), keyring_(keyring), options_(options) {}

  Result<ImportReport> run() {
    const auto begin = std::chrono::steady_clock::now();
    REWRAP_TRY(load());
    if (options_.from->access() == WrappingAccess::kValue) {
      REWRAP_ASSIGN(SecretBuffer value, options_.from->take_value());
      REWRAP_ASSIGN(Kek kek, Kek::create(std::move(value)));
      from_value_.emplace(std::move(kek));
    }
    REWRAP_TRY(check_file());
    if (report_.num_problems == 0) REWRAP_TRY(import_file());
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return std::move(report_);
  }

 private:
  // Lines of one kind go through one transform together.
  struct Kind {
    WrapAlgorithm algorithm = WrapAlgorithm::kKw;
    std::size_t dek_len = 0;
    std::size_t aad_len = 0;
    bool operator<(const Kind& other) const {
      return std::tie(algorithm, dek_len, aad_len) <
             std::tie(other.algorithm, other.dek_len, other.aad_len);
    }
  };
  struct Group {
    std::vector<DekId> ids;
    Bytes wraps;
    Bytes aads;
  };
  static Kind kind_of(const WrapLine& line) {
    return {line.algorithm, line.dek_len, line.aad.size()};
  }

  Status load() {
    REWRAP_ASSIGN(auto snapshot, store_->snapshot());
    REWRAP_ASSIGN(keyset_, load_keyset(*snapshot, name_, keyring_));
    return {};
  }

  void problem(std::uint64_t line, const Status& what) {
    if (report_.num_problems++ < kMaxProblems) report_.problems.push_back({line, what});
  }

  // for_each_line calls `visit` with each line that is not blank and its parsed form or what is
  // wrong with it.
  template <typename Visit>
  Status for_each_line(std::uint64_t passes_before, const Visit& visit) {
    REWRAP_ASSIGN(LineReader reader, LineReader::open(options_.path));
    LineReader::Line line;
    for (;;) {
      REWRAP_ASSIGN(const bool more, reader.next(&line));
      if (!more) return {};
      if (options_.progress && line.number % kLinesPerProgress == 0) {
        options_.progress(
            {passes_before * reader.file_len() + reader.position(), 2 * reader.file_len()});
      }
      if (line.too_long) {
        REWRAP_TRY(visit(line.number,
                         Status(Errc::kInvalidArgument, "the line is longer than 65536 bytes")));
      } else if (!line.text.empty() && line.text != "\r") {
        REWRAP_TRY(visit(line.number, parse_wrap_line(line.text)));
      }
    }
  }

  Status check_file() {
    REWRAP_ASSIGN(auto snapshot, store_->snapshot());
    std::vector<std::pair<DekId, std::uint64_t>> ids;
    std::set<std::pair<WrapAlgorithm, std::size_t>> kinds;
    REWRAP_TRY(for_each_line(0, [&](std::uint64_t number, const Result<WrapLine>& line) -> Status {
      ++report_.lines;
      if (!line.ok()) {
        problem(number, line.status());
        return {};
      }
      if (line->kek_len != options_.from->key_len()) {
        problem(number, Status(Errc::kInvalidArgument,
                               "\"alg\" asks for a KEK of another size than --from-kek"));
      }
      if (!options_.skip_existing && has(*snapshot, line->id)) {
        problem(number,
                Status(Errc::kAlreadyExists, "the keyset already has a DEK of this id",
                       "if an earlier import was interrupted, add --skip-existing to finish it"));
      }
      if (kinds.insert({line->algorithm, line->dek_len})
              .second) {  // what the KEK cannot open is told before anything is stored
        IvSource unused(0, 0, 0);
        const auto transform = make_transform(kind_of(line.value()), &unused);
        if (!transform.ok()) problem(number, transform.status());
      }
      ids.emplace_back(line->id, number);
      return {};
    }));
    std::sort(ids.begin(), ids.end());
    for (std::size_t i = 1; i < ids.size(); ++i) {
      if (ids[i].first != ids[i - 1].first) continue;
      problem(ids[i].second,
              Status(Errc::kInvalidArgument, "the id stands on an earlier line as well"));
    }
    return {};
  }

  // An id in quarantine does not count as there: the import brings the good copy.
  bool has(Snapshot& snapshot, const DekId& id) {
    return snapshot.find(keyset_.number, id).ok() && !snapshot.quarantined(keyset_.number, id).ok();
  }

  Status import_file() {
    REWRAP_ASSIGN(auto snapshot, store_->snapshot());
    std::map<Kind, Group> groups;
    std::size_t waiting = 0;
    const auto flush_all = [&]() -> Status {
      for (auto& [kind, group] : groups) REWRAP_TRY(flush(kind, &group));
      groups.clear();
      waiting = 0;
      return {};
    };
    REWRAP_TRY(for_each_line(1, [&](std::uint64_t, const Result<WrapLine>& line) -> Status {
      if (!line.ok()) {
        return Status(Errc::kConflict, "the input file changed while it was read",
                      "run again with --skip-existing");
      }
      if (options_.skip_existing && has(*snapshot, line->id)) {
        ++report_.skipped;
        return {};
      }
      Group& group = groups[kind_of(line.value())];
      group.ids.push_back(line->id);
      group.wraps.insert(group.wraps.end(), line->wrap.begin(), line->wrap.end());
      group.aads.insert(group.aads.end(), line->aad.begin(), line->aad.end());
      return ++waiting == kMaxAppendDeks ? flush_all() : Status();
    }));
    return flush_all();
  }

  // flush stores a group; if a rekey has begun meanwhile, again under the new version (R3).
  Status flush(const Kind& kind, Group* group) {
    Status status = store_group(kind, *group);
    for (; status.code() == Errc::kConflict; status = store_group(kind, *group)) REWRAP_TRY(load());
    *group = {};
    return status;
  }

  Result<std::unique_ptr<Transform>> make_transform(const Kind& kind, IvSource* ivs) {
    const WrapSide to = dek_side(keyset_, keyring_->find(keyset_.current_version)->kek, ivs);
    return make_import_transform(*options_.implementation, options_.from,
                                 from_value_ ? &*from_value_ : nullptr, kind.algorithm, to,
                                 kind.dek_len);
  }

  Status store_group(const Kind& kind, const Group& group) {
    const std::size_t num = group.ids.size();
    REWRAP_ASSIGN(const auto ivs, reserve_ivs(store_, keyset_, *keyring_, num));
    REWRAP_ASSIGN(auto transform, make_transform(kind, ivs.get()));
    NewDeks deks;
    deks.version = keyset_.current_version;
    deks.dek_len = kind.dek_len;
    deks.wraps.resize(num * transform->out_len());
    Bytes verdicts(num);
    const AadColumn from_aad{group.aads, kind.aad_len, kind.aad_len};
    const AadColumn to_aad{
        {group.ids.front().data(), num * sizeof(DekId)}, sizeof(DekId), sizeof(DekId)};
    REWRAP_TRY(transform->run({group.wraps, deks.wraps, verdicts, from_aad, to_aad}));
    split(kind, group, verdicts, &deks);
    REWRAP_TRY(append_deks(store_, name_, *keyring_, deks));
    report_.imported += deks.ids.size();
    report_.quarantined += deks.damaged.size();
    return {};
  }

  // split keeps the intact DEKs in `deks`, and the others in their foreign wrap.
  static void split(const Kind& kind, const Group& group, ByteView verdicts, NewDeks* deks) {
    const std::size_t in_len = group.wraps.size() / group.ids.size();
    const std::size_t out_len = deks->wraps.size() / group.ids.size();
    for (std::size_t k = 0; k < group.ids.size(); ++k) {
      if (verdicts[k] != kIntact) {
        const ByteView wrap = ByteView(group.wraps).subspan(k * in_len, in_len);
        const ByteView aad = ByteView(group.aads).subspan(k * kind.aad_len, kind.aad_len);
        deks->damaged.push_back({group.ids[k], kind.algorithm, Bytes(wrap.begin(), wrap.end()),
                                 Bytes(aad.begin(), aad.end())});
        continue;
      }
      std::memmove(deks->wraps.data() + deks->ids.size() * out_len,
                   deks->wraps.data() + k * out_len, out_len);
      deks->ids.push_back(group.ids[k]);
    }
    deks->wraps.resize(deks->ids.size() * out_len);
  }

  Store* store_;
  const std::string& name_;
  Keyring* keyring_;
  const ImportOptions& options_;
  KeysetRecord keyset_;
  std::optional<Kek> from_value_;
  ImportReport report_;
};

}  // namespace

Result<ImportReport> import_deks(Store* store, const std::string& name, Keyring* keyring,
                                 const ImportOptions& options) {
  return Importer(store, name, keyring, options).run();
}

}  // namespace rewrap
