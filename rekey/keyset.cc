// Creating keysets, adding and finding DEKs.
#include "rekey/keyset.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/make_transform.h"
#include "hsm/random.h"
#include "rekey/dek_wrap.h"
#include "rekey/protect.h"

namespace rewrap {
namespace {

// Appender fills one transaction with new DEKs.
class Appender {
 public:
  Appender(Transaction* transaction, KeysetRecord* keyset, const NewDeks& deks, Mac* mac)
      : transaction_(transaction),
        keyset_(keyset),
        deks_(deks),
        mac_(mac),
        wrap_len_(wrapped_len(keyset->algorithm, deks.dek_len)),
        now_(now_seconds()),
        locations_(deks.ids.size()) {}

  Status run() {
    REWRAP_TRY(fill_tail());
    while (done_ < deks_.ids.size()) REWRAP_TRY(add_segment());
    return index();
  }

 private:
  // The last segment of this DEK size takes more, if it is under the current version (after a rekey
  // has begun it may not be).
  Status fill_tail() {
    const SegmentNumber tail = keyset_->tails[tail_index(deks_.dek_len)];
    if (tail == 0) return {};
    const SegmentNumber segment = tail - 1;
    REWRAP_ASSIGN(const ByteView value, transaction_->wraps(keyset_->number, segment));
    REWRAP_ASSIGN(const SegmentView old, parse_segment(value, keyset_->uuid, segment));
    if (old.header.version != deks_.version || old.header.count == kMaxSegmentDeks) return {};
    REWRAP_TRY(authenticate_segment(old, mac_));
    REWRAP_ASSIGN(const ByteView old_ids, transaction_->ids(keyset_->number, segment));
    REWRAP_TRY(authenticate_ids(old, old_ids));
    const std::size_t take = std::min(kMaxSegmentDeks - old.header.count, deks_.ids.size());
    return write_segment(segment, &old, Bytes(old_ids.begin(), old_ids.end()), take);
  }

  Status add_segment() {
    const SegmentNumber segment = keyset_->num_segments++;
    keyset_->tails[tail_index(deks_.dek_len)] = segment + 1;
    return write_segment(segment, nullptr, {}, std::min(kMaxSegmentDeks, deks_.ids.size() - done_));
  }

  // write_segment stores `segment` with `take` more DEKs behind those of `old`.
  Status write_segment(SegmentNumber segment, const SegmentView* old, Bytes ids, std::size_t take) {
    const std::size_t first = old == nullptr ? 0 : old->header.count;
    SegmentHeader header;
    header.algorithm = keyset_->algorithm;
    header.keyset_uuid = keyset_->uuid;
    header.segment = segment;
    header.version = deks_.version;
    header.dek_len = static_cast<std::uint16_t>(deks_.dek_len);
    header.count = static_cast<std::uint16_t>(first + take);
    header.sequence = old == nullptr ? 1 : old->header.sequence + 1;
    for (std::size_t i = 0; i < take; ++i) {
      append_id(&ids, deks_.ids[done_ + i], now_);
      locations_[done_ + i] = {segment, static_cast<std::uint32_t>(first + i)};
    }
    REWRAP_ASSIGN(header.ids_digest, sha256(ids));
    SegmentBuilder builder(header);
    if (old != nullptr) {
      builder.copy_live(*old);
      copy_bytes(builder.wraps(), old->wraps);
    }
    for (std::size_t slot = first; slot < first + take; ++slot) builder.set_live(slot, true);
    copy_bytes(builder.wraps().subspan(first * wrap_len_),
               ByteView(deks_.wraps).subspan(done_ * wrap_len_, take * wrap_len_));
    REWRAP_ASSIGN(const Bytes value, builder.seal(mac_));
    REWRAP_TRY(transaction_->put_ids(keyset_->number, segment, ids));
    REWRAP_TRY(transaction_->put_wraps(keyset_->number, segment, value));
    done_ += take;
    keyset_->live_deks += take;
    return {};
  }

  // In order of id, which LMDB fills several times faster than random order.
  Status index() {
    std::vector<std::uint32_t> order(deks_.ids.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(),
              [&](std::uint32_t a, std::uint32_t b) { return deks_.ids[a] < deks_.ids[b]; });
    for (const std::uint32_t i : order) {
      const DekId& id = deks_.ids[i];
      if (transaction_->find(keyset_->number, id).ok() || is_in_quarantine(id))
        REWRAP_TRY(replace(id));
      REWRAP_TRY(transaction_->put_location(keyset_->number, id, locations_[i]));
    }
    return {};
  }

