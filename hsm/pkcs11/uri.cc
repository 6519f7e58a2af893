// RFC 7512 by p11-kit, with a strict look at the attributes' names first.
#include "hsm/pkcs11/uri.h"

#include "hsm/pkcs11/cryptoki.h"
// p11-kit's own headers need the types above.
#include <p11-kit/uri.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "hsm/secret_file.h"

namespace rewrap {
namespace {

struct UriDeleter {
  void operator()(P11KitUri* uri) const { p11_kit_uri_free(uri); }
};
using UriPtr = std::unique_ptr<P11KitUri, UriDeleter>;

constexpr std::string_view kScheme = "pkcs11:";
constexpr std::array<std::string_view, 7> kPathNames = {"token",  "serial", "manufacturer", "model",
                                                        "object", "id",     "type"};
constexpr char kInitArgs[] = "x-rewrap-init-args";
constexpr std::array<std::string_view, 3> kQueryNames = {"module-path", "pin-source", kInitArgs};

template <std::size_t kNum>
bool is_one_of(const std::array<std::string_view, kNum>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// check_attribute looks at one `name=value`, of the query or of the path, and notes the name in
// `*seen`.
Status check_attribute(std::string_view attribute, bool in_query,
                       std::vector<std::string_view>* seen) {
  const std::size_t equals = attribute.find('=');
  const std::string_view name = attribute.substr(0, equals);
  if (name == "pin-value") {
    return {Errc::kInvalidArgument,
            "the URI holds a PIN, which others can read in process lists and logs",
            "put the PIN in a file and say pin-source=file:/path"};
  }
  const bool known = in_query ? is_one_of(kQueryNames, name) : is_one_of(kPathNames, name);
  if (!known) {
    return {Errc::kInvalidArgument, "the pkcs11 URI has an attribute that is not known here",
            "known: token serial manufacturer model object id type, then ?module-path=, "
            "&pin-source= and &x-rewrap-init-args="};
  }
  if (equals == std::string_view::npos || equals + 1 == attribute.size()) {
    return {Errc::kInvalidArgument, "an attribute of the pkcs11 URI has no value"};
  }
  if (std::find(seen->begin(), seen->end(), name) != seen->end()) {
    return {Errc::kInvalidArgument, "an attribute is twice in the pkcs11 URI"};
  }
  seen->push_back(name);
  return {};
}

Status check_attributes(std::string_view list, char separator, bool in_query,
                        std::vector<std::string_view>* seen) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(separator), list.size());
    REWRAP_TRY(check_attribute(list.substr(0, end), in_query, seen));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return {};
}

Status check_names(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return {Errc::kInvalidArgument, "not a pkcs11 URI"};
  uri.remove_prefix(kScheme.size());
  const std::size_t mark = std::min(uri.find('?'), uri.size());
  std::vector<std::string_view> seen;
  REWRAP_TRY(check_attributes(uri.substr(0, mark), ';', false, &seen));
  uri.remove_prefix(std::min(mark + 1, uri.size()));
  return check_attributes(uri, '&', true, &seen);
}

// padded_text reads a field of fixed length: blanks at the end are padding; a zero at its start
// means "not given".
template <std::size_t kLen>
std::string padded_text(const unsigned char (&field)[kLen]) {
  if (field[0] == 0) return {};
  std::size_t len = kLen;
  while (len > 0 && field[len - 1] == ' ') --len;
  return {field, field + len};
}

Bytes attribute_bytes(P11KitUri* uri, CK_ATTRIBUTE_TYPE type) {
  const CK_ATTRIBUTE* attribute = p11_kit_uri_get_attribute(uri, type);
  if (attribute == nullptr || attribute->pValue == nullptr) return {};
  const auto* data = static_cast<const std::uint8_t*>(attribute->pValue);
  return {data, data + attribute->ulValueLen};
}

// object_class is CKO_SECRET_KEY where the URI names no type.
CK_OBJECT_CLASS object_class(P11KitUri* uri) {
  const Bytes bytes = attribute_bytes(uri, CKA_CLASS);
  CK_OBJECT_CLASS value = CKO_SECRET_KEY;
  if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Status fill_query(P11KitUri* parsed, Pkcs11Uri* out) {
  const char* module_path = p11_kit_uri_get_module_path(parsed);
  if (module_path == nullptr || module_path[0] != '/') {
    return {Errc::kInvalidArgument, "the pkcs11 URI does not say which module to load",
            "add ?module-path=/absolute/path/to/module.so"};
  }
  out->module_path = module_path;
  const char* init_args = p11_kit_uri_get_vendor_query(parsed, kInitArgs);
  if (init_args != nullptr) out->init_args = init_args;
  const char* pin_source = p11_kit_uri_get_pin_source(parsed);
  if (pin_source == nullptr) return {};
  REWRAP_ASSIGN(out->pin_file, pin_file_of(pin_source));
  return {};
}

Status fill_path(P11KitUri* parsed, Pkcs11Uri* out) {
  const CK_TOKEN_INFO* info = p11_kit_uri_get_token_info(parsed);
  out->token = padded_text(info->label);
  out->serial = padded_text(info->serialNumber);
  out->manufacturer = padded_text(info->manufacturerID);
  out->model = padded_text(info->model);
  const Bytes label = attribute_bytes(parsed, CKA_LABEL);
  out->object.assign(label.begin(), label.end());
  out->id = attribute_bytes(parsed, CKA_ID);
  if (out->token.empty() && out->serial.empty()) {
    return {Errc::kInvalidArgument, "the pkcs11 URI names no token",
            "add token=LABEL or serial=NUMBER"};
  }
  if (object_class(parsed) != CKO_SECRET_KEY) {
    return {Errc::kInvalidArgument, "the pkcs11 URI names a type other than secret-key"};
  }
  if (out->object.size() > kMaxKeyLabelLen || out->id.size() > kMaxKeyIdLen) {
    return {Errc::kInvalidArgument,
            "the key's label is longer than 255 bytes, or its id longer than 64"};
  }
  return {};
}

}  // namespace

Result<Pkcs11Uri> parse_pkcs11_uri(const std::string& uri) {
  if (uri.find('\0') != std::string::npos)
    return Status(Errc::kInvalidArgument, "the pkcs11 URI holds a zero byte");
  REWRAP_TRY(check_names(uri));
  const UriPtr parsed(p11_kit_uri_new());
  if (!parsed) return Status(Errc::kExhausted, "no memory to read the pkcs11 URI");
  if (p11_kit_uri_parse(uri.c_str(), P11_KIT_URI_FOR_ANY, parsed.get()) != P11_KIT_URI_OK) {
    return Status(Errc::kInvalidArgument, "the pkcs11 URI does not follow RFC 7512",
                  "check the percent escapes and the separators: pkcs11:a=b;c=d?e=f&g=h");
  }
  // p11-kit drops values that it cannot use (a label over 32 bytes, a wrong type); the URI would
  // then match any token.
  if (p11_kit_uri_any_unrecognized(parsed.get()) != 0) {
    return Status(Errc::kInvalidArgument, "a value in the pkcs11 URI is too long or not known",
                  "token labels have at most 32 bytes, serial numbers 16; type is secret-key");
  }
  Pkcs11Uri out;
  REWRAP_TRY(fill_path(parsed.get(), &out));
  REWRAP_TRY(fill_query(parsed.get(), &out));
  return out;
}

}  // namespace rewrap
