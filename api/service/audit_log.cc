// Lines, digests and the head record. A line is
//   {"seq":N,"prev":"DIGEST","time":"...",...,"sha256":"DIGEST"}
// where the digest is over all that stands before `,"sha256"`; a keyed log has "hmac-sha256". The
// head file has two records of fixed length, written in turn, so that a torn write leaves the other.
#include "api/service/audit_log.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/codec.h"
#include "engine/base/files.h"
#include "engine/mac.h"

namespace rewrap {
namespace {

constexpr std::size_t kHexLen = 2 * kDigestLen;
constexpr std::size_t kMaxLineLen = std::size_t{64} * 1024;
constexpr std::size_t kMaxAuditFindings = 100;
constexpr std::string_view kPlainName = "sha256";
constexpr std::string_view kKeyedName = "hmac-sha256";

std::string_view digest_name(bool keyed) { return keyed ? kKeyedName : kPlainName; }

// digest_of is SHA-256, or HMAC-SHA-256 if there is a key, in hexadecimal.
Result<std::string> digest_of(ByteView key, std::string_view text) {
  if (key.empty()) {
    REWRAP_ASSIGN(const Digest digest, sha256(as_bytes(text)));
    return encode_hex(digest);
  }
  Digest digest{};
  std::size_t len = 0;
  const ByteView bytes = as_bytes(text);
  const unsigned char* made =
      EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(), bytes.data(),
                bytes.size(), digest.data(), digest.size(), &len);
  if (made == nullptr || len != digest.size())
    return Status(Errc::kInternal, "OpenSSL's HMAC failed", "check the installation of OpenSSL");
  return encode_hex(digest);
}

// The line before the first one.
std::string first_prev() { return std::string(kHexLen, '0'); }

// ---- text ----

// utf8_len gives the length of the well-formed sequence at the front of `text` (RFC 3629), else 0.
std::size_t utf8_len(std::string_view text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  const std::size_t len = first < 0x80   ? 1
                          : first < 0xc2 ? 0
                          : first < 0xe0 ? 2
                          : first < 0xf0 ? 3
                          : first < 0xf5 ? 4
                                         : 0;
  if (len == 0 || len > text.size()) return 0;
  for (std::size_t at = 1; at < len; ++at) {
    if ((byte(at) & 0xc0) != 0x80) return 0;
  }
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return len;
}

void append_string(std::string* out, std::string_view name, std::string_view value) {
  *out += ",\"";
  *out += name;
  *out += "\":\"";
  for (value = value.substr(0, kMaxAuditFieldLen); !value.empty();) {
    const std::size_t len = utf8_len(value);
    const char first = value.front();
    if (len == 0) {
      *out += "\\ufffd";
    } else if (first == '"' || first == '\\') {
      *out += {'\\', first};
    } else if (static_cast<unsigned char>(first) < 0x20 || first == 0x7f) {
      std::array<char, 8> escape{};
      static_cast<void>(
          std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(first)));
      *out += escape.data();
    } else {
      *out += value.substr(0, len);
    }
    value.remove_prefix(std::max<std::size_t>(len, 1));
  }
  *out += '"';
}

// now_text is the wall clock as RFC 3339 in UTC, to the millisecond.
std::string now_text() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  std::array<char, 32> seconds{};
  const std::size_t len = std::strftime(seconds.data(), seconds.size(), "%FT%T", &parts);
  std::array<char, 8> millis{};
  static_cast<void>(std::snprintf(millis.data(), millis.size(), ".%03dZ",
                                  static_cast<int>(now.tv_nsec / 1'000'000 % 1000)));
  return std::string(seconds.data(), len) + millis.data();
}

// ---- lines ----

struct Line {
  std::uint64_t sequence = 0;
  std::string prev;
  std::string digest;  // as it says
  bool keyed = false;
  std::string_view body;  // what the digest is over
};