  bool is_in_quarantine(const DekId& id) {
    return transaction_->quarantined(keyset_->number, id).ok();
  }

  // A known id may come again only for a DEK in quarantine, which the new one then replaces.
  Status replace(const DekId& id) {
    if (is_in_quarantine(id)) return transaction_->drop_quarantined(keyset_->number, id);
    return Status(Errc::kAlreadyExists, "the keyset already has a DEK of that id");
  }

  Transaction* transaction_;
  KeysetRecord* keyset_;
  const NewDeks& deks_;
  Mac* mac_;
  std::size_t wrap_len_;
  std::uint64_t now_;
  std::vector<DekLocation> locations_;
  std::size_t done_ = 0;
};

// The first damaged wrap of an id is kept; a later one, or one of a DEK that the keyset holds, is
// still in the file that it came from.
Status quarantine_foreign(Transaction* transaction, KeysetNumber keyset,
                          const std::vector<ForeignDamage>& damaged) {
  for (const ForeignDamage& dek : damaged) {
    if (transaction->find(keyset, dek.id).ok() || transaction->quarantined(keyset, dek.id).ok()) {
      continue;
    }
    const QuarantineRecord record{
        QuarantineReason::kImport, dek.algorithm, 0, now_seconds(), dek.wrap, dek.aad};
    REWRAP_TRY(transaction->put_quarantined(keyset, dek.id, encode(record)));
  }
  return {};
}

// New key bytes are in locked memory until they are wrapped, if they are here at all: 1 MiB for 64-byte DEKs, well under the
// usual lock limit of 8 MiB.
constexpr std::size_t kGenerateBatch = 8 * kMaxSegmentDeks;

// Random (version 4) UUIDs, RFC 9562 section 5.4.
Result<std::vector<DekId>> random_ids(std::size_t count) {
  std::vector<DekId> ids(count);
  REWRAP_TRY(random_bytes({ids.front().data(), count * sizeof(DekId)}));
  for (DekId& id : ids) {
    id[6] = static_cast<std::uint8_t>((id[6] & 0x0f) | 0x40);
    id[8] = static_cast<std::uint8_t>((id[8] & 0x3f) | 0x80);
  }
  return ids;
}

Status check_request(const NewKeyset& request) {
  if (!is_keyset_name(request.name)) {
    return {Errc::kInvalidArgument,
            "a keyset's name is 1 to 64 letters, digits, dots, dashes or underscores"};
  }
  if (!is_dek_len(request.dek_len))
    return {Errc::kInvalidArgument, "a DEK is 16, 24, 32, 48 or 64 bytes"};
  if (request.custody == Custody::kInToken && request.algorithm != WrapAlgorithm::kKw) {
    return {Errc::kInvalidArgument,
            "in custody in-token the token itself wraps the DEKs, by RFC 3394 only",
            "use --wrap kw, or --custody kek-in-token"};
  }
  if (request.sealed_kek && request.custody != Custody::kHost) {
    return {Errc::kInvalidArgument, "a TPM gives its KEKs out: they are not kept in a token",
            "use --custody host with --sealed-kek"};
  }
  if (request.sealed_kek && request.algorithm == WrapAlgorithm::kGcm) {
    return {Errc::kInvalidArgument,
            "GCM is not for a KEK from elsewhere: who used it before may have used the same IVs",
            "use --wrap kw or kwp, or leave --sealed-kek out for a new KEK"};
  }
  return {};
}

// Makes and stores one batch of new DEKs under the version that is current now.
Result<std::vector<DekId>> generate_batch(Store* store, const std::string& name, Keyring* keyring,
                                          std::size_t count, std::size_t dek_len,
                                          const Implementation& implementation) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, load_keyset(*snapshot, name, keyring));
  NewDeks deks;
  deks.version = keyset.current_version;
  deks.dek_len = dek_len;
  REWRAP_ASSIGN(deks.ids, random_ids(count));
  snapshot.reset();
  REWRAP_ASSIGN(const auto ivs, reserve_ivs(store, keyset, *keyring, count));
  const WrapSide side = dek_side(keyset, keyring->find(deks.version)->kek, ivs.get());
  const AadColumn aad{
      {deks.ids.front().data(), count * sizeof(DekId)}, sizeof(DekId), sizeof(DekId)};
  deks.wraps.resize(count * wrapped_len(keyset.algorithm, dek_len));
  REWRAP_TRY(make_wrapped_keys(implementation, side, dek_len, aad, deks.wraps));
  REWRAP_TRY(append_deks(store, name, *keyring, deks));
  return std::move(deks.ids);
}

}  // namespace

