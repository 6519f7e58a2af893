// Writing a keyset's wraps to a file.
#include "rekey/export.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "engine/base/files.h"
#include "engine/token_transform.h"
#include "rekey/dek_wrap.h"
#include "rekey/jsonl.h"
#include "rekey/segment_walk.h"

namespace rewrap {
namespace {

// OutputFile is written beside its final name and renamed into place at the end, so that half a
// file is never taken for a whole.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path)
      : path_(path), partial_(path + ".partial." + std::to_string(getpid())) {}
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(partial_.c_str());
  }

  Status open() {
    if (access(path_.c_str(), F_OK) == 0) {
      return Status(Errc::kAlreadyExists, "the output file exists",
                    "name another, or remove it first");
    }
    fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd_ >= 0 ? Status()
                    : Status::from_errno(errno, "open", "the output file cannot be made");
  }

  Status write(std::string_view text) {
    buffer_ += text;
    return buffer_.size() < kBufferLen ? Status() : flush();
  }

  Status finish() {
    REWRAP_TRY(flush());
    if (fsync(fd_) != 0)
      return Status::from_errno(errno, "fsync", "the output file cannot be made durable");
    // link, unlike rename, does not replace a file that appeared meanwhile.
    if (::link(partial_.c_str(), path_.c_str()) != 0) {
      return Status::from_errno(errno, "link", "the output file cannot be put in its place");
    }
    return sync_directory(parent_directory(path_));
  }

 private:
  static constexpr std::size_t kBufferLen = std::size_t{1} << 20;

  Status flush() {
    std::string_view rest = buffer_;
    while (!rest.empty()) {
      const ssize_t written = ::write(fd_, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0)
        return Status::from_errno(errno, "write", "the output file cannot be written");
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
    buffer_.clear();
    return {};
  }

  std::string path_;
  std::string partial_;
  std::string buffer_;
  int fd_ = -1;
};

// Exporter writes the segments of one keyset.
class Exporter {
 public:
  Exporter(const KeysetRecord& keyset, const Keyring& keyring, const ExportOptions& options,
           const Kek* to_value)
      : keyset_(keyset),
        options_(options),
        to_value_(to_value),
        reader_(keyset, keyring,
                [this](const OpenVersion& from, std::size_t dek_len) {
                  return make_export_transform(*options_.implementation, options_.to, to_value_,
                                               dek_side(keyset_, from.kek), to_algorithm(),
                                               dek_len);
                }),
        file_(options.path) {}

  Status run(Snapshot& snapshot) {
    REWRAP_TRY(file_.open());
    REWRAP_TRY(snapshot.for_each_segment(
        keyset_.number, [&](SegmentNumber segment, ByteView value) -> Status {
          REWRAP_ASSIGN(const SegmentView view, reader_.read(segment, value));
          REWRAP_ASSIGN(const ByteView ids, snapshot.ids(keyset_.number, segment));
          REWRAP_TRY(authenticate_ids(view, ids));
          REWRAP_TRY(options_.to == nullptr ? write_as_is(view, ids) : write_rewrapped(view, ids));
          if (options_.progress) options_.progress({exported_, keyset_.live_deks});
          return {};
        }));
    if (exported_ != keyset_.live_deks) {
      return Status(Errc::kCorruption,
                    "the segments hold another number of DEKs than the keyset says",
                    "rewrap verify lists what is damaged");
    }
    return file_.finish();
  }

  [[nodiscard]] std::uint64_t exported() const { return exported_; }

 private:
  // Under somebody else's KEK no IVs can be kept, so GCM wraps go out as RFC 3394.
  [[nodiscard]] WrapAlgorithm to_algorithm() const {
    return keyset_.algorithm == WrapAlgorithm::kGcm ? WrapAlgorithm::kKw : keyset_.algorithm;
  }

  Status write_as_is(const SegmentView& view, ByteView ids) {
    for (std::size_t slot = 0; slot < view.header.count; ++slot) {
      if (!view.is_live(slot)) continue;
      const DekId id = id_at(ids, slot);
      REWRAP_TRY(
          write_line({id, view.header.algorithm, kKekLen, view.wrap(slot),
                      whole_aad(view.header.algorithm, keyset_.uuid, id), view.header.version}));
    }
    return {};
  }

  Status write_rewrapped(const SegmentView& view, ByteView ids) {
    REWRAP_ASSIGN(Transform * transform, reader_.transform_for(view.header));
    wraps_.resize(view.header.count * transform->out_len());
    verdicts_.resize(view.header.count);
    REWRAP_TRY(transform->run({view.wraps, wraps_, verdicts_, dek_aad(ids), {}}));
    for (std::size_t slot = 0; slot < view.header.count; ++slot) {
      if (!view.is_live(slot)) continue;
      if (verdicts_[slot] != kIntact) {
        return Status(Errc::kCorruption, "a DEK does not open under its KEK version",
                      "rewrap verify names it");
      }
      const ByteView wrap =
          ByteView(wraps_).subspan(slot * transform->out_len(), transform->out_len());
      REWRAP_TRY(
          write_line({id_at(ids, slot), to_algorithm(), options_.to->key_len(), wrap, {}, 0}));
    }
    return {};
  }

  Status write_line(const WrapToWrite& wrap) {
    ++exported_;
    return file_.write(format_wrap_line(wrap));
  }

  const KeysetRecord& keyset_;
  const ExportOptions& options_;
  const Kek* to_value_;
  SegmentReader reader_;
  OutputFile file_;
  Bytes wraps_;
  Bytes verdicts_;
  std::uint64_t exported_ = 0;
};

}  // namespace

Result<ExportReport> export_deks(Store* store, const std::string& name, Keyring* keyring,
                                 const ExportOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, name, keyring));
  REWRAP_TRY(open_versions_in_use(*snapshot, keyset, keyring).status());
  std::optional<Kek> to_value;
  if (options.to != nullptr && options.to->access() == WrappingAccess::kValue) {
    REWRAP_ASSIGN(SecretBuffer value, options.to->take_value());
    REWRAP_ASSIGN(Kek kek, Kek::create(std::move(value)));
    to_value.emplace(std::move(kek));
  }
  Exporter exporter(keyset, *keyring, options, to_value ? &*to_value : nullptr);
  REWRAP_TRY(exporter.run(*snapshot));
  ExportReport report;
  report.exported = exporter.exported();
  REWRAP_TRY(snapshot->for_each_quarantined(keyset.number, [&](const DekId&, ByteView) -> Status {
    ++report.quarantined;
    return {};
  }));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace rewrap
