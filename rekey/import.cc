// The two passes of an import.
#include "rekey/import.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "engine/token_transform.h"
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
  // Lines of one algorithm and DEK size go through one transform.
  using Kind = std::pair<WrapAlgorithm, std::size_t>;
  struct Batch {
    std::vector<DekId> ids;
    Bytes wraps;
  };

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
    std::set<Kind> kinds;
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
      const Kind kind(line->algorithm, line->dek_len);
      if (kinds.insert(kind)
              .second) {  // what the KEK cannot open is told before anything is stored
        const auto transform = make_transform(kind);
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
    std::map<Kind, Batch> batches;
    REWRAP_TRY(for_each_line(1, [&](std::uint64_t, const Result<WrapLine>& line) -> Status {
      if (!line.ok()) {
        return Status(Errc::kConflict, "the input file changed while it was read",
                      "run again with --skip-existing");
      }
      if (options_.skip_existing && has(*snapshot, line->id)) {
        ++report_.skipped;
        return {};
      }
      const Kind kind(line->algorithm, line->dek_len);
      Batch& batch = batches[kind];
      batch.ids.push_back(line->id);
      batch.wraps.insert(batch.wraps.end(), line->wrap.begin(), line->wrap.end());
      return batch.ids.size() == kMaxAppendDeks ? flush(kind, &batch) : Status();
    }));
    for (auto& [kind, batch] : batches) REWRAP_TRY(flush(kind, &batch));
    return {};
  }

  // flush stores a batch; if a rekey has begun meanwhile, again under the new version (R3).
  Status flush(Kind kind, Batch* batch) {
    if (batch->ids.empty()) return {};
    Status status = store_batch(kind, *batch);
    for (; status.code() == Errc::kConflict; status = store_batch(kind, *batch)) REWRAP_TRY(load());
    *batch = {};
    return status;
  }

  Result<std::unique_ptr<Transform>> make_transform(Kind kind) {
    const WrapSide to{keyset_.algorithm, &keyring_->find(keyset_.current_version)->kek};
    return make_import_transform(*options_.implementation, options_.from,
                                 from_value_ ? &*from_value_ : nullptr, kind.first, to,
                                 kind.second);
  }

  Status store_batch(Kind kind, const Batch& batch) {
    REWRAP_ASSIGN(auto transform, make_transform(kind));
    NewDeks deks;
    deks.version = keyset_.current_version;
    deks.dek_len = kind.second;
    deks.wraps.resize(batch.ids.size() * transform->out_len());
    Bytes verdicts(batch.ids.size());
    REWRAP_TRY(transform->run(batch.wraps, deks.wraps, verdicts));
    split(kind, batch, verdicts, &deks);
    REWRAP_TRY(append_deks(store_, name_, *keyring_, deks));
    report_.imported += deks.ids.size();
    report_.quarantined += deks.damaged.size();
    return {};
  }

  // split keeps the intact DEKs in `deks`, and the others in their foreign wrap.
  static void split(Kind kind, const Batch& batch, ByteView verdicts, NewDeks* deks) {
    const std::size_t in_len = batch.wraps.size() / batch.ids.size();
    const std::size_t out_len = deks->wraps.size() / batch.ids.size();
    for (std::size_t k = 0; k < batch.ids.size(); ++k) {
      if (verdicts[k] != kIntact) {
        const ByteView wrap = ByteView(batch.wraps).subspan(k * in_len, in_len);
        deks->damaged.push_back({batch.ids[k], kind.first, Bytes(wrap.begin(), wrap.end())});
        continue;
      }
      std::memmove(deks->wraps.data() + deks->ids.size() * out_len,
                   deks->wraps.data() + k * out_len, out_len);
      deks->ids.push_back(batch.ids[k]);
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