Result<std::string> make_line(ByteView key, std::uint64_t sequence, const std::string& prev,
                              const AuditEvent& event, std::string* digest) {
  std::string line = "{\"seq\":" + std::to_string(sequence);
  append_string(&line, "prev", prev);
  append_string(&line, "time", now_text());
  append_string(&line, "action", event.action);
  append_string(&line, "user", event.user);
  append_string(&line, "origin", event.origin);
  append_string(&line, "object", event.object);
  append_string(&line, "outcome", event.outcome);
  append_string(&line, "detail", event.detail);
  append_string(&line, "request_id", event.request_id);
  REWRAP_ASSIGN(*digest, digest_of(key, line));
  append_string(&line, digest_name(!key.empty()), *digest);
  line += "}\n";
  return line;
}

bool take(std::string_view* text, std::string_view prefix) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

bool take_hex(std::string_view* text, std::string* out) {
  *out = text->substr(0, kHexLen);
  if (out->size() != kHexLen || out->find_first_not_of("0123456789abcdef") != std::string::npos)
    return false;
  text->remove_prefix(kHexLen);
  return true;
}

// parse_line reads what the chain needs; false if that is not one of our lines.
bool parse_line(std::string_view text, Line* line) {
  for (const bool keyed : {false, true}) {
    const std::string tail_start = ",\"" + std::string(digest_name(keyed)) + "\":\"";
    const std::size_t tail_len = tail_start.size() + kHexLen + 2;
    if (text.size() < tail_len) continue;
    std::string_view tail = text.substr(text.size() - tail_len);
    if (!take(&tail, tail_start) || !take_hex(&tail, &line->digest) || tail != "\"}") continue;
    line->keyed = keyed;
    line->body = text.substr(0, text.size() - tail_len);
    std::string_view head = line->body;
    if (!take(&head, "{\"seq\":")) return false;
    const auto [end, error] =
        std::from_chars(head.data(), head.data() + head.size(), line->sequence);
    if (error != std::errc() || line->sequence == 0) return false;
    head.remove_prefix(static_cast<std::size_t>(end - head.data()));
    return take(&head, ",\"prev\":\"") && take_hex(&head, &line->prev);
  }
  return false;
}

// ---- the head record ----

struct Head {
  std::uint64_t sequence = 0;  // 0: there is none
  std::string digest;
  bool in_second = false;  // of the file's two records
};

constexpr std::size_t kSequenceDigits = 20;
// "SEQUENCE DIGEST CHECK\n"
constexpr std::size_t kHeadLen = kSequenceDigits + 1 + kHexLen + 1 + kHexLen + 1;

Result<std::string> encode_head(ByteView key, const Head& head) {
  std::string text = std::to_string(head.sequence);
  text.insert(0, kSequenceDigits - text.size(), '0');
  text += " " + head.digest;
  REWRAP_ASSIGN(const std::string check, digest_of(key, "head " + text));
  return text + " " + check + "\n";
}

// decode_head gives none for what is not a record of ours.
Result<Head> decode_head(ByteView key, std::string_view text) {
  Head head;
  std::string digits(text.substr(0, std::min(kSequenceDigits, text.size())));
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), head.sequence);
  if (error != std::errc() || text.size() != kHeadLen) return Head();
  head.digest = text.substr(kSequenceDigits + 1, kHexLen);
  REWRAP_ASSIGN(const std::string right, encode_head(key, head));
  if (!secrets_equal(as_bytes(right), as_bytes(text))) return Head();
  return head;
}

std::string head_path(const std::string& path) { return path + ".head"; }

