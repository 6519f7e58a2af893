// Reading segments under any version, on any number of threads.
#include "rekey/segment_walk.h"

#include <thread>

namespace rewrap {

Result<SegmentView> SegmentReader::read(SegmentNumber segment, ByteView value) {
  REWRAP_ASSIGN(const SegmentView view, parse_segment(value, keyset_.uuid, segment));
  REWRAP_ASSIGN(Mac * mac, this->mac(view.header.version));
  REWRAP_TRY(authenticate_segment(view, mac));
  return view;
}

Result<Mac*> SegmentReader::mac(KekVersion version) {
  auto at = macs_.find(version);
  if (at == macs_.end()) {
    const OpenVersion* opened = keyring_.find(version);
    if (opened == nullptr) {
      return Status(Errc::kCorruption, "a segment names a KEK version that cannot be opened",
                    "rewrap verify lists what is damaged; restore it from a backup");
    }
    REWRAP_ASSIGN(Mac mac, opened->make_mac());
    at = macs_.emplace(version, std::move(mac)).first;
  }
  return &at->second;
}

Result<Transform*> SegmentReader::transform_for(const SegmentHeader& header) {
  const auto key = std::make_pair(header.version, std::size_t{header.dek_len});
  auto at = transforms_.find(key);
  if (at == transforms_.end()) {
    const OpenVersion* opened = keyring_.find(header.version);
    if (opened == nullptr)
      return Status(Errc::kCorruption, "a segment names a KEK version that cannot be opened");
    REWRAP_ASSIGN(auto transform, make_transform_(*opened, header.dek_len));
    at = transforms_.emplace(key, std::move(transform)).first;
  }
  return at->second.get();
}

Result<std::set<KekVersion>> open_versions_in_use(Snapshot& snapshot, const KeysetRecord& keyset,
                                                  Keyring* keyring) {
  std::set<KekVersion> versions;
  REWRAP_TRY(snapshot.for_each_segment(
      keyset.number, [&](SegmentNumber segment, ByteView value) -> Status {
        const auto view = parse_segment(value, keyset.uuid, segment);
        if (view.ok()) versions.insert(view->header.version);
        return {};
      }));
  for (const KekVersion version : versions) {
    const auto opened = keyring->open(snapshot, keyset, version);
    const bool no_such_version =
        opened.status().code() == Errc::kNotFound && !keyring->root_failed();
    if (!opened.ok() && !no_such_version) return opened.status();
  }
  return versions;
}

Status run_workers(unsigned num_threads, const std::function<Status(unsigned)>& body) {
  std::vector<Status> outcomes(num_threads);
  {
    std::vector<std::jthread> threads;
    threads.reserve(num_threads);
    for (unsigned worker = 0; worker < num_threads; ++worker) {
      threads.emplace_back([&, worker] { outcomes[worker] = body(worker); });
    }
  }
  for (const Status& outcome : outcomes) REWRAP_TRY(outcome);
  return {};
}

}  // namespace rewrap
