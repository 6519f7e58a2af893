// Status texts and the mapping of errno to codes.
#include "engine/base/status.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace rewrap {
namespace {

Errc code_of_errno(int error) {
  switch (error) {
    case ENOENT:
    case ENODEV:
    case ENOTDIR:
      return Errc::kNotFound;
    case EEXIST:
      return Errc::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Errc::kDenied;
    case ENOMEM:
    case EAGAIN:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
      return Errc::kExhausted;
    default:
      return Errc::kIo;
  }
}

}  // namespace

const char* errc_name(Errc code) {
  switch (code) {
    case Errc::kOk:
      return "ok";
    case Errc::kInvalidArgument:
      return "invalid argument";
    case Errc::kBufferTooSmall:
      return "buffer too small";
    case Errc::kIntegrity:
      return "integrity";
    case Errc::kNotFound:
      return "not found";
    case Errc::kAlreadyExists:
      return "already exists";
    case Errc::kConflict:
      return "conflict";
    case Errc::kDenied:
      return "denied";
    case Errc::kUnavailable:
      return "unavailable";
    case Errc::kExhausted:
      return "exhausted";
    case Errc::kCorruption:
      return "corruption";
    case Errc::kIo:
      return "input/output";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kInternal:
      return "internal";
    case Errc::kRefused:
      return "refused";
  }
  return "unknown";
}

Status Status::from_native(Errc code, Native native, std::uint32_t number, const char* text,
                           Literal call, Literal message, Literal hint) {
  Status status(code, message, hint);
  status.native_ = native;
  status.number_ = number;
  status.native_text_ = text == nullptr ? "" : text;
  status.call_ = call.c_str();
  return status;
}

Status Status::from_errno(int error, Literal call, Literal message, Literal hint) {
  return from_native(code_of_errno(error), Native::kPosix, static_cast<std::uint32_t>(error),
                     strerrordesc_np(error), call, message, hint);
}

Status Status::with_hint(Literal hint) const {
  Status status = *this;
  status.hint_ = hint.c_str();
  return status;
}

std::string Status::describe() const {
  std::string text = message_;
  if (native_ == Native::kNone) return text;
  text += " (";
  text += call_;
  text += ": ";
  text += native_text_;
  char number[32];
  const bool hex = native_ == Native::kPkcs11 || native_ == Native::kOpenssl ||
                   native_ == Native::kTpm2 || native_ == Native::kKmip;
  const char* format = hex ? ", 0x%x)" : ", %d)";
  // NOLINTNEXTLINE(clang-diagnostic-format-nonliteral): one of the two literals above
  static_cast<void>(
      std::snprintf(number, sizeof number, format, number_));  // 32 bytes hold any of them
  return text + number;
}

}  // namespace rewrap
