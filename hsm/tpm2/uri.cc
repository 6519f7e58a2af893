// A strict reader of tpm2: URIs: what it does not know it refuses.
#include "hsm/tpm2/uri.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <vector>

#include "hsm/percent.h"
#include "hsm/root.h"
#include "hsm/secret_file.h"

namespace rewrap {
namespace {

constexpr std::string_view kScheme = "tpm2:";
constexpr std::size_t kMaxHexDigits = 8;
constexpr std::size_t kMaxPcrDigits = 2;

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};
// TCG Registry of Reserved TPM 2.0 Handles and Localities: what the owner may use.
constexpr Range kOwnerPersistent = {.first = 0x81000000, .last = 0x817fffff};
constexpr Range kOwnerNvIndices = {.first = 0x01800000, .last = 0x01bfffff};

// Anyone may set these back to zero and extend them as they like.
constexpr std::uint32_t kDebugPcr = 16;
constexpr std::uint32_t kApplicationPcr = 23;

// read_hex reads 0x and one to eight digits.
bool read_hex(std::string_view text, std::uint32_t* out) {
  if (!text.starts_with("0x")) return false;
  text.remove_prefix(2);
  if (text.empty() || text.size() > kMaxHexDigits) return false;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, *out, 16);
  return read.ec == std::errc() && read.ptr == end;
}

bool read_in_range(std::string_view text, Range range, std::uint32_t* out) {
  return read_hex(text, out) && *out >= range.first && *out <= range.last;
}

Status read_handle(std::string_view value, Tpm2Uri* out) {
  if (read_in_range(value, kOwnerPersistent, &out->handle)) return {};
  return {Errc::kInvalidArgument, "handle= is not a persistent handle of the owner",
          "write it as handle=0x81000001; the range is 0x81000000 to 0x817fffff"};
}

Status read_counter(std::string_view value, Tpm2Uri* out) {
  if (read_in_range(value, kOwnerNvIndices, &out->counter)) return {};
  return {Errc::kInvalidArgument, "counter= is not an NV index of the owner",
          "write it as counter=0x01800100; the range is 0x01800000 to 0x01bfffff"};
}

Status read_pin_source(std::string_view value, Tpm2Uri* out) {
  REWRAP_ASSIGN(out->pin_file, pin_file_of(value));
  return {};
}

Status read_tcti(std::string_view value, Tpm2Uri* out) {
  out->tcti = value;
  return {};
}

Status read_pcrs(std::string_view value, Tpm2Uri* out) {
  constexpr Literal kHint =
      "write them as pcrs=sha256:7+11; banks are sha256, sha384 and sha512, PCRs 0 to 22";
  const std::size_t colon = value.find(':');
  const auto bank = pcr_bank_of(value.substr(0, colon));
  if (colon == std::string_view::npos || !bank.has_value())
    return {Errc::kInvalidArgument, "pcrs= does not begin with a PCR bank", kHint};
  out->pcrs.bank = *bank;
  std::string_view rest = value.substr(colon + 1);
  bool more = true;
  while (more) {
    const std::size_t plus = rest.find('+');
    more = plus != std::string_view::npos;
    const std::string_view digits = rest.substr(0, plus);
    rest = more ? rest.substr(plus + 1) : std::string_view();
    std::uint32_t pcr = 0;
    const char* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, pcr);
    const bool number = read.ec == std::errc() && read.ptr == end && digits.size() <= kMaxPcrDigits;
    if (!number || pcr >= kNumPcrs)
      return {Errc::kInvalidArgument, "pcrs= holds something that is not a PCR's number", kHint};
    if (pcr == kDebugPcr || pcr == kApplicationPcr) {
      return {Errc::kInvalidArgument,
              "PCRs 16 and 23 can be reset by anyone, so binding to them protects nothing",
              "choose others: 7 is the state of Secure Boot"};
    }
    const std::uint32_t bit = std::uint32_t{1} << pcr;
    if ((out->pcrs.mask & bit) != 0)
      return {Errc::kInvalidArgument, "a PCR is twice in pcrs=", kHint};
    out->pcrs.mask |= bit;
  }
  return {};
}

struct Attribute {
  std::string_view name;
  Status (*read)(std::string_view value, Tpm2Uri* out);
};
constexpr std::array<Attribute, 5> kAttributes = {{{"tcti", read_tcti},
                                                   {"handle", read_handle},
                                                   {"pcrs", read_pcrs},
                                                   {"pin-source", read_pin_source},
                                                   {"counter", read_counter}}};

// read_attribute takes one `name=value` and notes the name in `*seen`.
Status read_attribute(std::string_view text, std::vector<std::string_view>* seen, Tpm2Uri* out) {
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  if (name == "pin-value") {
    return {Errc::kInvalidArgument,
            "the URI holds a PIN, which others can read in process lists and logs",
            "put the PIN in a file and say pin-source=file:/path"};
  }
  const auto* known = std::find_if(kAttributes.begin(), kAttributes.end(),
                                   [name](const Attribute& a) { return a.name == name; });
  if (known == kAttributes.end()) {
    return {Errc::kInvalidArgument, "the tpm2 URI has an attribute that is not known here",
            "known: tcti handle pcrs pin-source counter, as tpm2:?name=value&name=value"};
  }
  if (equals == std::string_view::npos || equals + 1 == text.size())
    return {Errc::kInvalidArgument, "an attribute of the tpm2 URI has no value"};
  if (std::find(seen->begin(), seen->end(), name) != seen->end())
    return {Errc::kInvalidArgument, "an attribute is twice in the tpm2 URI"};
  seen->push_back(name);
  REWRAP_ASSIGN(const std::string value, percent_decode(text.substr(equals + 1)));
  return known->read(value, out);
}

}  // namespace

Result<Tpm2Uri> parse_tpm2_uri(const std::string& uri) {
  std::string_view rest = uri;
  if (!rest.starts_with(kScheme) || uri.size() > kMaxRootUriLen)
    return Status(Errc::kInvalidArgument, "not a tpm2 URI, or longer than 2048 bytes");
  if (!std::all_of(rest.begin(), rest.end(), is_uri_byte)) {
    return Status(Errc::kInvalidArgument, "the tpm2 URI holds a byte that no URI may hold",
                  "percent-encode blanks, '#' and what is not ASCII");
  }
  rest.remove_prefix(kScheme.size());
  Tpm2Uri out;
  if (rest.empty()) return out;
  if (rest.front() != '?') {
    return Status(Errc::kInvalidArgument, "the tpm2 URI has no path",
                  "write it as tpm2:?name=value&name=value");
  }
  rest.remove_prefix(1);
  std::vector<std::string_view> seen;
  bool more = true;
  while (more) {
    const std::size_t end = rest.find('&');
    more = end != std::string_view::npos;
    REWRAP_TRY(read_attribute(rest.substr(0, end), &seen, &out));
    rest = more ? rest.substr(end + 1) : std::string_view();
  }
  return out;
}

}  // namespace rewrap
