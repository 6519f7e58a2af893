// Keysets, their KEK versions and DEKs. No wrap leaves through here: a list of DEKs says what there is,
// and taking wraps away is the business of `rewrap export`.
#include <algorithm>
#include <charconv>
#include <utility>

#include "api/native/handlers.h"
#include "api/native/resources.h"

namespace rewrap::native {
namespace {

namespace json = boost::json;

Answer<WrapAlgorithm> algorithm_in(const Call& call) {
  const std::string name = text_in(call, "wrap", "kw");
  for (const auto algorithm : {WrapAlgorithm::kKw, WrapAlgorithm::kKwp, WrapAlgorithm::kGcm}) {
    if (name == algorithm_name(algorithm)) return algorithm;
  }
  return invalid("wrap is kw, kwp or gcm");
}

// A position is written "SEGMENT.SLOT". Clients take it as it comes.
std::string position_text(const DekPosition& position) {
  return std::to_string(position.segment) + "." + std::to_string(position.slot);
}

Answer<DekPosition> position_in(const Call& call) {
  DekPosition position;
  const auto text = call.request->query_value("from");
  if (!text) return position;
  const char* const end = text->data() + text->size();
  const auto segment = std::from_chars(text->data(), end, position.segment);
  if (segment.ec == std::errc() && segment.ptr != end && *segment.ptr == '.') {
    const auto slot = std::from_chars(segment.ptr + 1, end, position.slot);
    if (slot.ec == std::errc() && slot.ptr == end) return position;
  }
  return invalid("from is not a page that was named before",
                 "take it from `next` of the page before, or leave it out");
}

}  // namespace

Answer<Reply> list_keysets(Call& call) {
  REWRAP_ANSWER(const auto keysets, call.service->keysets().list());
  return Reply{200, {{"keysets", array_of(keysets, keyset_json)}}};
}

Answer<Reply> create_keyset(Call& call) {
  NewKeyset wanted;
  wanted.name = text_in(call, "name");
  wanted.root_uri = text_in(call, "root");
  REWRAP_ANSWER(wanted.algorithm, algorithm_in(call));
  REWRAP_ANSWER(wanted.dek_len, count_in(call, "dek_size", 32, 4096));
  const auto custody = find_custody(text_in(call, "custody", "host"));
  if (!custody) return invalid("custody is host, kek-in-token or in-token");
  wanted.custody = *custody;
  REWRAP_ANSWER(const KeysetInfo made, call.service->keysets().create(wanted, call.caller));
  return Reply{201, keyset_json(made)};
}

Answer<Reply> get_keyset(Call& call) {
  REWRAP_ANSWER(const KeysetInfo keyset, call.service->keysets().get(call.holes[0]));
  return Reply{200, keyset_json(keyset)};
}

Answer<Reply> list_keys(Call& call) {
  REWRAP_ANSWER(const auto keys, call.service->keysets().keys(call.holes[0]));
  return Reply{200, {{"keys", array_of(keys, key_json)}}};
}

Answer<Reply> get_key(Call& call) {
  REWRAP_ANSWER(const KekVersion version, version_in(call, 1));
  REWRAP_ANSWER(const KeyInfo key, call.service->keysets().key(call.holes[0], version));
  return Reply{200, key_json(key)};
}

Answer<Reply> get_census(Call& call) {
  REWRAP_ANSWER(const Census census, call.service->keysets().census(call.holes[0]));
  return Reply{200, census_json(census)};
}

Answer<Reply> list_quarantine(Call& call) {
  REWRAP_ANSWER(const std::size_t limit, limit_in(call));
  REWRAP_ANSWER(auto deks, call.service->keysets().quarantine(call.holes[0]));
  const std::size_t total = deks.size();
  deks.resize(std::min(total, limit));
  return Reply{200, {{"deks", array_of(deks, quarantined_json)}, {"total", total}}};
}

Answer<Reply> list_deks(Call& call) {
  REWRAP_ANSWER(const std::size_t limit, limit_in(call));
  REWRAP_ANSWER(const DekPosition from, position_in(call));
  REWRAP_ANSWER(const DekPage page, call.service->keysets().list_deks(call.holes[0], from, limit));
  json::object body{{"deks", array_of(page.deks, dek_json)}, {"next", nullptr}};
  if (page.next) body["next"] = position_text(*page.next);
  return Reply{200, std::move(body)};
}

Answer<Reply> generate_deks(Call& call) {
  REWRAP_ANSWER(const std::uint64_t how_many, count_in(call, "count", 1, Keysets::kMaxGenerate));
  REWRAP_ANSWER(const std::uint64_t size, count_in(call, "dek_size", 0, 4096));
  REWRAP_ANSWER(const auto ids,
                call.service->keysets().generate(call.holes[0], how_many, size, call.caller));
  return Reply{
      201, {{"ids", array_of(ids, [](const DekId& id) { return json::value(format_uuid(id)); })}}};
}

Answer<Reply> get_dek(Call& call) {
  REWRAP_ANSWER(const Uuid id, uuid_in(call, 1));
  REWRAP_ANSWER(const WrappedDek dek, call.service->keysets().get_dek(call.holes[0], id));
  return Reply{200, dek_json({dek.id, dek.algorithm, dek.version, dek.dek_len, dek.created_at})};
}

Answer<Reply> tag_admin_dek(Call& call) {
  REWRAP_ANSWER(const Uuid id, uuid_in(call, 1));
  REWRAP_ANSWER([[maybe_unused]] const Done done,
                call.service->keysets().tag_admin_deks(call.holes[0], {id}));
  return Reply{201, {}};
}

Answer<Reply> untag_admin_dek(Call& call) {
  REWRAP_ANSWER(const Uuid id, uuid_in(call, 1));
  REWRAP_ANSWER([[maybe_unused]] const Done done,
                call.service->keysets().untag_admin_deks(call.holes[0], {id}));
  return Reply{};
}

}  // namespace rewrap::native