Result<KeysetRecord> create_keyset(Store* store, const NewKeyset& request, Keyring* keyring) {
  REWRAP_TRY(check_request(request));
  const Status exists(Errc::kAlreadyExists, "there is a keyset of that name already",
                      "choose another name, or use that one");
  {
    REWRAP_ASSIGN(auto snapshot, store->snapshot());
    if (snapshot->keyset(request.name).ok())
      return exists;  // before the root is asked for anything
  }
  KeysetRecord keyset;
  keyset.name = request.name;
  keyset.algorithm = request.algorithm;
  keyset.dek_len = static_cast<std::uint16_t>(request.dek_len);
  keyset.custody = request.custody;
  keyset.created_at = now_seconds();
  keyset.current_version = 1;
  REWRAP_ASSIGN(const std::vector<DekId> uuid, random_ids(1));
  keyset.uuid = uuid.front();
  REWRAP_ASSIGN(const KekVersionRecord version,
                request.sealed_kek
                    ? keyring->adopt(keyset, 1, request.root_uri, *request.sealed_kek)
                    : keyring->create(keyset, 1, request.root_uri));
  NewVersion unstored(keyring, keyset, 1, version);

  REWRAP_ASSIGN(auto transaction, store->begin());
  if (transaction->keyset(request.name).ok()) return exists;
  const Protector& protector = version.protectors.front();
  REWRAP_TRY(check_counter_is_free(*transaction, nullptr, keyring, protector));
  REWRAP_ASSIGN(keyset.number, transaction->next_keyset_number());
  REWRAP_TRY(transaction->put_kek_version(keyset.number, 1, encode(version)));
  REWRAP_TRY(store_keyset(transaction.get(), keyset, *keyring));
  unstored.keep();
  REWRAP_TRY(transaction->commit());
  // From here on the keyset is there, whatever becomes of this: what opens it next goes on with it.
  Status valid = keyring->activate(protector);
  if (valid.ok() && !counter_of(protector).empty()) valid = keyring->prove(keyset, 1, protector);
  if (!valid.ok()) keyring->add_broken(1, protector, valid);
  return keyset;
}

Result<std::vector<KeysetRecord>> list_keysets(Store* store) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  std::vector<KeysetRecord> keysets;
  REWRAP_TRY(snapshot->for_each_keyset([&](ByteView stored) -> Status {
    REWRAP_ASSIGN(KeysetRecord keyset, read_keyset(stored));
    keysets.push_back(std::move(keyset));
    return {};
  }));
  return keysets;
}

Result<Protector> find_sealed_kek(Store* store, const std::string& name, KekVersion version) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, peek_keyset(*snapshot, name));
  const Result<ByteView> stored =
      snapshot->kek_version(keyset.number, version == 0 ? keyset.current_version : version);
  if (stored.status().code() == Errc::kNotFound) {
    return Status(Errc::kNotFound, "the keyset has no KEK version of that number",
                  "rewrap census shows those there are");
  }
  if (!stored.ok()) return stored.status();
  REWRAP_ASSIGN(const KekVersionRecord record, decode_kek_version(stored.value()));
  for (const Protector& protector : record.protectors) {
    if (protector.mechanism == Mechanism::kTpm2Seal) return protector;
  }
  return Status(Errc::kNotFound, "no TPM seals this KEK version",
                "rewrap reprotect --root tpm2:... --add makes such a protector");
}

Status append_deks(Store* store, const std::string& name, const Keyring& keyring,
                   const NewDeks& deks) {
  if (deks.ids.empty() && deks.damaged.empty()) return {};
  REWRAP_ASSIGN(auto transaction, store->begin());
  REWRAP_ASSIGN(KeysetRecord keyset, reload_keyset(*transaction, name, keyring));
  if (keyset.current_version != deks.version) {
    return Status(Errc::kConflict, "the keyset has moved to a new KEK version in the meantime",
                  "run the same command again");
  }
  const bool fits =
      deks.ids.size() <= kMaxAppendDeks && is_dek_len(deks.dek_len) &&
      deks.wraps.size() == deks.ids.size() * wrapped_len(keyset.algorithm, deks.dek_len);
  if (!fits) return Status(Errc::kInvalidArgument, "a batch of new DEKs has the wrong size");
  REWRAP_ASSIGN(Mac mac, keyring.find(deks.version)->make_mac());
  if (!deks.ids.empty()) REWRAP_TRY(Appender(transaction.get(), &keyset, deks, &mac).run());
  REWRAP_TRY(quarantine_foreign(transaction.get(), keyset.number, deks.damaged));
  REWRAP_TRY(store_keyset(transaction.get(), keyset, keyring));
  return transaction->commit();
}