// read_head gives the newer of the two records that is whole; none if neither is.
Result<Head> read_head(const std::string& path, ByteView key) {
  std::ifstream file(head_path(path), std::ios::binary);
  std::string text(2 * kHeadLen, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  Head newest;
  for (std::size_t at = 0; at + kHeadLen <= text.size(); at += kHeadLen) {
    REWRAP_ASSIGN(Head head, decode_head(key, std::string_view(text).substr(at, kHeadLen)));
    if (head.sequence <= newest.sequence) continue;
    newest = std::move(head);
    newest.in_second = at != 0;
  }
  return newest;
}

// ---- files ----

class File {
 public:
  File() = default;
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }

  static Result<File> open(const std::string& path) {
    File file;
    file.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (file.fd_ < 0)
      return Status::from_errno(errno, "open", "the audit log cannot be opened",
                                "check its directory, owner and mode");
    struct stat info {};
    if (fstat(file.fd_, &info) != 0 || !S_ISREG(info.st_mode) || (info.st_mode & 077) != 0) {
      return Status(Errc::kDenied, "the audit log is not a file that only its owner may read",
                    "chmod 0600 it and its .head");
    }
    return file;
  }

  [[nodiscard]] Status write_at(std::string_view text, std::uint64_t at) const {
    while (!text.empty()) {
      const ssize_t written = ::pwrite(fd_, text.data(), text.size(), static_cast<off_t>(at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0)
        return Status::from_errno(errno, "pwrite", "the audit log cannot be written",
                                  "free some space or mend the disk, then start again");
      text.remove_prefix(static_cast<std::size_t>(written));
      at += static_cast<std::uint64_t>(written);
    }
    return {};
  }

  [[nodiscard]] Status sync() const {
    if (::fdatasync(fd_) == 0) return {};
    return Status::from_errno(errno, "fdatasync", "the audit log cannot be made durable",
                              "mend the disk, then start again");
  }

  [[nodiscard]] Status truncate(std::uint64_t len) const {
    if (::ftruncate(fd_, static_cast<off_t>(len)) == 0) return {};
    return Status::from_errno(errno, "ftruncate", "the audit log cannot be repaired");
  }

  [[nodiscard]] Status lock() const {
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) return Status::from_errno(errno, "flock", "the audit log is locked");
    return {Errc::kConflict, "another process writes this audit log",
            "give each service a log of its own"};
  }

 private:
  int fd_ = -1;
};

Status does_not_fit() {
  return {Errc::kCorruption, "the end of the audit log does not fit its head record",
          "rewrap audit verify says what is wrong; keep both files aside and begin a new log"};
}

// Tail is where a log ends.
struct Tail {
  std::uint64_t sequence = 0;
  std::string digest = first_prev();
  std::uint64_t len = 0;      // of the whole lines, in bytes
  bool half_written = false;  // something follows that is not a whole line
};

// read_tail follows the chain from the head record to the end: lines that a crash kept from being
// entered into the head are taken up, if they belong to the chain.
Result<Tail> read_tail(const std::string& path, ByteView key, const Head& head) {
  Tail tail;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  bool reached = head.sequence == 0;
  while (std::getline(file, text)) {
    if (file.eof()) {
      tail.half_written = true;
      break;
    }
    Line line;
    if (!parse_line(text, &line) || line.sequence != tail.sequence + 1 ||
        line.prev != tail.digest) {
      return does_not_fit();
    }
    if (reached) {
      REWRAP_ASSIGN(const std::string digest, digest_of(key, line.body));
      if (digest != line.digest || line.keyed == key.empty()) return does_not_fit();
    }
    tail.sequence = line.sequence;
    tail.digest = line.digest;
    tail.len += text.size() + 1;
    if (head.sequence == line.sequence) {
      if (head.digest != line.digest) return does_not_fit();
      reached = true;
    }
  }
  // A log with lines has a head, unless its very first append did not get so far.
  if (!reached || (head.sequence == 0 && tail.sequence > 1)) return does_not_fit();
  return tail;
}

}  // namespace

struct AuditLog::State {
  SecretBuffer key;
  File log;
  File head;

  std::mutex mutex;
  std::condition_variable written;
  std::uint64_t sequence = 0;  // of the last line that was made
  std::string prev;            // its digest
  std::string pending;         // lines that are not written yet
  std::uint64_t durable = 0;   // the last line that is
  std::uint64_t len = 0;       // of the file
  bool is_writing = false;
  bool next_is_second = false;  // where the next head record goes: the newest is never written over
  Status failure;

  // write_pending is done by one thread at a time, without the mutex but for taking and giving back.
  void write_pending(std::unique_lock<std::mutex>* lock);
  Status write(const std::string& lines, const Head& newest);
};

