// Buffered line reading over read(2).
#include "rekey/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "rekey/jsonl.h"

namespace rewrap {
namespace {
constexpr std::size_t kBufferLen = std::size_t{1} << 20;
static_assert(kBufferLen > 2 * kMaxLineLen);
}  // namespace

Result<LineReader> LineReader::open(const std::string& path) {
  // O_NONBLOCK: a named pipe is to be refused below, not waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return Status::from_errno(errno, "open", "the input file cannot be opened");
  LineReader reader(fd, 0);
  struct stat info {};
  if (fstat(fd, &info) != 0)
    return Status::from_errno(errno, "fstat", "the input file cannot be read");
  if (!S_ISREG(info.st_mode)) {
    return Status(Errc::kInvalidArgument,
                  "the input is not a regular file; it has to be read twice");
  }
  reader.file_len_ = static_cast<std::uint64_t>(info.st_size);
  return reader;
}

LineReader::LineReader(int fd, std::uint64_t file_len)
    : fd_(fd), buffer_(kBufferLen), file_len_(file_len) {}

LineReader::LineReader(LineReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      buffer_(std::move(other.buffer_)),
      begin_(other.begin_),
      end_(other.end_),
      position_(other.position_),
      file_len_(other.file_len_),
      number_(other.number_),
      at_end_(other.at_end_) {}

LineReader::~LineReader() {
  if (fd_ >= 0) ::close(fd_);
}

Status LineReader::fill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  while (!at_end_ && end_ < buffer_.size()) {
    const ssize_t got = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Status::from_errno(errno, "read", "the input file cannot be read");
    if (got == 0) at_end_ = true;
    end_ += static_cast<std::size_t>(got);
  }
  return {};
}

Result<bool> LineReader::next(Line* line) {
  *line = {};
  line->number = ++number_;
  for (;;) {
    const auto* found =
        static_cast<const char*>(std::memchr(buffer_.data() + begin_, '\n', end_ - begin_));
    const std::size_t len = found == nullptr
                                ? end_ - begin_
                                : static_cast<std::size_t>(found - buffer_.data()) - begin_;
    if (found == nullptr && at_end_ && len == 0 && !line->too_long) return false;
    if (found != nullptr || at_end_) {
      line->too_long = line->too_long || len > kMaxLineLen;
      line->text = std::string_view(buffer_.data() + begin_, std::min(len, kMaxLineLen));
      begin_ += len + (found == nullptr ? 0 : 1);
      position_ += len + 1;
      return true;
    }
    if (len > kMaxLineLen) {  // drop what is there; the line's end is still to come
      line->too_long = true;
      position_ += len;
      begin_ = end_;
    }
    REWRAP_TRY(fill());
  }
}

}  // namespace rewrap