Result<std::vector<DekId>> generate_deks(Store* store, const std::string& name, Keyring* keyring,
                                         std::uint64_t count, std::size_t dek_len,
                                         const Implementation& implementation,
                                         const ProgressFn& progress) {
  std::vector<DekId> ids;
  while (ids.size() < count) {
    const auto batch =
        static_cast<std::size_t>(std::min<std::uint64_t>(kGenerateBatch, count - ids.size()));
    auto made = generate_batch(store, name, keyring, batch, dek_len, implementation);
    // A rekey began meanwhile: these were never stored. A root's conflict (two keys of one name) is
    // another matter.
    if (made.status().code() == Errc::kConflict && !keyring->root_failed()) continue;
    if (!made.ok()) return made.status();
    ids.insert(ids.end(), made->begin(), made->end());
    if (progress) progress({ids.size(), count});
  }
  return ids;
}

Result<WrappedDek> get_dek(Store* store, const std::string& name, const DekId& id,
                           Keyring* keyring) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, keyring == nullptr
                                               ? peek_keyset(*snapshot, name)
                                               : load_keyset(*snapshot, name, keyring));
  if (snapshot->quarantined(keyset.number, id).ok()) {
    return Status(Errc::kIntegrity, "this DEK is damaged and in quarantine",
                  "rewrap quarantine list shows it; import a good copy to replace it");
  }
  const Result<DekLocation> location = snapshot->find(keyset.number, id);
  if (location.status().code() == Errc::kNotFound)
    return Status(Errc::kNotFound, "the keyset has no DEK of that id");
  if (!location.ok()) return location.status();
  const SegmentNumber segment = location->segment;
  REWRAP_ASSIGN(const ByteView value, snapshot->wraps(keyset.number, segment));
  REWRAP_ASSIGN(const SegmentView view, parse_segment(value, keyset.uuid, segment));
  REWRAP_ASSIGN(const ByteView ids, snapshot->ids(keyset.number, segment));
  if (keyring != nullptr) {
    REWRAP_ASSIGN(const OpenVersion* version,
                  keyring->open(*snapshot, keyset, view.header.version));
    REWRAP_ASSIGN(Mac mac, version->make_mac());
    REWRAP_TRY(authenticate_segment(view, &mac));
  }
  REWRAP_TRY(authenticate_ids(view, ids));
  const std::size_t slot = location->slot;
  if (slot >= view.header.count || !view.is_live(slot) || id_at(ids, slot) != id) {
    return Status(Errc::kCorruption, "the index does not lead to this DEK", "run rewrap verify");
  }
  const ByteView wrap = view.wrap(slot);
  return WrappedDek{id,
                    view.header.algorithm,
                    view.header.version,
                    view.header.dek_len,
                    created_at(ids, slot),
                    Bytes(wrap.begin(), wrap.end()),
                    whole_aad(view.header.algorithm, keyset.uuid, id)};
}

Result<DekPage> list_deks(Store* store, const std::string& name, DekPosition from,
                          std::size_t max) {
  REWRAP_ASSIGN(auto snapshot, store->snapshot());
  REWRAP_ASSIGN(const KeysetRecord keyset, peek_keyset(*snapshot, name));
  DekPage page;
  for (; from.segment < keyset.num_segments; ++from.segment, from.slot = 0) {
    REWRAP_ASSIGN(const ByteView value, snapshot->wraps(keyset.number, from.segment));
    REWRAP_ASSIGN(const SegmentView view, parse_segment(value, keyset.uuid, from.segment));
    REWRAP_ASSIGN(const ByteView ids, snapshot->ids(keyset.number, from.segment));
    REWRAP_TRY(authenticate_ids(view, ids));
    const SegmentHeader& header = view.header;
    for (; from.slot < header.count; ++from.slot) {
      if (!view.is_live(from.slot)) continue;
      if (page.deks.size() >= max) {  // there is one more
        page.next = from;
        return page;
      }
      page.deks.push_back({id_at(ids, from.slot), header.algorithm, header.version, header.dek_len,
                           created_at(ids, from.slot)});
    }
  }
  return page;
}

}  // namespace rewrap