AuditLog::AuditLog(std::unique_ptr<State> state) : state_(std::move(state)) {}

AuditLog::~AuditLog() = default;

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& path, SecretBuffer key) {
  auto state = std::make_unique<State>();
  REWRAP_ASSIGN(state->log, File::open(path));
  REWRAP_TRY(state->log.lock());
  REWRAP_ASSIGN(state->head, File::open(head_path(path)));
  REWRAP_TRY(sync_directory(parent_directory(path)));
  state->key = std::move(key);
  REWRAP_ASSIGN(const Head head, read_head(path, state->key.expose_secret()));
  REWRAP_ASSIGN(const Tail tail, read_tail(path, state->key.expose_secret(), head));
  if (tail.half_written) REWRAP_TRY(state->log.truncate(tail.len));
  state->sequence = tail.sequence;
  state->durable = tail.sequence;
  state->prev = tail.digest;
  state->len = tail.len;
  state->next_is_second = head.sequence != 0 && !head.in_second;
  std::unique_ptr<AuditLog> log(new AuditLog(std::move(state)));
  AuditEvent event;
  event.action = "audit.opened";
  event.origin = "service";
  event.outcome = "ok";
  if (tail.half_written) event.detail = "a half-written line at the end was taken away";
  REWRAP_TRY(log->append(event));
  return log;
}

Status AuditLog::append(const AuditEvent& event) {
  std::unique_lock lock(state_->mutex);
  State& state = *state_;
  REWRAP_TRY(state.failure);
  std::string digest;
  REWRAP_ASSIGN(const std::string line, make_line(state.key.expose_secret(), state.sequence + 1,
                                                  state.prev, event, &digest));
  const std::uint64_t sequence = ++state.sequence;
  state.prev = digest;
  state.pending += line;
  while (state.durable < sequence && state.failure.ok()) {
    if (state.is_writing) {
      state.written.wait(lock);
    } else {
      state.write_pending(&lock);
    }
  }
  return state.durable >= sequence ? Status() : state.failure;
}

void AuditLog::State::write_pending(std::unique_lock<std::mutex>* lock) {
  is_writing = true;
  const std::string lines = std::exchange(pending, {});
  const Head newest{sequence, prev, false};
  lock->unlock();
  const Status status = write(lines, newest);
  lock->lock();
  is_writing = false;
  if (status.ok()) durable = newest.sequence;
  if (!status.ok()) failure = status;
  written.notify_all();
}

Status AuditLog::State::write(const std::string& lines, const Head& newest) {
  REWRAP_TRY(log.write_at(lines, len));
  REWRAP_TRY(log.sync());
  len += lines.size();
  REWRAP_ASSIGN(const std::string record, encode_head(key.expose_secret(), newest));
  REWRAP_TRY(head.write_at(record, next_is_second ? kHeadLen : 0));
  next_is_second = !next_is_second;
  return head.sync();
}

const char* audit_fault_name(AuditFault fault) {
  switch (fault) {
    case AuditFault::kNone:
      return "none";
    case AuditFault::kNotALine:
      return "not_a_line";
    case AuditFault::kChanged:
      return "changed";
    case AuditFault::kRemoved:
      return "removed";
    case AuditFault::kReordered:
      return "reordered";
    case AuditFault::kCutOff:
      return "cut_off";
    case AuditFault::kNoHead:
      return "no_head";
  }
  return "unknown";
}

namespace {

// ChainCheck reads lines and keeps what is wrong.
class ChainCheck {
 public:
  ChainCheck(ByteView key, std::vector<std::uint64_t> present)
      : key_(key), present_(std::move(present)) {}

  Status check(std::string_view text) {
    ++report_.lines;
    Line line;
    if (!parse_line(text, &line)) {
      find(AuditFault::kNotALine, report_.lines, last_.sequence + 1, 0);
      follows_ = false;
      return {};
    }
    report_.keyed = report_.keyed || line.keyed;
    REWRAP_ASSIGN(const std::string digest, digest_of(key_, line.body));
    const bool is_own = digest == line.digest && line.keyed != key_.empty();
    if (!is_own) find(AuditFault::kChanged, report_.lines, line.sequence, 0);
    check_place(line);
    was_own_ = is_own;
    return {};
  }

  // finish compares the end with the head record.
  AuditReport finish(const Head& head) {
    if (head.sequence == 0) {
      if (report_.lines != 0 || last_.sequence != 0) find(AuditFault::kNoHead, 0, 0, 0);
      return std::move(report_);
    }
    if (head.sequence > last_.sequence) {
      find(AuditFault::kCutOff, report_.lines + 1, last_.sequence + 1,
           head.sequence - last_.sequence);
    } else if (head.sequence == last_.sequence && head.digest != last_.digest && was_own_) {
      find(AuditFault::kChanged, report_.lines, last_.sequence, 0);
    }
    return std::move(report_);
  }

 private:
  // The last line in its place so far, as it says.
  struct Place {
    std::uint64_t sequence = 0;
    std::string digest = first_prev();
  };

  void check_place(const Line& line) {
    if (line.sequence <= last_.sequence) {
      find(AuditFault::kReordered, report_.lines, line.sequence, 0);
      return;
    }
    std::uint64_t missing = 0;
    for (std::uint64_t sequence = last_.sequence + 1;
         sequence < line.sequence && missing < kMaxCounted; ++sequence) {
      if (!std::binary_search(present_.begin(), present_.end(), sequence)) ++missing;
    }
    const bool next = line.sequence == last_.sequence + 1;
    if (missing != 0 && follows_)
      find(AuditFault::kRemoved, report_.lines, last_.sequence + 1, missing);
    // The line before was changed and given a digest of its own that fits.
    if (next && follows_ && was_own_ && line.prev != last_.digest)
      find(AuditFault::kChanged, report_.lines - 1, last_.sequence, 0);
    last_ = {line.sequence, line.digest};
    follows_ = true;
  }

  void find(AuditFault fault, std::uint64_t line, std::uint64_t sequence, std::uint64_t count) {
    if (report_.findings.size() < kMaxAuditFindings)
      report_.findings.push_back({fault, line, sequence, count});
  }

  static constexpr std::uint64_t kMaxCounted = 1'000'000;

  ByteView key_;
  std::vector<std::uint64_t> present_;  // sorted
  AuditReport report_;
  Place last_;
  bool follows_ = true;  // the line before was one of ours
  bool was_own_ = true;  // and had its own digest
};

// for_each_line calls `visit` with each line of the file. A last line without its end counts.
Status for_each_line(const std::string& path,
                     const std::function<Status(std::string_view)>& visit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Status::from_errno(errno, "open", "the audit log cannot be read");
  std::string text;
  while (std::getline(file, text)) {
    if (text.size() > kMaxLineLen) text.resize(kMaxLineLen);
    REWRAP_TRY(visit(text));
  }
  if (file.bad()) return {Errc::kIo, "the audit log cannot be read", "check the disk"};
  return {};
}

}  // namespace

Result<AuditReport> verify_audit_log(const std::string& path, ByteView key) {
  // First which lines there are, wherever they stand: a line that is elsewhere is not removed.
  std::vector<std::uint64_t> present;
  bool keyed = false;
  REWRAP_TRY(for_each_line(path, [&](std::string_view text) -> Status {
    Line line;
    if (!parse_line(text, &line)) return {};
    present.push_back(line.sequence);
    keyed = keyed || line.keyed;
    return {};
  }));
  if (keyed && key.empty()) {
    return Status(Errc::kInvalidArgument, "this audit log is keyed by its service's key",
                  "name the store, so that the key can be had from it");
  }
  std::sort(present.begin(), present.end());
  REWRAP_ASSIGN(const Head head, read_head(path, key));
  ChainCheck check(key, std::move(present));
  REWRAP_TRY(for_each_line(path, [&](std::string_view text) { return check.check(text); }));
  return check.finish(head);
}

}  // namespace rewrap
